// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Tests of vmm/host/check.c and of the file readers of vmm/cmd/check.c: which
 * finding and which remedy each state of a host leads to.
 */
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host/check.h"
#include "include/uapi/hv.h"
#include "suite.h"

static struct hostcheck_facts facts;
static struct hostcheck_finding finding[HOSTCHECK_MAX_FINDINGS];
static size_t nr;
static bool ready;

/* A host on which all is well; each test breaks one thing. */
static void setup(void)
{
	facts = (struct hostcheck_facts){
		.root = true,
		.kernel = "6.1.0",
		.cpuid_svm = true,
		.flag_svm = true,
		.flag_npt = true,
		.module_loaded = true,
		.module_installed = true,
		.user = "eva",
		.abi_version = HV_ABI_VERSION,
		.backend = HV_BACKEND_SVM,
		.max_vcpus = 64,
		.landlock = true,
	};
}

static void decide(void)
{
	nr = hostcheck_decide(&facts, finding, &ready);
	ck_assert_uint_ge(nr, 1);
	ck_assert_uint_le(nr, HOSTCHECK_MAX_FINDINGS);
}

/* Not ready, and one finding says this and mends it so. */
static void lacks(enum hostcheck_subject subject, const char *what, const char *fix)
{
	bool found = false;

	decide();
	ck_assert(!ready);
	for (size_t i = 0; i < nr; i++) {
		if (finding[i].result == CHECK_FAIL && strstr(finding[i].what, what)) {
			found = true;
			ck_assert_int_eq(finding[i].subject, subject);
			ck_assert_msg(strstr(finding[i].fix, fix), "'%s' is no '%s'",
				      finding[i].fix, fix);
		}
	}
	ck_assert_msg(found, "nothing says '%s'", what);
}

START_TEST(test_good_host)
{
	decide();
	ck_assert(ready);
	for (size_t i = 0; i < nr; i++) {
		ck_assert_int_eq(finding[i].result, CHECK_OK);
		ck_assert_str_eq(finding[i].fix, "");
	}
	ck_assert_uint_eq(nr, 5);
}
END_TEST

/* Programs go by these words; whoever changes one breaks them. */
START_TEST(test_ids)
{
	static const char *const ids[] = {
		"processor",	 "firmware",	      "processor-features", "module-installed",
		"module-loaded", "module-signature",  "module-answer",	    "module-version",
		"device",	 "device-permission", "other-hypervisor",   "machine",
		"sandbox",
	};
	FILE *file = fopen("man/vmm.1", "r");
	char manual[65536], item[64];
	size_t len;

	ck_assert_ptr_nonnull(file);
	len = fread(manual, 1, sizeof(manual) - 1, file);
	fclose(file);
	manual[len] = '\0';
	ck_assert_uint_eq(NR_CHECKS, sizeof(ids) / sizeof(ids[0]));
	for (int i = 0; i < NR_CHECKS; i++) {
		ck_assert_str_eq(hostcheck_id((enum hostcheck_subject)i), ids[i]);
		snprintf(item, sizeof(item), "\n.It Ql %s\n", ids[i]);
		ck_assert_msg(strstr(manual, item) != NULL, "vmm(1) does not say '%s'", ids[i]);
	}
	ck_assert_str_eq(hostcheck_result(CHECK_OK), "ok");
	ck_assert_str_eq(hostcheck_result(CHECK_WARN), "warn");
	ck_assert_str_eq(hostcheck_result(CHECK_FAIL), "fail");
}
END_TEST

START_TEST(test_no_landlock)
{
	facts.landlock = false;
	facts.root = false;
	decide();
	/* Machines run. */
	ck_assert(ready);
	ck_assert_int_eq(finding[nr - 1].subject, CHECK_SANDBOX);
	ck_assert_int_eq(finding[nr - 1].result, CHECK_WARN);
	ck_assert_ptr_nonnull(strstr(finding[nr - 1].fix, "lsm="));
	facts.root = true;
	decide();
	ck_assert_int_eq(finding[nr - 1].result, CHECK_OK);
}
END_TEST

START_TEST(test_no_virtualisation)
{
	facts.cpuid_svm = facts.flag_svm = false;
	facts.module_loaded = false;
	lacks(CHECK_PROCESSOR, "neither AMD-V nor VT-x", "");
	facts.hypervisor = true;
	lacks(CHECK_PROCESSOR, "itself a virtual machine", "nested=1");
}
END_TEST

