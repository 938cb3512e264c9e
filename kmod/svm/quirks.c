// SPDX-License-Identifier: GPL-2.0
/*
 * What emulators of AMD-V get wrong, and the ways around it. No real processor needs
 * them: they are taken under a hypervisor, or as the module's parameters say.
 */
#define pr_fmt(fmt) "hv: " fmt

#include <linux/module.h>
#include <asm/cpufeature.h>

#include "svm.h"

static int losesshadow = -1;
module_param(losesshadow, int, 0444);
MODULE_PARM_DESC(
	losesshadow,
	"VMRUN does not load the interrupt shadow: 0 or 1 (default -1: under a hypervisor)");
static int injectstwice = -1;
module_param(injectstwice, int, 0444);
MODULE_PARM_DESC(
	injectstwice,
	"an injected interrupt may be delivered again: 0 or 1 (default -1: under a hypervisor)");

struct svm_quirks svm_quirks __ro_after_init;

int svm_quirks_setup(void)
{
	bool emulated = boot_cpu_has(X86_FEATURE_HYPERVISOR);

	if (losesshadow < -1 || losesshadow > 1) {
		pr_err("losesshadow=%d: must be 0, 1 or -1\n", losesshadow);
		return -EINVAL;
	}
	if (injectstwice < -1 || injectstwice > 1) {
		pr_err("injectstwice=%d: must be 0, 1 or -1\n", injectstwice);
		return -EINVAL;
	}
	svm_quirks.loses_shadow = losesshadow < 0 ? emulated : losesshadow;
	svm_quirks.injects_twice = injectstwice < 0 ? emulated : injectstwice;
	return 0;
}

/*
 * An interrupt goes in as a virtual one, which the processor takes at once: the caller
 * has seen that it can. Not by EVENTINJ, after which QEMU (7.2 at least) keeps the vector
 * and may deliver it a second time. Elsewhere not so, since Bochs (2.7 at least) takes
 * none before the guest has set IF anew.
 */
void svm_inject_virtual(struct hv_vcpu *v, u8 vector)
{
	struct svm_vcpu *s = to_svm(v);
	struct vmcb *b = s->vmcb;

	s->virq = true;
	b->c.int_ctl |= INT_V_IRQ_BITS;
	b->c.int_vector = vector;
	b->c.intercept[3] &= ~ICPT3_VINTR;
	vmcb_dirty(b, CLEAN_INTERCEPTS | CLEAN_TPR);
}

/* After an exit: was the virtual interrupt taken? Otherwise it goes in again. */
void svm_virq_done(struct hv_vcpu *v)
{
	struct svm_vcpu *s = to_svm(v);
	struct vmcb *b = s->vmcb;
	struct hv_event e = {.type = EVENT_INTERRUPT, .vector = b->c.int_vector};

	s->virq = false;
	if (b->c.int_ctl & INT_V_IRQ && v->inject.type == EVENT_NONE)
		event_requeue(v, &e);
	b->c.int_ctl &= ~INT_V_IRQ_BITS;
	vmcb_dirty(b, CLEAN_TPR);
}

/* QEMU (7.2 at least) calls an interrupt whose delivery was cut short an exception. */
bool svm_quirk_is_interrupt(u8 vector)
{
	return vector > 31;
}

/* QEMU (7.2 at least) reports INVD as WBINVD. */
bool svm_quirk_is_invd(struct hv_vcpu *v)
{
	u8 bytes[16] __aligned(8);
	int n;

	if (svm_features.nrips)
		return false;
	n = guest_fetch(v, bytes);
	return n > 0 && decode_length(bytes, n, code_mode(v), (const u8 *)"\x0f\x08", 2);
}
