// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The rules of "vmm check": from facts to findings with their remedies, without
 * looking at the host. Called by cmd/check.c.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "host/check.h"
#include "include/uapi/hv.h"

struct report {
	const struct hostcheck_facts *facts;
	struct hostcheck_finding *finding;
	size_t nr;
};

static const char *const ids[NR_CHECKS] = {
	[CHECK_PROCESSOR] = "processor",
	[CHECK_FIRMWARE] = "firmware",
	[CHECK_FEATURES] = "processor-features",
	[CHECK_MODULE_INSTALLED] = "module-installed",
	[CHECK_MODULE_LOADED] = "module-loaded",
	[CHECK_MODULE_SIGNATURE] = "module-signature",
	[CHECK_MODULE_ANSWER] = "module-answer",
	[CHECK_MODULE_VERSION] = "module-version",
	[CHECK_DEVICE] = "device",
	[CHECK_PERMISSION] = "device-permission",
	[CHECK_RIVAL] = "other-hypervisor",
	[CHECK_MACHINE] = "machine",
	[CHECK_SANDBOX] = "sandbox",
};

const char *hostcheck_id(enum hostcheck_subject subject)
{
	return ids[subject];
}

const char *hostcheck_result(enum hostcheck_result result)
{
	static const char *const names[] = {
		[CHECK_OK] = "ok",
		[CHECK_WARN] = "warn",
		[CHECK_FAIL] = "fail",
	};

	return names[result];
}

static struct hostcheck_finding *add(struct report *r, enum hostcheck_subject subject,
				     enum hostcheck_result result, const char *fmt, va_list args)
{
	struct hostcheck_finding *f = &r->finding[r->nr];

	if (r->nr < HOSTCHECK_MAX_FINDINGS - 1)
		r->nr++;
	memset(f, 0, sizeof(*f));
	f->subject = subject;
	f->result = result;
	vsnprintf(f->what, sizeof(f->what), fmt, args);
	return f;
}

__attribute__((format(printf, 3, 4))) static void good(struct report *r,
						       enum hostcheck_subject subject,
						       const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	add(r, subject, CHECK_OK, fmt, args);
	va_end(args);
}

__attribute__((format(printf, 3, 4))) static struct hostcheck_finding *missing(
	struct report *r, enum hostcheck_subject subject, const char *fmt, ...)
{
	struct hostcheck_finding *f;
	va_list args;

	va_start(args, fmt);
	f = add(r, subject, CHECK_FAIL, fmt, args);
	va_end(args);
	return f;
}

__attribute__((format(printf, 3, 4))) static struct hostcheck_finding *weaker(
	struct report *r, enum hostcheck_subject subject, const char *fmt, ...)
{
	struct hostcheck_finding *f;
	va_list args;

	va_start(args, fmt);
	f = add(r, subject, CHECK_WARN, fmt, args);
	va_end(args);
	return f;
}

static const char *sudo(const struct report *r)
{
	return r->facts->root ? "" : "sudo ";
}

__attribute__((format(printf, 2, 3))) static void fix(struct hostcheck_finding *f, const char *fmt,
						      ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(f->fix, sizeof(f->fix), fmt, args);
	va_end(args);
}

/* ------------------------------------------------------------------------- */
/* The processor                                                              */

/*
 * The kernel takes the flag out of /proc/cpuinfo when the firmware has locked
 * virtualisation off, so CPUID with the bit and cpuinfo without it says the same
 * as the lock's MSR, which only root can read.
 */
static bool firmware_forbids(const struct hostcheck_facts *f)
{
	if (f->firmware != FIRMWARE_UNKNOWN)
		return f->firmware == FIRMWARE_FORBIDS;
	return (f->cpuid_svm && !f->flag_svm) || (f->cpuid_vmx && !f->flag_vmx);
}

/* What hv needs and this processor lacks, in the order of the module's own look; or NULL. */
static const char *feature_missing(const struct hostcheck_facts *f)
{
	if (f->cpuid_svm)
		return f->flag_npt ? NULL : "nested paging";
	if (!f->flag_ept)
		return "extended page tables (EPT)";
	if (!f->flag_unrestricted)
		return "unrestricted guest mode";
	if (!f->flag_vpid)
		return "virtual processor identifiers (VPID)";
	return NULL;
}

