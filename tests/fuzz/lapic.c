// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * kmod/lapic.c: a guest's and the bus's doings in any order. The state stays a possible one, a
 * refused access changes nothing, and what is saved can be loaded and is the same again.
 */
#include "kmod/lapic.h"
#include "tests/fuzz/fuzz.h"

static uint64_t now;

static void check_state(struct lapic *l)
{
	int vector = lapic_deliverable(l), highest = lapic_highest_irr(l);
	static uint8_t page[1024], again[1024];
	struct lapic other;

	must(highest < 256 && vector <= highest);
	if (vector >= 0) {
		must(vector >= 16 && test_bit(vector, l->irr));
		must(vector >> 4 > lapic_tpr(l) >> 4);
	}
	must(lapic_base_ok(l->base));

	lapic_save(l, now, page);
	lapic_init(&other, l->id, l->base & LAPIC_BASE_BSP);
	other.base = l->base;
	must(lapic_load(&other, now, page));
	lapic_save(&other, now, again);
	must(!memcmp(page, again, sizeof(page)));
}

static void access_register(struct lapic *l, struct input *in, bool write)
{
	/* Mostly registers there are; aligned, as the caller sees to. */
	uint32_t offset = take(in, 1) << 4 & 0x3f0;
	u64 value = take(in, write ? 8 : 0);
	struct lapic before = *l;
	unsigned int asked;

	if (write)
		asked = lapic_write(l, offset, now, value);
	else
		asked = lapic_read(l, offset, now, &value);
	if (asked & LAPIC_DO_GP) {
		must(lapic_x2apic(l) && asked == LAPIC_DO_GP);
		must(!memcmp(&before, l, sizeof(before)));
	}
	if (asked & LAPIC_DO_ICR) {
		struct lapic_msg msg = lapic_icr_msg(l);

		must(msg.delivery < 8 && msg.shorthand < 4);
		lapic_match(l, &msg, true);
		lapic_match(l, &msg, false);
	}
	if (asked & LAPIC_DO_EOI)
		must(!test_bit(l->eoi_vector, l->isr));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, size};
	uint32_t id = take(&in, 1) & 63;
	struct lapic_msg msg;
	struct lapic l;
	bool pending;
	int vector;

	now = 1000000000;
	lapic_init(&l, id, !id);
	while (in.left) {
		switch (take(&in, 1) % 11) {
		case 0:
		case 1:
			access_register(&l, &in, true);
			break;
		case 2:
			access_register(&l, &in, false);
			break;
		case 3:
			vector = take(&in, 1);
			lapic_post(&l, vector, take(&in, 1) & 1, &pending);
			break;
		case 4:
			vector = lapic_deliverable(&l);
			if (vector < 0)
				break;
			lapic_accept(&l, vector);
			must(test_bit(vector, l.isr) && !test_bit(vector, l.irr));
			if (take(&in, 1) & 1)
				break;
			lapic_unaccept(&l, vector);
			must(!test_bit(vector, l.isr) && lapic_deliverable(&l) == vector);
			break;
		case 5:
			pending = lapic_set_base(&l, take(&in, 8));
			break;
		case 6:
			lapic_reset(&l, true);
			break;
		case 7:
			now += take(&in, 4);
			lapic_timer_expire(&l, now);
			/* Once for all that is over. */
			must(!lapic_timer_expire(&l, now));
			break;
		case 8:
			if (lapic_lvt_msg(&l, APIC_REG_LVT_TIMER + (take(&in, 1) % 6) * 16, &msg))
				must(!lapic_enabled(&l) || l.regs[APIC_REG_SVR / 16] & 0x100);
			break;
		case 9:
			lapic_write_tsc_deadline(&l, take(&in, 8));
			break;
		case 10: {
			uint8_t page[1024];
			struct lapic before = l;

			/* The user's: refused whole, or a state that can be. */
			lapic_save(&l, now, page);
			for (unsigned int n = take(&in, 1) % 16; n; n--) {
				unsigned int at = take(&in, 2) % sizeof(page);

				page[at] = take(&in, 1);
			}
			if (!lapic_load(&l, now, page))
				must(!memcmp(&before, &l, sizeof(l)));
			break;
		}
		}
		check_state(&l);
	}
	return 0;
}
