// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The emulator's way to registers, memory, devices and ports: segmentation,
 * paging, I/O permission. Called by the files of the classes of instructions.
 */
#include <string.h>

#include "emulate/alu.h"
#include "emulate/internal.h"
#include "emulate/segment.h"

/* Task-state segment (Intel SDM Vol. 3, "32-Bit Task-State Segment") */
#define TSS_IO_MAP    0x66
#define TSS_MIN_LIMIT 0x67

/* ------------------------------------------------------------------------- */
/* Registers                                                                  */

uint64_t emu_read_low(const struct emu *emu, enum hv_gpr reg, unsigned int bits)
{
	return emu->gprs.r[reg] & alu_mask(bits / 8);
}

void emu_write_low(struct emu *emu, enum hv_gpr reg, unsigned int bits, uint64_t value)
{
	uint64_t mask = alu_mask(bits / 8);
	uint64_t kept = bits < 32 ? emu->gprs.r[reg] & ~mask : 0;

	emu->gprs.r[reg] = kept | (value & mask);
}

/* AH, CH, DH and BH are the second bytes of the first four. */
static bool is_high_byte(ZydisRegister reg)
{
	return reg >= ZYDIS_REGISTER_AH && reg <= ZYDIS_REGISTER_BH;
}

static enum hv_gpr gpr_number(ZydisRegister reg)
{
	ZydisRegister full = ZydisRegisterGetLargestEnclosing(ZYDIS_MACHINE_MODE_LONG_64, reg);

	return (enum hv_gpr)ZydisRegisterGetId(full);
}

static unsigned int reg_bits(ZydisRegister reg)
{
	return ZydisRegisterGetWidth(ZYDIS_MACHINE_MODE_LONG_64, reg);
}

uint64_t emu_read_reg(const struct emu *emu, ZydisRegister reg)
{
	uint64_t value = emu->gprs.r[gpr_number(reg)];

	if (is_high_byte(reg))
		return value >> 8 & 0xff;
	return value & alu_mask(reg_bits(reg) / 8);
}

void emu_write_reg(struct emu *emu, ZydisRegister reg, uint64_t value)
{
	enum hv_gpr number = gpr_number(reg);
	__u64 *r = &emu->gprs.r[number];

	if (is_high_byte(reg))
		*r = (*r & ~0xff00ULL) | (value & 0xff) << 8;
	else
		emu_write_low(emu, number, reg_bits(reg), value);
}

enum emu_result emu_get_xstate(struct emu *emu, struct xstate **x)
{
	emu->error = -emu->env->ops->get_xstate(emu->env->arg, x);
	return emu->error ? EMU_BROKEN : EMU_OK;
}

enum emu_result emu_set_xstate(struct emu *emu)
{
	emu->error = -emu->env->ops->set_xstate(emu->env->arg);
	return emu->error ? EMU_BROKEN : EMU_OK;
}

/* ------------------------------------------------------------------------- */
/* Faults                                                                     */

unsigned int emu_cpl(const struct emu *emu)
{
	const struct hv_sregs *s = &emu->run->sregs;

	if (!(s->cr0 & CR0_PE))
		return 0;
	if (emu->gprs.rflags & FLAG_VM)
		return 3;
	return (s->ss.ar & HV_AR_DPL) >> 5;
}

enum emu_result emu_raise(struct emu *emu, uint8_t vector, bool has_error, uint32_t error)
{
	emu->fault.vector = vector;
	/* Real mode's interrupt table has no error codes (Intel SDM Vol. 3, 21.1.4). */
	emu->fault.has_error = has_error && (emu->run->sregs.cr0 & CR0_PE);
	emu->fault.error = error;
	return EMU_FAULT;
}

static enum emu_result page_fault(struct emu *emu, uint64_t la, uint32_t error)
{
	emu->fault.has_cr2 = true;
	emu->fault.cr2 = la;
	return emu_raise(emu, VECTOR_PF, true, error);
}

/* ------------------------------------------------------------------------- */
/* Linear to physical                                                         */