static void check_processor(struct report *r)
{
	const struct hostcheck_facts *f = r->facts;
	const char *name = f->cpuid_svm ? "AMD-V" : "VT-x";
	const char *lack = feature_missing(f);
	struct hostcheck_finding *m;

	if (!f->cpuid_svm && !f->cpuid_vmx && f->hypervisor) {
		m = missing(r, CHECK_PROCESSOR,
			    "processor: this host is itself a virtual machine, whose hypervisor "
			    "offers neither AMD-V nor VT-x");
		fix(m, "on the host below, when that runs KVM: sudo modprobe -r kvm_amd && sudo "
		       "modprobe kvm_amd nested=1 (Intel: kvm_intel), and CPU type 'host' for this "
		       "machine");
	} else if (!f->cpuid_svm && !f->cpuid_vmx) {
		missing(r, CHECK_PROCESSOR,
			"processor: it has neither AMD-V nor VT-x; no setting can change that");
	} else if (firmware_forbids(f)) {
		m = missing(r, CHECK_FIRMWARE, "processor: %s is switched off by the firmware",
			    name);
		fix(m, "%ssystemctl reboot --firmware-setup   (then enable '%s')", sudo(r),
		    f->cpuid_svm ? "SVM Mode" : "Intel Virtualization Technology");
	} else if (lack && f->hypervisor) {
		m = missing(r, CHECK_FEATURES,
			    "processor: %s without %s, which hv needs; this host is itself a "
			    "virtual machine",
			    name, lack);
		fix(m, "on the host below: CPU type 'host' for this machine");
	} else if (lack) {
		missing(r, CHECK_FEATURES,
			"processor: %s without %s, which hv needs; no setting can change that",
			name, lack);
	} else {
		good(r, CHECK_PROCESSOR, "processor: %s with %s", name,
		     f->cpuid_svm ? "nested paging" : "EPT");
	}
}

/* ------------------------------------------------------------------------- */
/* The module                                                                 */

static void check_module(struct report *r)
{
	const struct hostcheck_facts *f = r->facts;
	struct hostcheck_finding *m;

	if (f->module_loaded) {
		good(r, CHECK_MODULE_LOADED, "module: hv is loaded");
		return;
	}
	if (!f->module_installed) {
		m = missing(r, CHECK_MODULE_INSTALLED, "module: hv is not installed for kernel %s",
			    f->kernel);
		fix(m,
		    "make && %smake install && %smodprobe hv   (in the source tree; without "
		    "installing: %sinsmod build/hv.ko)",
		    sudo(r), sudo(r), sudo(r));
	} else {
		m = missing(r, CHECK_MODULE_LOADED, "module: hv is not loaded");
		fix(m, "%smodprobe hv", sudo(r));
	}
	if (f->signature_enforced && (f->module_unsigned || !f->module_installed)) {
		m = missing(r, CHECK_MODULE_SIGNATURE,
			    "%s: the kernel refuses modules without a signature it trusts",
			    f->secure_boot ? "Secure Boot" : "signatures");
		fix(m,
		    "%s/lib/modules/%s/build/scripts/sign-file sha256 MOK.priv MOK.der "
		    "\"$(modinfo -n hv)\" && %smokutil --import MOK.der   (then reboot and enrol)",
		    sudo(r), f->kernel, sudo(r));
	}
}

/* ------------------------------------------------------------------------- */
/* The device                                                                 */

static void check_permission(struct report *r)
{
	const struct hostcheck_facts *f = r->facts;
	struct hostcheck_finding *m =
		missing(r, CHECK_PERMISSION, "device: %s may not open /dev/hv", f->user);

	/* A group that was given the device is the administrator's way; else name the user. */
	if (f->device_group[0] && (f->device_mode & 0060) == 0060)
		fix(m, "%susermod -aG %s %s   (then log in again)", sudo(r), f->device_group,
		    f->user);
	else
		fix(m, "%ssetfacl -m u:%s:rw /dev/hv   (package acl)", sudo(r), f->user);
}

static void check_device(struct report *r)
{
	const struct hostcheck_facts *f = r->facts;
	struct hostcheck_finding *m;

	switch (f->open_error) {
	case 0:
		good(r, CHECK_DEVICE, "device: /dev/hv can be opened");
		break;
	case EACCES:
	case EPERM:
		check_permission(r);
		break;
	case ENOENT:
		m = missing(r, CHECK_DEVICE,
			    "device: hv is loaded, but there is no /dev/hv here (a container "
			    "needs --device /dev/hv)");
		fix(m, "%sudevadm trigger --settle /sys/class/misc/hv", sudo(r));
		break;
	default:
		m = missing(r, CHECK_DEVICE, "device: /dev/hv cannot be opened: %s",
			    strerror(f->open_error));
		fix(m, "%sdmesg | grep hv", sudo(r));
		break;
	}
}

