// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The facts about this host: processor, kernel, module, device, other hypervisors.
 * Called by cmd/check.c.
 */
#include <cpuid.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <linux/landlock.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "host/check.h"
#include "host/hv.h"

/* AMD APM Vol. 2, "VM_CR MSR"; Intel SDM Vol. 3, "Enabling and Entering VMX Operation" */
#define MSR_VM_CR	       0xc0010114
#define VM_CR_SVMDIS	       (1U << 4)
#define MSR_FEATURE_CONTROL    0x3a
#define FEATURE_CONTROL_LOCKED (1U << 0)
#define FEATURE_CONTROL_VMX    (1U << 2)

#define MODULE_SIGNATURE       "~Module signature appended~\n"

/* ------------------------------------------------------------------------- */
/* Files                                                                      */

__attribute__((format(printf, 2, 3))) static FILE *open_below(const char *root, const char *fmt,
							      ...)
{
	char path[PATH_MAX];
	va_list args;
	size_t len;

	len = snprintf(path, sizeof(path), "%s/", root);
	if (len >= sizeof(path))
		return NULL;
	va_start(args, fmt);
	vsnprintf(path + len, sizeof(path) - len, fmt, args);
	va_end(args);
	return fopen(path, "re");
}

/* Is word one of the blank-separated words of line? */
static bool has_word(const char *line, const char *word)
{
	size_t len = strlen(word);

	for (const char *s = line; (s = strstr(s, word)); s += len) {
		bool begins = s == line || s[-1] == ' ' || s[-1] == '\t';

		if (begins && (!s[len] || strchr(" \t\n", s[len])))
			return true;
	}
	return false;
}

static void read_cpuinfo(const char *root, struct hostcheck_facts *f)
{
	FILE *file = open_below(root, "proc/cpuinfo");
	bool done = false;
	char *line = NULL;
	size_t room = 0;

	if (!file)
		return;
	/* One processor, up to its empty line, speaks for all. */
	while (!done && getline(&line, &room, file) > 0) {
		if (!strncmp(line, "flags", 5)) {
			f->flag_svm = has_word(line, "svm");
			f->flag_vmx = has_word(line, "vmx");
			f->flag_npt = has_word(line, "npt");
		} else if (!strncmp(line, "vmx flags", 9)) {
			f->flag_ept = has_word(line, "ept");
			f->flag_unrestricted = has_word(line, "unrestricted_guest");
			f->flag_vpid = has_word(line, "vpid");
		}
		done = line[0] == '\n';
	}
	free(line);
	fclose(file);
}

static void read_modules(const char *root, struct hostcheck_facts *f)
{
	static const char *const names[NR_RIVALS] = {
		[RIVAL_KVM_AMD] = "kvm_amd",
		[RIVAL_KVM_INTEL] = "kvm_intel",
		[RIVAL_VBOX] = "vboxdrv",
		[RIVAL_VMWARE] = "vmmon",
	};
	FILE *file = open_below(root, "proc/modules");
	char *line = NULL;
	size_t room = 0;

	if (!file)
		return;
	while (getline(&line, &room, file) > 0) {
		unsigned int users = 0;
		char name[64];

		if (sscanf(line, "%63s %*u %u", name, &users) < 1)
			continue;
		f->module_loaded |= !strcmp(name, "hv");
		for (int i = 0; i < NR_RIVALS; i++) {
			if (!strcmp(name, names[i])) {
				f->rival_loaded[i] = true;
				f->rival_used[i] = users > 0;
			}
		}
	}
	free(line);
	fclose(file);
}

/* A compressed module cannot be judged, and passes for signed. */
static bool lacks_signature(const char *root, const char *kernel, const char *path)
{
	char tail[sizeof(MODULE_SIGNATURE)] = "";
	const size_t len = sizeof(tail) - 1;
	size_t path_len = strlen(path);
	bool lacks = false;
	FILE *file;

	if (path_len < 3 || strcmp(path + path_len - 3, ".ko") != 0)
		return false;
	file = open_below(root, "lib/modules/%s/%s", kernel, path);
	if (!file)
		return false;
	if (!fseek(file, -(long)len, SEEK_END) && fread(tail, 1, len, file) == len)
		lacks = memcmp(tail, MODULE_SIGNATURE, len) != 0;
	fclose(file);
	return lacks;
}

/* modules.dep is what modprobe goes by: "extra/hv.ko: other.ko ..." */
static void read_modules_dep(const char *root, struct hostcheck_facts *f)
{
	FILE *file = open_below(root, "lib/modules/%s/modules.dep", f->kernel);
	char *line = NULL;
	size_t room = 0;

	if (!file)
		return;
	while (!f->module_installed && getline(&line, &room, file) > 0) {
		char *colon = strchr(line, ':');
		char *name;

		if (!colon)
			continue;
		*colon = '\0';
		name = strrchr(line, '/');
		name = name ? name + 1 : line;
		if (strncmp(name, "hv.ko", 5) != 0)
			continue;
		f->module_installed = true;
		f->module_unsigned = lacks_signature(root, f->kernel, line);
	}
	free(line);
	fclose(file);
}