static enum emu_result translate_linear(struct emu *emu, uint64_t la, unsigned int size,
					unsigned int walk_flags, struct walk_range *access)
{
	struct walk_fault fault;

	switch (walk_range(emu->env->mem, &emu->run->sregs, la, size, walk_flags, access, &fault)) {
	case WALK_FAULT:
		return page_fault(emu, fault.la, fault.error);
	case WALK_RETRY:
		return EMU_RETRY;
	case WALK_OK:
		break;
	}
	return EMU_OK;
}

/* ------------------------------------------------------------------------- */
/* Segmentation (Intel SDM Vol. 3, ch. "Protection"; AMD APM Vol. 2, ch. 4)   */

struct hv_segment *emu_segment(const struct emu *emu, ZydisRegister segment)
{
	struct hv_sregs *s = &emu->run->sregs;

	switch (segment) {
	case ZYDIS_REGISTER_CS:
		return &s->cs;
	case ZYDIS_REGISTER_SS:
		return &s->ss;
	case ZYDIS_REGISTER_ES:
		return &s->es;
	case ZYDIS_REGISTER_FS:
		return &s->fs;
	case ZYDIS_REGISTER_GS:
		return &s->gs;
	default:
		return &s->ds;
	}
}

bool emu_is_canonical(const struct emu *emu, uint64_t la)
{
	unsigned int unused = emu->run->sregs.cr4 & CR4_LA57 ? 64 - 57 : 64 - 48;

	return (uint64_t)((int64_t)(la << unused) >> unused) == la;
}

static bool rights_allow(const struct hv_segment *seg, bool write)
{
	if ((seg->ar & HV_AR_UNUSABLE) || !(seg->ar & HV_AR_P))
		return false;
	if (seg->ar & SEG_CODE)
		return !write && (seg->ar & SEG_CODE_READABLE);
	return !write || (seg->ar & SEG_DATA_WRITABLE);
}

static enum emu_result to_linear(struct emu *emu, ZydisRegister segment, uint64_t offset,
				 unsigned int size, bool write, uint64_t *la)
{
	const struct hv_segment *seg = emu_segment(emu, segment);
	uint8_t vector = segment == ZYDIS_REGISTER_SS ? VECTOR_SS : VECTOR_GP;
	/* Virtual-8086 mode goes by the limit alone, as real mode does. */
	bool protected = emu_is_protected(emu);

	if (emu_is_long(emu)) {
		*la = offset;
		if (segment == ZYDIS_REGISTER_FS || segment == ZYDIS_REGISTER_GS)
			*la += seg->base;
		if (emu_is_canonical(emu, *la) && emu_is_canonical(emu, *la + size - 1))
			return EMU_OK;
		return emu_raise(emu, vector, true, 0);
	}
	if ((protected && !rights_allow(seg, write)) ||
	    !segment_covers(seg, protected, offset, size))
		return emu_raise(emu, vector, true, 0);
	*la = (uint32_t)(seg->base + offset);
	return EMU_OK;
}

static bool is_misaligned(const struct emu *emu, uint64_t la, unsigned int size)
{
	/* What has no power of two as its size is made of pieces that have. */
	return (la & ((size & -size) - 1)) && emu_cpl(emu) == 3 && (emu->run->sregs.cr0 & CR0_AM) &&
	       (emu->gprs.rflags & FLAG_AC);
}

static unsigned int privilege_flags(const struct emu *emu)
{
	return (emu_cpl(emu) == 3 ? WALK_USER : 0) | (emu->gprs.rflags & FLAG_AC ? WALK_AC : 0);
}

static enum emu_result translate(struct emu *emu, ZydisRegister segment, uint64_t offset,
				 unsigned int size, unsigned int align, bool write,
				 struct walk_range *access)
{
	enum emu_result ret;
	uint64_t la;

