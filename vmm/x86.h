/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Bits of the x86 registers (Intel SDM Vol. 3, ch. 2), for boot/, the emulator and task.c. */
#ifndef VMM_X86_H
#define VMM_X86_H

#define CR0_PE	    (1ULL << 0)
#define CR0_MP	    (1ULL << 1)
#define CR0_EM	    (1ULL << 2)
#define CR0_TS	    (1ULL << 3)
#define CR0_ET	    (1ULL << 4) /* hard-wired to 1 */
#define CR0_WP	    (1ULL << 16)
#define CR0_AM	    (1ULL << 18)
#define CR0_PG	    (1ULL << 31)

#define CR4_PSE	    (1ULL << 4)
#define CR4_PAE	    (1ULL << 5)
#define CR4_OSFXSR  (1ULL << 9)
#define CR4_UMIP    (1ULL << 11)
#define CR4_LA57    (1ULL << 12)
#define CR4_OSXSAVE (1ULL << 18)
#define CR4_SMEP    (1ULL << 20)
#define CR4_SMAP    (1ULL << 21)

#define EFER_LME    (1ULL << 8)
#define EFER_LMA    (1ULL << 10)
#define EFER_NXE    (1ULL << 11)

#define FLAG_CF	    (1ULL << 0)
#define FLAG_PF	    (1ULL << 2)
#define FLAG_AF	    (1ULL << 4)
#define FLAG_ZF	    (1ULL << 6)
#define FLAG_SF	    (1ULL << 7)
#define FLAG_TF	    (1ULL << 8)
#define FLAG_IF	    (1ULL << 9)
#define FLAG_DF	    (1ULL << 10)
#define FLAG_OF	    (1ULL << 11)
#define FLAG_IOPL   (3ULL << 12)
#define FLAG_NT	    (1ULL << 14)
#define FLAG_RF	    (1ULL << 16)
#define FLAG_VM	    (1ULL << 17)
#define FLAG_AC	    (1ULL << 18)
#define FLAG_ID	    (1ULL << 21)

#define DR6_BS	    (1ULL << 14)
#define DR6_BT	    (1ULL << 15)
#define DR7_LOCAL   0x155ULL /* L0 to L3, LE */

#define VECTOR_DE   0
#define VECTOR_DB   1
#define VECTOR_BR   5
#define VECTOR_UD   6
#define VECTOR_NM   7
#define VECTOR_DF   8
#define VECTOR_TS   10
#define VECTOR_NP   11
#define VECTOR_SS   12
#define VECTOR_GP   13
#define VECTOR_PF   14
#define VECTOR_MF   16
#define VECTOR_AC   17

#endif