START_TEST(test_firmware_lock)
{
	/* Known from the MSR, or from the flag that the kernel removed */
	facts.module_loaded = false;
	facts.firmware = FIRMWARE_FORBIDS;
	lacks(CHECK_FIRMWARE, "firmware", "systemctl reboot --firmware-setup");
	facts.firmware = FIRMWARE_UNKNOWN;
	facts.flag_svm = false;
	lacks(CHECK_FIRMWARE, "firmware", "SVM Mode");
	facts.firmware = FIRMWARE_ALLOWS;
	decide();
	ck_assert_int_eq(finding[0].result, CHECK_OK);
}
END_TEST

START_TEST(test_no_nested_paging)
{
	facts.module_loaded = false;
	facts.flag_npt = false;
	lacks(CHECK_FEATURES, "AMD-V without nested paging", "");
	lacks(CHECK_FEATURES, "no setting can change that", "");
	facts.hypervisor = true;
	lacks(CHECK_FEATURES, "itself a virtual machine", "CPU type 'host'");
}
END_TEST

/* Each lack of VT-x by its name, the gravest first. */
START_TEST(test_vtx)
{
	facts.cpuid_svm = facts.flag_svm = facts.flag_npt = false;
	facts.cpuid_vmx = facts.flag_vmx = true;
	facts.module_loaded = false;
	lacks(CHECK_FEATURES, "VT-x without extended page tables (EPT)", "");
	facts.flag_ept = true;
	lacks(CHECK_FEATURES, "VT-x without unrestricted guest mode", "");
	facts.flag_unrestricted = true;
	lacks(CHECK_FEATURES, "VT-x without virtual processor identifiers (VPID)", "");
	facts.flag_vpid = true;
	decide();
	ck_assert_int_eq(finding[0].result, CHECK_OK);
	facts.flag_vmx = false;
	lacks(CHECK_FIRMWARE, "firmware", "Intel Virtualization Technology");
}
END_TEST

START_TEST(test_module_not_loaded)
{
	facts.module_loaded = false;
	lacks(CHECK_MODULE_LOADED, "not loaded", "modprobe hv");
	facts.module_installed = false;
	lacks(CHECK_MODULE_INSTALLED, "not installed for kernel 6.1.0", "insmod build/hv.ko");
}
END_TEST

START_TEST(test_unsigned_module)
{
	facts.module_loaded = false;
	facts.signature_enforced = true;
	decide();
	for (size_t i = 0; i < nr; i++)
		ck_assert_ptr_null(strstr(finding[i].fix, "mokutil"));
	facts.module_unsigned = true;
	lacks(CHECK_MODULE_SIGNATURE, "signatures", "mokutil --import");
	facts.secure_boot = true;
	lacks(CHECK_MODULE_SIGNATURE, "Secure Boot", "/lib/modules/6.1.0/build/scripts/sign-file");
}
END_TEST

START_TEST(test_permission)
{
	facts.root = false;
	facts.open_error = EACCES;
	lacks(CHECK_PERMISSION, "eva may not open /dev/hv",
	      "sudo setfacl -m u:eva:rw /dev/hv   (package acl)");
	strcpy(facts.device_group, "kvm");
	facts.device_mode = 0660;
	lacks(CHECK_PERMISSION, "eva may not open /dev/hv", "sudo usermod -aG kvm eva");
	/* What others may is another matter. */
	facts.device_mode = 0665;
	lacks(CHECK_PERMISSION, "eva may not open /dev/hv", "sudo usermod -aG kvm eva");
	/* A group that may not write is of no use. */
	facts.device_mode = 0640;
	lacks(CHECK_PERMISSION, "eva may not open /dev/hv", "setfacl");
}
END_TEST

START_TEST(test_no_device_node)
{
	facts.open_error = ENOENT;
	lacks(CHECK_DEVICE, "no /dev/hv", "udevadm trigger");
	facts.open_error = EIO;
	lacks(CHECK_DEVICE, "cannot be opened", "dmesg");
}
END_TEST

START_TEST(test_rivals)
{
	facts.create_error = EBUSY;
	facts.rival_loaded[RIVAL_KVM_AMD] = true;
	lacks(CHECK_RIVAL, "kvm_amd holds", "modprobe -r kvm_amd kvm");
	facts.rival_used[RIVAL_KVM_AMD] = true;
	lacks(CHECK_RIVAL, "in use", "modprobe -r kvm_amd kvm");
	facts.rival_loaded[RIVAL_KVM_AMD] = false;
	facts.rival_loaded[RIVAL_VBOX] = true;
	lacks(CHECK_RIVAL, "vboxdrv holds", "vboxnetflt vboxdrv");
	facts.rival_loaded[RIVAL_VBOX] = false;
	lacks(CHECK_RIVAL, "none that is known", "lsmod");
}
END_TEST

