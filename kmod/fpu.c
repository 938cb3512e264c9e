// SPDX-License-Identifier: GPL-2.0
/*
 * The guest's extended state (x87, SSE, AVX, ...). The host's is saved by
 * kernel_fpu_begin_mask(), the guest's in an XSAVE area of ours, once around
 * the inner run loop: interrupt handlers find the FPU in use and keep away.
 */
#define pr_fmt(fmt) "hv: " fmt

#include <linux/slab.h>
#include <linux/uaccess.h>
#include <asm/cpufeature.h>
#include <asm/fpu/api.h>
#include <asm/fpu/types.h>
#include <asm/fpu/xcr.h>
#include <asm/msr.h>
#include <asm/processor.h>

#include "hv_internal.h"

#define GUEST_XCR0 (XFEATURE_MASK_FP | XFEATURE_MASK_SSE | XFEATURE_MASK_YMM | XFEATURE_MASK_AVX512)

/* Power-up values (AMD APM Vol. 2, table 14-1; Intel SDM Vol. 1, 13.6). */
#define FCW_RESET   0x037f
#define MXCSR_RESET 0x1f80

static u32 mxcsr_mask;

/* The features guests may use; one line on failure. */
int fpu_setup(void)
{
	struct fxregs_state *fx;

	if (!boot_cpu_has(X86_FEATURE_XSAVE)) {
		pr_err("this CPU has no XSAVE\n");
		return -EOPNOTSUPP;
	}
	hv_host.xcr0 = xgetbv(XCR_XFEATURE_ENABLED_MASK);
	hv_host.guest_xcr0 = hv_host.xcr0 & GUEST_XCR0;
	if (boot_cpu_has(X86_FEATURE_XSAVES))
		rdmsrl(MSR_IA32_XSS, hv_host.xss);

	fx = kzalloc(sizeof(*fx), GFP_KERNEL);
	if (!fx)
		return -ENOMEM;
	kernel_fpu_begin();
	asm volatile("fxsave %0" : "+m"(*fx));
	kernel_fpu_end();
	/* Intel SDM Vol. 1, 11.6.6: a zero mask means 0xffbf. */
	mxcsr_mask = fx->mxcsr_mask ?: 0xffbf;
	kfree(fx);
	return 0;
}

/* XSAVE wants 64-byte alignment: kmalloc gives it to powers of two. */
int fpu_create(struct hv_vcpu *v)
{
	v->xstate = kzalloc(roundup_pow_of_two(hv_host.xsave_size), GFP_KERNEL_ACCOUNT);
	return v->xstate ? 0 : -ENOMEM;
}

void fpu_free(struct hv_vcpu *v)
{
	kfree(v->xstate);
}

void fpu_reset(struct hv_vcpu *v)
{
	memset(v->xstate, 0, hv_host.xsave_size);
	v->xstate->i387.cwd = FCW_RESET;
	v->xstate->i387.mxcsr = MXCSR_RESET;
	v->xstate->header.xfeatures = XFEATURE_MASK_FPSSE;
}

static void load(const struct xregs_state *x)
{
	/* XRSTOR leaves the last instruction's addresses, the host's, on these CPUs. */
	if (static_cpu_has_bug(X86_BUG_FXSAVE_LEAK))
		asm volatile("fnclex; emms; fildl %0" : : "m"(*x));
	asm volatile("xrstor64 %0"
		     :
		     : "m"(*x), "a"((u32)hv_host.guest_xcr0), "d"((u32)(hv_host.guest_xcr0 >> 32))
		     : "memory");
}

static void save(struct xregs_state *x)
{
	asm volatile("xsave64 %0"
		     : "+m"(*x)
		     : "a"((u32)hv_host.guest_xcr0), "d"((u32)(hv_host.guest_xcr0 >> 32))
		     : "memory");
}

/* Entering the loop: disables preemption until fpu_put(). */
void fpu_load(struct hv_vcpu *v)
{
	kernel_fpu_begin_mask(0);
	load(v->xstate);
	if (v->xcr0 != hv_host.xcr0)
		xsetbv(XCR_XFEATURE_ENABLED_MASK, v->xcr0);
	/*
	 * A guest can execute XSAVES whatever CPUID says (AMD has no intercept
	 * for it): it must not meet the host's supervisor state.
	 */
	if (hv_host.xss)
		wrmsrl(MSR_IA32_XSS, 0);
}

/*
 * XCR0 as it is now, in the loop. The register is asked, because QEMU's emulated
 * AMD-V (up to 7.2 at least) carries XSETBV out in spite of the intercept.
 */
void fpu_sync_xcr0(struct hv_vcpu *v)
{
	v->xcr0 = xgetbv(XCR_XFEATURE_ENABLED_MASK);
}

void fpu_put(struct hv_vcpu *v)
{
	if (hv_host.xss)
		wrmsrl(MSR_IA32_XSS, hv_host.xss);
	fpu_sync_xcr0(v);
	if (v->xcr0 != hv_host.xcr0)
		xsetbv(XCR_XFEATURE_ENABLED_MASK, hv_host.xcr0);
	save(v->xstate);
	kernel_fpu_end();
}

int fpu_get_image(struct hv_vcpu *v, void __user *dst, u32 len)
{
	if (len != hv_host.xsave_size)
		return -EINVAL;
	return copy_to_user(dst, v->xstate, len) ? -EFAULT : 0;
}

/* Refuses what XRSTOR would fault on (Intel SDM Vol. 1, 13.8.1). */
int fpu_set_image(struct hv_vcpu *v, const void __user *src, u32 len)
{
	struct xregs_state *x;
	int r = -EFAULT;

	if (len != hv_host.xsave_size)
		return -EINVAL;
	x = kzalloc(roundup_pow_of_two(hv_host.xsave_size), GFP_KERNEL_ACCOUNT);
	if (!x)
		return -ENOMEM;
	if (copy_from_user(x, src, len))
		goto out;
	r = -EINVAL;
	if (x->header.xfeatures & ~hv_host.guest_xcr0 || x->header.xcomp_bv ||
	    memchr_inv(x->header.reserved, 0, sizeof(x->header.reserved)) ||
	    x->i387.mxcsr & ~mxcsr_mask)
		goto out;
	swap(v->xstate, x);
	r = 0;
out:
	kfree(x);
	return r;
}
