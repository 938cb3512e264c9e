/* SPDX-License-Identifier: GPL-2.0 */
/* Offsets in hv_gprs.r[], 8 bytes each in the processor's own order; for assembly. */
#ifndef HV_REGS_H
#define HV_REGS_H

#define R_AX (0 * 8)
#define R_CX (1 * 8)
#define R_DX (2 * 8)
#define R_BX (3 * 8)
#define R_BP (5 * 8)
#define R_SI (6 * 8)
#define R_DI (7 * 8)
#define R_8  (8 * 8)
#define R_9  (9 * 8)
#define R_10 (10 * 8)
#define R_11 (11 * 8)
#define R_12 (12 * 8)
#define R_13 (13 * 8)
#define R_14 (14 * 8)
#define R_15 (15 * 8)

#endif
