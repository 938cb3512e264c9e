/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Whether a host can run VMs: what was found out about it, and what follows from
 * that. facts.c gathers the facts, check.c has the rules, cmd/check.c prints.
 */
#ifndef VMM_HOST_CHECK_H
#define VMM_HOST_CHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

enum hostcheck_firmware {
	FIRMWARE_UNKNOWN,
	FIRMWARE_ALLOWS,
	FIRMWARE_FORBIDS,
};

/* Modules of other hypervisors that take the processor's virtualisation. */
enum hostcheck_rival {
	RIVAL_KVM_AMD,
	RIVAL_KVM_INTEL,
	RIVAL_VBOX,
	RIVAL_VMWARE,
	NR_RIVALS,
};

struct hostcheck_facts {
	bool root;	 /* the caller is root: no sudo in the remedies */
	char kernel[65]; /* release of the running kernel */

	/* processor */
	bool cpuid_svm, cpuid_vmx; /* by the CPUID instruction */
	bool flag_svm, flag_vmx;   /* in /proc/cpuinfo: what the kernel lets through */
	/* there, too: what hv needs of AMD-V, and of VT-x */
	bool flag_npt;
	bool flag_ept, flag_unrestricted, flag_vpid;
	bool hypervisor;		  /* this host is itself a guest */
	enum hostcheck_firmware firmware; /* by the MSR that locks virtualisation */

	/* module and device */
	bool module_loaded;
	bool module_installed; /* modprobe would find it */
	bool module_unsigned;  /* for sure: it is there and carries no signature */
	bool secure_boot;
	bool signature_enforced; /* the kernel refuses unsigned modules */
	int open_error;		 /* errno of open("/dev/hv"); 0: opened */
	mode_t device_mode;
	char device_group[33]; /* of /dev/hv; "" for root's */
	char user[33];

	/* what the module answers */
	int caps_error; /* errno of HV_GET_CAPS; 0 with the fields below */
	unsigned int abi_version;
	unsigned int backend; /* enum hv_backend */
	unsigned int max_vcpus;
	int create_error; /* errno of HV_CREATE_VM; 0: a VM was created */

	/* others */
	bool rival_loaded[NR_RIVALS];
	bool rival_used[NR_RIVALS]; /* its use count is not zero */
	bool kvm_holds;		    /* kvm.enable_virt_at_load: loaded means holding */

	bool landlock; /* the kernel has it, and it is on */
};

/* What a finding is about. Programs go by the names, which stay as they are; see hostcheck_id(). */
enum hostcheck_subject {
	CHECK_PROCESSOR,
	CHECK_FIRMWARE,
	CHECK_FEATURES,
	CHECK_MODULE_INSTALLED,
	CHECK_MODULE_LOADED,
	CHECK_MODULE_SIGNATURE,
	CHECK_MODULE_ANSWER,
	CHECK_MODULE_VERSION,
	CHECK_DEVICE,
	CHECK_PERMISSION,
	CHECK_RIVAL,
	CHECK_MACHINE,
	CHECK_SANDBOX,
	NR_CHECKS,
};

enum hostcheck_result {
	CHECK_OK,
	CHECK_WARN, /* machines can run all the same */
	CHECK_FAIL,
};

struct hostcheck_finding {
	enum hostcheck_subject subject;
	enum hostcheck_result result;
	char what[160];
	char fix[256]; /* the command that mends it; "" when good or none exists */
};

#define HOSTCHECK_MAX_FINDINGS 9

/* Their names for programs: "module-loaded"; "ok", "warn", "fail". */
const char *hostcheck_id(enum hostcheck_subject subject);
const char *hostcheck_result(enum hostcheck_result result);

/*
 * The findings, in the order in which to mend them; returns how many. *ready is
 * set when VMs can run.
 */
size_t hostcheck_decide(const struct hostcheck_facts *f,
			struct hostcheck_finding out[HOSTCHECK_MAX_FINDINGS], bool *ready);

/* Everything about the host that runs us. Creates a VM for a moment, to see whether it can. */
void hostcheck_gather(struct hostcheck_facts *f);

/*
 * What the files below root ("" for this host, a folder in tests) tell:
 * processor flags, modules, Secure Boot. Fills those fields of *f only.
 */
void hostcheck_read_files(const char *root, struct hostcheck_facts *f);

#endif