	ret = to_linear(emu, segment, offset, size, write, &la);
	if (ret != EMU_OK)
		return ret;
	if (la & (align - 1))
		return emu_raise(emu, VECTOR_GP, true, 0);
	if (is_misaligned(emu, la, size))
		return emu_raise(emu, VECTOR_AC, true, 0);
	return translate_linear(emu, la, size, privilege_flags(emu) | (write ? WALK_WRITE : 0),
				access);
}

enum emu_result emu_translate(struct emu *emu, ZydisRegister segment, uint64_t offset,
			      unsigned int size, bool write, struct walk_range *access)
{
	return translate(emu, segment, offset, size, 1, write, access);
}

enum emu_result emu_translate_aligned(struct emu *emu, ZydisRegister segment, uint64_t offset,
				      unsigned int size, bool write, struct walk_range *access)
{
	return translate(emu, segment, offset, size, size, write, access);
}

enum emu_result emu_translate_table(struct emu *emu, uint64_t la, unsigned int size, bool write,
				    struct walk_range *access)
{
	if (!(emu->run->sregs.efer & EFER_LMA))
		la = (uint32_t)la;
	return translate_linear(emu, la, size, WALK_IMPLICIT | (write ? WALK_WRITE : 0), access);
}

enum emu_result emu_translate_fetch(struct emu *emu, uint64_t offset, struct walk_range *access)
{
	const struct hv_segment *cs = &emu->run->sregs.cs;
	uint64_t la = offset;

	if (emu_is_long(emu)) {
		if (!emu_is_canonical(emu, la))
			return emu_raise(emu, VECTOR_GP, true, 0);
	} else {
		if (offset > cs->limit)
			return emu_raise(emu, VECTOR_GP, true, 0);
		la = (uint32_t)(cs->base + offset);
	}
	return translate_linear(emu, la, 1, privilege_flags(emu) | WALK_FETCH, access);
}

/* ------------------------------------------------------------------------- */
/* Memory and devices                                                         */

/* What another vCPU must see in one piece, if it is aligned (Intel SDM Vol. 3, 9.1.1). */
static uint64_t load_ram(const uint8_t *ram, unsigned int len)
{
	uint64_t value = 0;

	if ((uintptr_t)ram % len == 0) {
		switch (len) {
		case 2:
			return __atomic_load_n((const uint16_t *)ram, __ATOMIC_ACQUIRE);
		case 4:
			return __atomic_load_n((const uint32_t *)ram, __ATOMIC_ACQUIRE);
		case 8:
			return __atomic_load_n((const uint64_t *)ram, __ATOMIC_ACQUIRE);
		}
	}
	memcpy(&value, ram, len);
	return value;
}

static void store_ram(uint8_t *ram, unsigned int len, uint64_t value)
{
	if ((uintptr_t)ram % len == 0) {
		switch (len) {
		case 2:
			__atomic_store_n((uint16_t *)ram, (uint16_t)value, __ATOMIC_RELEASE);
			return;
		case 4:
			__atomic_store_n((uint32_t *)ram, (uint32_t)value, __ATOMIC_RELEASE);
			return;
		case 8:
			__atomic_store_n((uint64_t *)ram, value, __ATOMIC_RELEASE);
			return;
		}
	}
	memcpy(ram, &value, len);
}

void emu_load_bytes(const struct emu *emu, const struct walk_range *access, void *buffer)
{
	uint8_t *to = buffer;
	unsigned int i, done, n;

	for (i = 0; i < access->nr_parts; i++) {
		for (done = 0; done < access->part[i].len; done += n, to += n) {
			uint64_t piece;

			n = access->part[i].len - done;
			if (n > sizeof(piece))
				n = sizeof(piece);
			if (access->part[i].ram)
				piece = load_ram(access->part[i].ram + done, n);
			else
				piece = emu_load_device(emu, access->part[i].gpa + done, n);
			memcpy(to, &piece, n);
		}
	}
}