/* The first bytes of a small file as a string; "" when it cannot be read. */
static void read_text(const char *root, const char *name, char *out, size_t room)
{
	FILE *file = open_below(root, "%s", name);
	size_t len = 0;

	if (file) {
		len = fread(out, 1, room - 1, file);
		fclose(file);
	}
	out[len] = '\0';
}

static bool is_secure_boot(const char *root)
{
	/* UEFI specification, "Globally Defined Variables"; 4 bytes of attributes, then the value */
	FILE *file = open_below(root, "sys/firmware/efi/efivars/"
				      "SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c");
	unsigned char value[5] = {0};
	bool on = false;

	if (file) {
		on = fread(value, 1, sizeof(value), file) == sizeof(value) && value[4] == 1;
		fclose(file);
	}
	return on;
}

void hostcheck_read_files(const char *root, struct hostcheck_facts *f)
{
	char text[128];

	read_cpuinfo(root, f);
	read_modules(root, f);
	read_modules_dep(root, f);
	f->secure_boot = is_secure_boot(root);

	read_text(root, "sys/module/module/parameters/sig_enforce", text, sizeof(text));
	f->signature_enforced = text[0] == 'Y';
	/* Locked down, a kernel takes signed modules only: kernel_lockdown(7). */
	read_text(root, "sys/kernel/security/lockdown", text, sizeof(text));
	f->signature_enforced |= text[0] && !strstr(text, "[none]");
	read_text(root, "sys/module/kvm/parameters/enable_virt_at_load", text, sizeof(text));
	f->kvm_holds = text[0] == 'Y';
}

/* ------------------------------------------------------------------------- */
/* Processor, device, module                                                  */

static void read_cpuid(struct hostcheck_facts *f)
{
	unsigned int eax, ebx, ecx, edx;

	if (__get_cpuid(1, &eax, &ebx, &ecx, &edx)) {
		f->cpuid_vmx = ecx >> 5 & 1;
		f->hypervisor = ecx >> 31;
	}
	if (__get_cpuid(0x80000001, &eax, &ebx, &ecx, &edx))
		f->cpuid_svm = ecx >> 2 & 1;
}

static enum hostcheck_firmware read_firmware_lock(const struct hostcheck_facts *f)
{
	int fd = open("/dev/cpu/0/msr", O_RDONLY | O_CLOEXEC);
	enum hostcheck_firmware verdict = FIRMWARE_UNKNOWN;
	uint64_t value;

	if (fd < 0)
		return FIRMWARE_UNKNOWN;
	/* The offset in this file is the number of the register: msr(4). */
	if (f->cpuid_svm && pread(fd, &value, sizeof(value), MSR_VM_CR) == sizeof(value))
		verdict = value & VM_CR_SVMDIS ? FIRMWARE_FORBIDS : FIRMWARE_ALLOWS;
	if (f->cpuid_vmx && pread(fd, &value, sizeof(value), MSR_FEATURE_CONTROL) == sizeof(value))
		verdict = value & FEATURE_CONTROL_LOCKED && !(value & FEATURE_CONTROL_VMX)
				  ? FIRMWARE_FORBIDS
				  : FIRMWARE_ALLOWS;
	close(fd);
	return verdict;
}

static void read_caller(struct hostcheck_facts *f)
{
	const struct passwd *user = getpwuid(geteuid());

	f->root = geteuid() == 0;
	if (user)
		snprintf(f->user, sizeof(f->user), "%s", user->pw_name);
	else
		snprintf(f->user, sizeof(f->user), "%u", geteuid());
}

static void try_module(int fd, struct hostcheck_facts *f)
{
	struct hv_caps caps;
	struct error ignored;
	int vm, ret;

	ret = hv_get_caps(fd, &caps);
	f->caps_error = -ret;
	if (ret < 0)
		return;
	f->abi_version = caps.abi_version;
	f->backend = caps.backend;
	f->max_vcpus = caps.max_vcpus;
	if (caps.abi_version != HV_ABI_VERSION)
		return;
	vm = hv_create_vm(fd, 0, &ignored);
	f->create_error = vm < 0 ? -vm : 0;
	if (vm >= 0)
		close(vm);
}

static void try_device(struct hostcheck_facts *f)
{
	const struct group *group;
	struct stat st;
	int fd;

	if (!stat(HV_DEVICE, &st)) {
		f->device_mode = st.st_mode;
		group = st.st_gid ? getgrgid(st.st_gid) : NULL;
		if (group)
			snprintf(f->device_group, sizeof(f->device_group), "%s", group->gr_name);
	}
	fd = open(HV_DEVICE, O_RDWR | O_CLOEXEC);
	f->open_error = fd < 0 ? errno : 0;
	if (fd < 0)
		return;
	try_module(fd, f);
	close(fd);
}

void hostcheck_gather(struct hostcheck_facts *f)
{
	struct utsname uts;

	memset(f, 0, sizeof(*f));
	if (!uname(&uts))
		snprintf(f->kernel, sizeof(f->kernel), "%s", uts.release);
	read_caller(f);
	read_cpuid(f);
	f->firmware = read_firmware_lock(f);
	hostcheck_read_files("", f);
	try_device(f);
	f->landlock =
		syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION) > 0;
	/* A module under /sys only, as in some containers: what answers is loaded. */
	f->module_loaded |= !f->open_error;
}
