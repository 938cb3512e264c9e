/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An image of HV_GET_XSAVE: x87, MMX and vector registers in the standard format of XSAVE
 * (Intel SDM Vol. 1, 13.4). Used by the instruction emulator.
 */
#ifndef VMM_EMULATE_XSTATE_H
#define VMM_EMULATE_XSTATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* XCR0's bits, which are the components' */
#define XCR0_SSE    (1ULL << 1)
#define XCR0_AVX    (1ULL << 2)
#define XCR0_AVX512 (7ULL << 5)

struct xstate {
	uint8_t *image; /* aligned to 64 bytes */
	uint32_t size;
};

/* Where an image begins: what FXSAVE64 stores (Intel SDM Vol. 1, table 10-2). */
struct xstate_legacy {
	uint16_t fcw, fsw;
	uint8_t ftw; /* a bit for each register that is not empty */
	uint8_t pad;
	uint16_t fop;
	uint64_t fip, fdp;
	uint32_t mxcsr, mxcsr_mask;
	uint8_t st[8][16]; /* ST(0) first, ten bytes each */
	uint8_t xmm[16][16];
	uint8_t rest[96];
};

/* The x87 registers, which are in the image from then on. */
struct xstate_legacy *xstate_x87(struct xstate *x);

/*
 * What all MMX instructions do to the x87 registers: none is empty, and TOP is 0, so that ST(i)
 * is MMi. Reads and writes follow it.
 */
void xstate_enter_mmx(struct xstate *x);
uint64_t xstate_read_mmx(struct xstate *x, unsigned int reg);
void xstate_write_mmx(struct xstate *x, unsigned int reg, uint64_t value);

/* Registers 0 to 31, as wide as they can be: what the processor has not reads as zero. */
#define XSTATE_VECTOR 64
void xstate_read_vector(const struct xstate *x, unsigned int reg, uint8_t value[XSTATE_VECTOR]);
void xstate_write_vector(struct xstate *x, unsigned int reg, const uint8_t value[XSTATE_VECTOR]);

uint32_t xstate_mxcsr(const struct xstate *x);
/* False: bits that this processor does not have. */
bool xstate_set_mxcsr(struct xstate *x, uint32_t mxcsr);

#endif