void emu_store_bytes(const struct emu *emu, const struct walk_range *access, const void *buffer)
{
	const uint8_t *from = buffer;
	unsigned int i, done, n;

	for (i = 0; i < access->nr_parts; i++) {
		for (done = 0; done < access->part[i].len; done += n, from += n) {
			uint64_t piece = 0;

			n = access->part[i].len - done;
			if (n > sizeof(piece))
				n = sizeof(piece);
			memcpy(&piece, from, n);
			if (access->part[i].to)
				store_ram(access->part[i].to + done, n, piece);
			else
				emu_store_device(emu, access->part[i].gpa + done, n, piece);
		}
	}
}

uint64_t emu_load(const struct emu *emu, const struct walk_range *access)
{
	uint64_t value = 0;

	emu_load_bytes(emu, access, &value);
	return value;
}

void emu_store(const struct emu *emu, const struct walk_range *access, uint64_t value)
{
	emu_store_bytes(emu, access, &value);
}

bool emu_exchange(const struct emu *emu, const struct walk_range *access, uint64_t old,
		  uint64_t value)
{
	uint8_t *ram = access->part[0].to;
	unsigned int len = access->part[0].len;
	uint8_t old8 = (uint8_t)old;
	uint16_t old16 = (uint16_t)old;
	uint32_t old32 = (uint32_t)old;

	/* A locked access that is split or a device's is atomic only within the monitor's means. */
	if (access->nr_parts > 1 || !ram || (uintptr_t)ram % len) {
		emu_store(emu, access, value);
		return true;
	}
	switch (len) {
	case 1:
		return __atomic_compare_exchange_n(ram, &old8, (uint8_t)value, false,
						   __ATOMIC_SEQ_CST, __ATOMIC_RELAXED);
	case 2:
		return __atomic_compare_exchange_n((uint16_t *)ram, &old16, (uint16_t)value, false,
						   __ATOMIC_SEQ_CST, __ATOMIC_RELAXED);
	case 4:
		return __atomic_compare_exchange_n((uint32_t *)ram, &old32, (uint32_t)value, false,
						   __ATOMIC_SEQ_CST, __ATOMIC_RELAXED);
	default:
		return __atomic_compare_exchange_n((uint64_t *)ram, &old, value, false,
						   __ATOMIC_SEQ_CST, __ATOMIC_RELAXED);
	}
}

/* ------------------------------------------------------------------------- */
/* Ports                                                                      */

/* Two bytes of the task-state segment. */
static enum emu_result read_tss(struct emu *emu, uint32_t offset, uint16_t *value)
{
	struct walk_range access;
	enum emu_result ret;

	ret = emu_translate_table(emu, emu->run->sregs.tr.base + offset, sizeof(*value), false,
				  &access);
	if (ret == EMU_OK)
		*value = (uint16_t)emu_load(emu, &access);
	return ret;
}

enum emu_result emu_check_port(struct emu *emu, uint16_t port, unsigned int size)
{
	const struct hv_sregs *s = &emu->run->sregs;
	unsigned int type = s->tr.ar & HV_AR_TYPE;
	uint16_t map, bits;
	uint32_t offset;
	enum emu_result ret;

	if (!(s->cr0 & CR0_PE))
		return EMU_OK;
	if (!(emu->gprs.rflags & FLAG_VM) && emu_cpl(emu) <= emu_iopl(emu))
		return EMU_OK;

	if ((s->tr.ar & HV_AR_UNUSABLE) || (type & ~SEG_TSS_BUSY) != (SEG_TSS | SEG_TSS_32) ||
	    s->tr.limit < TSS_MIN_LIMIT)
		return emu_raise(emu, VECTOR_GP, true, 0);
	ret = read_tss(emu, TSS_IO_MAP, &map);
	if (ret != EMU_OK)
		return ret;
	/* Always two bytes, as the bits of a wide access may straddle them. */
	offset = (uint32_t)map + port / 8;
	if (offset + 1 > s->tr.limit)
		return emu_raise(emu, VECTOR_GP, true, 0);
	ret = read_tss(emu, offset, &bits);
	if (ret != EMU_OK)
		return ret;
	if (bits >> port % 8 & ((1U << size) - 1))
		return emu_raise(emu, VECTOR_GP, true, 0);
	return EMU_OK;
}
