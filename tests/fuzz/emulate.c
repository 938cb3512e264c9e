// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * vmm's emulator: any bytes as an instruction, in every mode, with any registers. It ends the machine
 * for no program of the guest, and says why when it does for a kernel; RIP stays or moves by the
 * instruction's length.
 */
#include <Zydis/Zydis.h>

#include "tests/fuzz/fuzz.h"

/* libcheck's assertions need its runner. */
#include <check.h>
#undef ck_assert_int_eq
#undef ck_assert_uint_le
#undef ck_assert_msg
#define ck_assert_msg(a, ...)	must(a)
#define ck_assert_int_eq(a, b)	must((a) == (b))
#define ck_assert_uint_le(a, b) must((a) <= (b))

#include "tests/unit/emulate/emulate_guest.h"
#include "vmm/emulate/decode.h"

static bool jumps(const ZydisDecodedInstruction *z)
{
	switch (z->meta.category) {
	case ZYDIS_CATEGORY_CALL:
	case ZYDIS_CATEGORY_RET:
	case ZYDIS_CATEGORY_UNCOND_BR:
	case ZYDIS_CATEGORY_COND_BR:
	case ZYDIS_CATEGORY_INTERRUPT:
	case ZYDIS_CATEGORY_SYSCALL:
	case ZYDIS_CATEGORY_SYSRET:
		return true;
	default:
		return false;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const ZydisMachineMode machine[] = {ZYDIS_MACHINE_MODE_LEGACY_16,
						   ZYDIS_MACHINE_MODE_LEGACY_32,
						   ZYDIS_MACHINE_MODE_LONG_64};
	/* Where an access does something: RAM, its end, the device, its end, a port, nowhere */
	static const uint64_t places[] = {
		DATA, RAM_SIZE - 4,	  MMIO_BASE,	      MMIO_BASE + MMIO_SIZE - 4,
		PORT, 0xfffffffffffffff8, 0x8000000000000000, 3};
	ZydisDecodedOperand ops[ZYDIS_MAX_OPERAND_COUNT];
	struct input in = {data, size};
	ZydisDecodedInstruction z;
	enum emulate_result result;
	unsigned int mode, cpl, known;
	ZydisDecoder decoder;
	uint8_t bytes[15];
	uint64_t rip;

	set_up();
	mode = take(&in, 1);
	/* A comparison of all memory is dear: for some of the inputs. */
	written_off = mode >> 3;
	cpl = mode & 4 ? 3 : 0;
	mode %= 3;
	if (mode == 0)
		real_mode();
	else if (mode == 1)
		protected_mode(cpl);
	else
		long_mode(cpl);
	if (mode == 0)
		cpl = 0;
	run.sregs.cr4 |= CR4_OSFXSR | CR4_OSXSAVE;
	run.sregs.xcr0 = 1 | XCR0_SSE | XCR0_AVX | XCR0_AVX512;
	known = take(&in, 1) % (sizeof(bytes) + 1);
	run.gprs.rflags = (take(&in, 4) & 0x250fd5) | 2;
	for (unsigned int i = 0; i < 16; i++) {
		uint8_t how = take(&in, 1);

		run.gprs.r[i] = how < 8 * 8 ? places[how % 8] + how / 8 : take(&in, 8);
	}
	take_bytes(&in, bytes, sizeof(bytes));
	for (unsigned int i = 0; i < sizeof(device) && in.left; i++)
		device[i] = take(&in, 1);

	result = go_bytes(bytes, sizeof(bytes), known);
	rip = run.gprs.rip;
	if (result == EMULATE_FAILED) {
		must(cpl < 3);
		must(why[0] && strlen(why) < sizeof(why));
	} else if (run.events.exception & HV_EVENT_PENDING) {
		must(run.events.exception_vector < 32);
	} else {
		must(ZYAN_SUCCESS(
			     ZydisDecoderInit(&decoder, machine[mode], (ZydisStackWidth)mode)) &&
		     ZYAN_SUCCESS(decode_instruction(&decoder, bytes, sizeof(bytes), &z, ops)));
		must(jumps(&z) || rip == CODE || rip == CODE + z.length);
	}
	tear_down();
	return 0;
}