START_TEST(test_rival_seen_before_the_module_is_loaded)
{
	facts.module_loaded = false;
	facts.rival_loaded[RIVAL_KVM_INTEL] = true;
	decide();
	for (size_t i = 0; i < nr; i++)
		ck_assert_ptr_null(strstr(finding[i].what, "kvm_intel"));
	facts.kvm_holds = true;
	lacks(CHECK_RIVAL, "kvm_intel holds", "modprobe -r kvm_intel kvm");
}
END_TEST

/* Everything wrong that can be at once still fits. */
START_TEST(test_findings_are_bounded)
{
	memset(&facts, 0, sizeof(facts));
	facts.signature_enforced = facts.secure_boot = facts.kvm_holds = true;
	for (int i = 0; i < NR_RIVALS; i++)
		facts.rival_loaded[i] = facts.rival_used[i] = true;
	memset(facts.kernel, 'k', sizeof(facts.kernel) - 1);
	decide();
	ck_assert(!ready);
	ck_assert_ptr_nonnull(strstr(finding[nr - 1].what, "vmmon"));
}
END_TEST

START_TEST(test_wrong_module)
{
	facts.caps_error = ENOTTY;
	lacks(CHECK_MODULE_ANSWER, "does not answer", "rmmod hv");
	facts.caps_error = 0;
	facts.abi_version = HV_ABI_VERSION + 1;
	lacks(CHECK_MODULE_VERSION, "version", "make install");
	facts.abi_version = HV_ABI_VERSION;
	facts.create_error = ENOMEM;
	lacks(CHECK_MACHINE, "cannot create a VM", "dmesg");
}
END_TEST

/* ------------------------------------------------------------------------- */

static char root[64];

static void make_root(void)
{
	strcpy(root, "/tmp/hostcheck.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(root));
	memset(&facts, 0, sizeof(facts));
	strcpy(facts.kernel, "6.1.0");
}

static void remove_root(void)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -rf %s", root);
	ck_assert_int_eq(system(command), 0);
}

static void put(const char *name, const char *text, size_t len)
{
	char path[256];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", root, name);
	for (char *s = path + strlen(root) + 1; (s = strchr(s, '/')); s++) {
		*s = '\0';
		mkdir(path, 0755);
		*s = '/';
	}
	file = fopen(path, "w");
	ck_assert_ptr_nonnull(file);
	ck_assert_uint_eq(fwrite(text, 1, len, file), len);
	fclose(file);
}

static void put_text(const char *name, const char *text)
{
	put(name, text, strlen(text));
}

START_TEST(test_files_that_are_not_there)
{
	hostcheck_read_files(root, &facts);
	ck_assert(!facts.flag_svm && !facts.flag_vmx);
	ck_assert(!facts.flag_npt && !facts.flag_ept && !facts.flag_unrestricted &&
		  !facts.flag_vpid);
	ck_assert(!facts.module_loaded && !facts.module_installed && !facts.module_unsigned);
	ck_assert(!facts.secure_boot && !facts.signature_enforced && !facts.kvm_holds);
}
END_TEST

START_TEST(test_cpuinfo)
{
	/* Flags are words, not parts of words; only the first processor counts. */
	put_text("proc/cpuinfo", "processor\t: 0\nflags\t\t: fpu svm_lock npt2 vmxx\n\n"
				 "flags\t\t: svm npt vmx\n");
	hostcheck_read_files(root, &facts);
	ck_assert(!facts.flag_svm && !facts.flag_vmx && !facts.flag_npt);

	put_text("proc/cpuinfo", "flags\t\t: fpu svm xsvm npt\n\n");
	hostcheck_read_files(root, &facts);
	ck_assert(facts.flag_svm && facts.flag_npt && !facts.flag_vmx);

	put_text("proc/cpuinfo",
		 "flags\t\t: fpu vmx ept vpid\nvmx flags\t: vnmi ept_ad invvpid\n\n");
	hostcheck_read_files(root, &facts);
	ck_assert(facts.flag_vmx && !facts.flag_svm && !facts.flag_npt);
	ck_assert(!facts.flag_ept && !facts.flag_unrestricted && !facts.flag_vpid);
	put_text("proc/cpuinfo",
		 "flags\t\t: fpu vmx\nvmx flags\t: vnmi ept unrestricted_guest\n\n");
	hostcheck_read_files(root, &facts);
	ck_assert(facts.flag_ept && facts.flag_unrestricted && !facts.flag_vpid);
	put_text("proc/cpuinfo", "flags\t\t: fpu vmx\nvmx flags\t: vnmi vpid\n\n");
	hostcheck_read_files(root, &facts);
	ck_assert(!facts.flag_ept && !facts.flag_unrestricted && facts.flag_vpid);
}
END_TEST