/* ------------------------------------------------------------------------- */
/* A VM                                                                       */

static const struct {
	const char *name;
	const char *remove;
} rivals[NR_RIVALS] = {
	[RIVAL_KVM_AMD] = {"kvm_amd", "modprobe -r kvm_amd kvm"},
	[RIVAL_KVM_INTEL] = {"kvm_intel", "modprobe -r kvm_intel kvm"},
	[RIVAL_VBOX] = {"vboxdrv", "modprobe -r vboxnetadp vboxnetflt vboxdrv"},
	[RIVAL_VMWARE] = {"vmmon", "modprobe -r vmmon"},
};

static void blame_rivals(struct report *r)
{
	const struct hostcheck_facts *f = r->facts;
	struct hostcheck_finding *m;
	bool found = false;

	for (int i = 0; i < NR_RIVALS; i++) {
		if (!f->rival_loaded[i])
			continue;
		found = true;
		m = missing(
			r, CHECK_RIVAL, "processor: %s holds its virtualisation%s", rivals[i].name,
			f->rival_used[i] ? " and is in use: end its virtual machines first" : "");
		fix(m, "%s%s", sudo(r), rivals[i].remove);
	}
	if (!found) {
		m = missing(r, CHECK_RIVAL,
			    "processor: another hypervisor, none that is known here, holds its "
			    "virtualisation");
		fix(m,
		    "lsmod   (look for the other hypervisor's module; unload it with %smodprobe "
		    "-r NAME)",
		    sudo(r));
	}
}

static void check_vm(struct report *r, bool *ready)
{
	const struct hostcheck_facts *f = r->facts;
	struct hostcheck_finding *m;

	if (f->caps_error) {
		m = missing(r, CHECK_MODULE_ANSWER,
			    "module: /dev/hv does not answer as hv does: %s",
			    strerror(f->caps_error));
		fix(m, "%srmmod hv && %smodprobe hv", sudo(r), sudo(r));
	} else if (f->abi_version != HV_ABI_VERSION) {
		m = missing(r, CHECK_MODULE_VERSION,
			    "module: it speaks version %u of the interface and this vmm version %u",
			    f->abi_version, HV_ABI_VERSION);
		fix(m, "make && %smake install && %srmmod hv && %smodprobe hv", sudo(r), sudo(r),
		    sudo(r));
	} else if (f->create_error == EBUSY) {
		blame_rivals(r);
	} else if (f->create_error) {
		m = missing(r, CHECK_MACHINE, "module: it cannot create a VM: %s",
			    strerror(f->create_error));
		fix(m, "%sdmesg | grep hv", sudo(r));
	} else {
		good(r, CHECK_MACHINE, "machines: a VM can be created (%s, up to %u CPUs each)",
		     f->backend == HV_BACKEND_SVM ? "AMD-V" : "VT-x", f->max_vcpus);
		*ready = true;
	}
}

/* ------------------------------------------------------------------------- */
/* What keeps a guest that took its monitor over                              */

static void check_sandbox(struct report *r)
{
	/* Root's machines have a root directory of their own. */
	if (r->facts->landlock || r->facts->root)
		good(r, CHECK_SANDBOX, "sandbox: a monitor can give its files away");
	else
		fix(weaker(r, CHECK_SANDBOX,
			   "sandbox: the kernel has no Landlock, which keeps files from the monitors "
			   "of users"),
		    "add landlock to the kernel's parameter lsm= (%scat /sys/kernel/security/lsm)",
		    sudo(r));
}

size_t hostcheck_decide(const struct hostcheck_facts *f,
			struct hostcheck_finding out[HOSTCHECK_MAX_FINDINGS], bool *ready)
{
	struct report r = {.facts = f, .finding = out};
	bool kvm = f->rival_loaded[RIVAL_KVM_AMD] || f->rival_loaded[RIVAL_KVM_INTEL];

	*ready = false;
	check_processor(&r);
	check_module(&r);
	/* Later steps say nothing new while the module is not there. */
	if (!f->module_loaded) {
		if (kvm && f->kvm_holds)
			blame_rivals(&r);
		return r.nr;
	}
	check_device(&r);
	if (!f->open_error)
		check_vm(&r, ready);
	check_sandbox(&r);
	return r.nr;
}
