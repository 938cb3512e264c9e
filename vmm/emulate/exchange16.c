// SPDX-License-Identifier: GPL-2.0-or-later
/* CMPXCHG16B: the one integer that is wider than a register. Called by emulate.c. */
#include <string.h>

#include "emulate/alu.h"
#include "emulate/internal.h"

static u128 pair(const struct emu *emu, enum hv_gpr high, enum hv_gpr low)
{
	return (u128)emu->gprs.r[high] << 64 | emu->gprs.r[low];
}

/* Its operand is aligned, and so lies in one page. Returns what was there. */
static u128 exchange_ram(uint8_t *ram, u128 old, u128 value)
{
	uint64_t low = (uint64_t)old, high = (uint64_t)(old >> 64);

	__asm__ volatile("lock cmpxchg16b %0"
			 : "+m"(*(u128 *)ram), "+a"(low), "+d"(high)
			 : "b"((uint64_t)value), "c"((uint64_t)(value >> 64))
			 : "cc", "memory");
	return (u128)high << 64 | low;
}

static u128 exchange_device(const struct emu *emu, const struct walk_range *access, u128 old,
			    u128 value)
{
	u128 found;

	emu_load_bytes(emu, access, &found);
	/* The destination gets its own value again. */
	emu_store_bytes(emu, access, found == old ? &value : &found);
	return found;
}

enum emu_result emu_exchange16(struct emu *emu)
{
	u128 old = pair(emu, HV_RDX, HV_RAX), value = pair(emu, HV_RCX, HV_RBX), found;
	struct walk_range access;
	enum emu_result ret;

	if (emu->insn.mnemonic != ZYDIS_MNEMONIC_CMPXCHG16B)
		return EMU_UNKNOWN;
	ret = emu_find_aligned(emu, 0, true, &access);
	if (ret != EMU_OK)
		return ret;

	if (access.part[0].to)
		found = exchange_ram(access.part[0].to, old, value);
	else
		found = exchange_device(emu, &access, old, value);
	alu_set_flag(&emu->gprs.rflags, FLAG_ZF, found == old);
	emu->gprs.r[HV_RAX] = (uint64_t)found;
	emu->gprs.r[HV_RDX] = (uint64_t)(found >> 64);
	return EMU_OK;
}