START_TEST(test_modules)
{
	put_text("proc/modules", "hv_vmbus 1 0 - Live 0x0\nkvm_amd 1 3 - Live 0x0\n"
				 "kvm 1 1 kvm_amd, Live 0x0\n");
	hostcheck_read_files(root, &facts);
	ck_assert(!facts.module_loaded);
	ck_assert(facts.rival_loaded[RIVAL_KVM_AMD] && facts.rival_used[RIVAL_KVM_AMD]);
	ck_assert(!facts.rival_loaded[RIVAL_KVM_INTEL] && !facts.rival_loaded[RIVAL_VBOX]);
	put_text("proc/modules", "hv 1 0 - Live 0x0\n");
	hostcheck_read_files(root, &facts);
	ck_assert(facts.module_loaded);
}
END_TEST

START_TEST(test_installed_and_signed)
{
	static const char dep[] = "kernel/drivers/hv/hv_vmbus.ko:\nextra/hv.ko: a.ko\n";

	put_text("lib/modules/6.1.0/modules.dep", dep);
	put_text("lib/modules/6.1.0/extra/hv.ko", "an ELF file without a signature, long enough");
	hostcheck_read_files(root, &facts);
	ck_assert(facts.module_installed && facts.module_unsigned);

	facts.module_installed = facts.module_unsigned = false;
	put_text("lib/modules/6.1.0/extra/hv.ko", "an ELF file~Module signature appended~\n");
	hostcheck_read_files(root, &facts);
	ck_assert(facts.module_installed && !facts.module_unsigned);

	facts.module_installed = false;
	put_text("lib/modules/6.1.0/modules.dep", "kernel/drivers/hv/hv_vmbus.ko:\nno colon\n");
	hostcheck_read_files(root, &facts);
	ck_assert(!facts.module_installed);
}
END_TEST

START_TEST(test_secure_boot)
{
	static const char name[] = "sys/firmware/efi/efivars/"
				   "SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c";

	put(name, "\6\0\0\0\0", 5);
	hostcheck_read_files(root, &facts);
	ck_assert(!facts.secure_boot);
	put(name, "\6\0\0\0\1", 5);
	put_text("sys/kernel/security/lockdown", "none [integrity] confidentiality\n");
	hostcheck_read_files(root, &facts);
	ck_assert(facts.secure_boot && facts.signature_enforced);
	put_text("sys/kernel/security/lockdown", "[none] integrity confidentiality\n");
	hostcheck_read_files(root, &facts);
	ck_assert(!facts.signature_enforced);
	put_text("sys/module/module/parameters/sig_enforce", "Y\n");
	put_text("sys/module/kvm/parameters/enable_virt_at_load", "Y\n");
	hostcheck_read_files(root, &facts);
	ck_assert(facts.signature_enforced && facts.kvm_holds);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("hostcheck");
	TCase *rules = tcase_create("rules");
	TCase *files = tcase_create("files");

	tcase_add_checked_fixture(rules, setup, NULL);
	tcase_add_test(rules, test_good_host);
	tcase_add_test(rules, test_ids);
	tcase_add_test(rules, test_no_landlock);
	tcase_add_test(rules, test_no_virtualisation);
	tcase_add_test(rules, test_firmware_lock);
	tcase_add_test(rules, test_no_nested_paging);
	tcase_add_test(rules, test_vtx);
	tcase_add_test(rules, test_module_not_loaded);
	tcase_add_test(rules, test_unsigned_module);
	tcase_add_test(rules, test_permission);
	tcase_add_test(rules, test_no_device_node);
	tcase_add_test(rules, test_rivals);
	tcase_add_test(rules, test_rival_seen_before_the_module_is_loaded);
	tcase_add_test(rules, test_findings_are_bounded);
	tcase_add_test(rules, test_wrong_module);
	suite_add_tcase(suite, rules);
	tcase_add_checked_fixture(files, make_root, remove_root);
	tcase_add_test(files, test_files_that_are_not_there);
	tcase_add_test(files, test_cpuinfo);
	tcase_add_test(files, test_modules);
	tcase_add_test(files, test_installed_and_signed);
	tcase_add_test(files, test_secure_boot);
	suite_add_tcase(suite, files);
	return suite_run(suite);
}
