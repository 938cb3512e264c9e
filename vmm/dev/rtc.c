// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * An MC146818 real-time clock with 114 bytes of CMOS memory, of which one is the
 * century, as the ACPI FADT says (Motorola MC146818 data sheet). Called by the
 * PIO bus on vCPU threads and by a timer on the loop's thread.
 *
 * The clock is the host's CLOCK_REALTIME plus an offset, which a guest that sets
 * the time changes. No timer ticks for it: registers and flags are worked out
 * when they are read, and a timer is armed only for an interrupt that is enabled
 * and not pending yet. So a guest that does not acknowledge costs nothing, and
 * one that does pays for each interrupt with an exit.
 */
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <time.h>

#include "acpi/describe.h"
#include "dev/rtc.h"
#include "platform/layout.h"

#define NSEC	  1000000000LL
#define DAY	  86400
#define CMOS_SIZE 128
#define CENTURY	  0x32
/* What fits into nanoseconds: 1970 to 2255. */
#define MAX_SECONDS 9000000000LL
/* A timer waits at most this long, in case the host's clock is set meanwhile. */
#define TIMER_MAX_NS (60 * NSEC)
/* "Update in progress" is seen at least this long before an update (data sheet, table 6). */
#define UIP_NS 244000

enum {
	SECONDS = 0,
	ALARM_SECONDS = 1,
	MINUTES = 2,
	ALARM_MINUTES = 3,
	HOURS = 4,
	ALARM_HOURS = 5,
	WEEKDAY = 6,
	DAY_OF_MONTH = 7,
	MONTH = 8,
	YEAR = 9,
	REG_A = 10,
	REG_B = 11,
	REG_C = 12,
	REG_D = 13,
};

#define A_UIP	    0x80
#define A_DIV	    0x70
#define A_DIV_RUN   0x20 /* a 32,768 Hz crystal */
#define A_DIV_RESET 0x60 /* with either value of bit 4: the divider is held in reset */
#define A_RATE	    0x0f

#define B_SET	    0x80
#define B_BINARY    0x04
#define B_24H	    0x02

/* Interrupts: enabled in register B, flagged in C */
#define IRQ_PERIODIC 0x40
#define IRQ_ALARM    0x20
#define IRQ_UPDATE   0x10
#define IRQ_ALL	     0x70
#define C_IRQF	     0x80

#define D_VALID	     0x80 /* the battery never fails */

#define HOUR_PM	     0x80
#define ALARM_ANY    0xc0 /* "don't care": both top bits */

struct rtc {
	struct bus *pio;	  /* set at creation */
	struct irq_line irq;	  /* set at creation */
	struct loop_timer *timer; /* set at creation */

	pthread_mutex_t lock; /* protects all below; the line and the timer nest inside */
	uint8_t index;
	/* Alarm, A, B and memory; the time and the century only while it stands still. */
	uint8_t cmos[CMOS_SIZE];
	uint8_t flags;	/* register C, without IRQF */
	int64_t offset; /* ns: guest's time minus host's */
	int64_t seen;	/* guest's time up to which flags are right */
	bool stopped;	/* interrupts wait */
	int64_t armed;	/* the host's time for which the timer was armed; INT64_MAX: it is not */
};

/* ------------------------------------------------------------------------- */
/* Time and its registers                                                     */

static int64_t host_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return t.tv_sec * NSEC + t.tv_nsec;
}

static int64_t guest_ns(const struct rtc *r)
{
	return host_ns() + r->offset;
}

/* The guest is setting the time, or holds the divider: no updates. */
static bool stands_still(const struct rtc *r)
{
	return (r->cmos[REG_B] & B_SET) || (r->cmos[REG_A] & A_DIV_RESET) == A_DIV_RESET;
}

static uint8_t encode(const struct rtc *r, unsigned int value)
{
	if (r->cmos[REG_B] & B_BINARY)
		return (uint8_t)value;
	return (uint8_t)(value / 10 << 4 | value % 10);
}

static unsigned int decode(const struct rtc *r, uint8_t value)
{
	if (r->cmos[REG_B] & B_BINARY)
		return value;
	return (value >> 4) * 10U + (value & 0x0f);
}

static uint8_t encode_hour(const struct rtc *r, unsigned int hour)
{
	if (r->cmos[REG_B] & B_24H)
		return encode(r, hour);
	return encode(r, hour % 12 ? hour % 12 : 12) | (hour >= 12 ? HOUR_PM : 0);
}

static unsigned int decode_hour(const struct rtc *r, uint8_t value)
{
	if (r->cmos[REG_B] & B_24H)
		return decode(r, value);
	return decode(r, value & ~HOUR_PM) % 12 + (value & HOUR_PM ? 12 : 0);
}

/* regs: at least as long as the CMOS; only the time and the century are stored. */
static void encode_time(const struct rtc *r, int64_t ns, uint8_t *regs)
{
	time_t seconds = ns / NSEC;
	struct tm tm;
	unsigned int year;

	gmtime_r(&seconds, &tm);
	year = (unsigned int)tm.tm_year + 1900;

	regs[SECONDS] = encode(r, tm.tm_sec);
	regs[MINUTES] = encode(r, tm.tm_min);
	regs[HOURS] = encode_hour(r, tm.tm_hour);
	regs[WEEKDAY] = encode(r, tm.tm_wday + 1);
	regs[DAY_OF_MONTH] = encode(r, tm.tm_mday);
	regs[MONTH] = encode(r, tm.tm_mon + 1);
	regs[YEAR] = encode(r, year % 100);
	regs[CENTURY] = encode(r, year / 100 % 100);
}

/*
 * The inverse, in seconds. Values out of range carry over, as timegm() has it;
 * a year that we cannot count becomes the nearest that we can.
 */
static int64_t decode_time(const struct rtc *r, const uint8_t *regs)
{
	struct tm tm = {
		.tm_sec = (int)decode(r, regs[SECONDS]),
		.tm_min = (int)decode(r, regs[MINUTES]),
		.tm_hour = (int)decode_hour(r, regs[HOURS]),
		.tm_mday = (int)decode(r, regs[DAY_OF_MONTH]),
		.tm_mon = (int)decode(r, regs[MONTH]) - 1,
		.tm_year = (int)(decode(r, regs[CENTURY]) * 100 + decode(r, regs[YEAR])) - 1900,
	};
	int64_t seconds = timegm(&tm);

	if (seconds < 0)
		return 0;
	return seconds < MAX_SECONDS ? seconds : MAX_SECONDS;
}

static bool is_time(unsigned int index)
{
	return index == SECONDS || index == MINUTES || index == HOURS ||
	       (index >= WEEKDAY && index <= YEAR) || index == CENTURY;
}

static uint8_t read_time(const struct rtc *r, unsigned int index)
{
	uint8_t regs[CMOS_SIZE];

	if (stands_still(r))
		return r->cmos[index];
	encode_time(r, guest_ns(r), regs);
	return regs[index];
}

/* ------------------------------------------------------------------------- */
/* Flags and interrupts                                                       */

/* Nanoseconds between periodic interrupts; 0: none (data sheet, table 5). */
static int64_t period_ns(const struct rtc *r)
{
	unsigned int rate = r->cmos[REG_A] & A_RATE;

	if (!rate || (r->cmos[REG_A] & A_DIV) != A_DIV_RUN)
		return 0;
	/* With a 32,768 Hz crystal the two fastest rates stand for 256 and 128 Hz. */
	if (rate < 3)
		rate += 7;
	return NSEC * (1LL << (rate - 1)) / 32768;
}

static bool alarm_field_matches(uint8_t alarm, uint8_t value)
{
	return (alarm & ALARM_ANY) == ALARM_ANY || alarm == value;
}

/*
 * The first second after "after" at which the alarm's time of day is reached, or
 * -1. Whole hours and minutes that do not match are skipped, so it takes fewer
 * than 24 + 60 + 60 steps, and a few for the first, partial ones.
 */
static int64_t next_alarm(const struct rtc *r, int64_t after)
{
	int64_t t = after + 1;

	while (t <= after + DAY) {
		unsigned int second = (unsigned int)(t % 60);
		unsigned int minute = (unsigned int)(t / 60 % 60);
		unsigned int hour = (unsigned int)(t / 3600 % 24);

		if (!alarm_field_matches(r->cmos[ALARM_HOURS], encode_hour(r, hour)))
			t += 3600 - minute * 60 - second;
		else if (!alarm_field_matches(r->cmos[ALARM_MINUTES], encode(r, minute)))
			t += 60 - second;
		else if (!alarm_field_matches(r->cmos[ALARM_SECONDS], encode(r, second)))
			t++;
		else
			return t;
	}
	return -1;
}

/* Bring the flags up to the present: what happened since they were last right? */
static void update_flags(struct rtc *r)
{
	int64_t now = guest_ns(r);
	int64_t period = period_ns(r);
	int64_t alarm;

	if (now > r->seen) {
		if (period && now / period != r->seen / period)
			r->flags |= IRQ_PERIODIC;
		if (!stands_still(r) && now / NSEC != r->seen / NSEC) {
			r->flags |= IRQ_UPDATE;
			alarm = next_alarm(r, r->seen / NSEC);
			if (alarm >= 0 && alarm <= now / NSEC)
				r->flags |= IRQ_ALARM;
		}
	}
	/* Also when the host's clock went back. */
	r->seen = now;
}

/* The guest's time of the next interrupt that is enabled and not flagged yet. */
static int64_t next_event(const struct rtc *r)
{
	uint8_t awaited = r->cmos[REG_B] & ~r->flags;
	int64_t second = r->seen / NSEC;
	int64_t next = INT64_MAX;
	int64_t period = period_ns(r);

	if ((awaited & IRQ_PERIODIC) && period)
		next = (r->seen / period + 1) * period;
	if (stands_still(r))
		return next;
	if ((awaited & IRQ_UPDATE) && (second + 1) * NSEC < next)
		next = (second + 1) * NSEC;
	if (awaited & IRQ_ALARM) {
		int64_t alarm = next_alarm(r, second);

		if (alarm >= 0 && alarm * NSEC < next)
			next = alarm * NSEC;
	}
	return next;
}

static void arm_timer(struct rtc *r)
{
	int64_t next = r->stopped ? INT64_MAX : next_event(r);
	int64_t when = next == INT64_MAX ? next : next - r->offset;
	uint64_t deadline = 0;

	/* A system call, and most accesses have nothing to do with what is awaited. */
	if (when == r->armed)
		return;
	r->armed = when;
	if (next != INT64_MAX) {
		int64_t delay = next - r->seen;

		if (delay > TIMER_MAX_NS)
			delay = TIMER_MAX_NS;
		deadline = loop_now() + (uint64_t)delay;
	}
	loop_timer_arm(r->timer, deadline);
}

/* After any change of time, flags or enables: set the timer and the line. */
static void update_irq(struct rtc *r)
{
	arm_timer(r);
	irq_set(&r->irq, r->flags & r->cmos[REG_B] & IRQ_ALL);
}

static void on_timer(void *arg)
{
	struct rtc *r = arg;

	pthread_mutex_lock(&r->lock);
	r->armed = INT64_MAX;
	update_flags(r);
	update_irq(r);
	pthread_mutex_unlock(&r->lock);
}

/* ------------------------------------------------------------------------- */
/* Register access                                                            */

/* Make the clock show the time in the registers, "fraction" ns into that second. */
static void set_clock(struct rtc *r, const uint8_t *regs, int64_t fraction)
{
	r->offset = decode_time(r, regs) * NSEC + fraction - host_ns();
	r->seen = guest_ns(r);
}

static void write_time(struct rtc *r, unsigned int index, uint8_t value)
{
	uint8_t regs[CMOS_SIZE];
	int64_t now;

	if (stands_still(r)) {
		r->cmos[index] = value;
		return;
	}
	/* Set on the run: the other registers and the phase stay as they are. */
	now = guest_ns(r);
	encode_time(r, now, regs);
	regs[index] = value;
	set_clock(r, regs, now % NSEC);
}

/* Registers A and B can stop the clock and start it. */
static void write_control(struct rtc *r, unsigned int index, uint8_t value)
{
	bool stood = stands_still(r);
	bool divider_stood = (r->cmos[REG_A] & A_DIV_RESET) == A_DIV_RESET;
	int64_t now = guest_ns(r);
	uint8_t regs[CMOS_SIZE];

	encode_time(r, now, regs);
	if (index == REG_A) {
		r->cmos[REG_A] = value & ~A_UIP;
	} else {
		/* Setting SET clears the update interrupt's enable (data sheet, register B). */
		if (value & B_SET)
			value &= ~IRQ_UPDATE;
		r->cmos[REG_B] = value;
	}

	if (!stood && stands_still(r)) {
		/* The registers keep the moment, in the format in force until now. */
		for (unsigned int i = 0; i < CMOS_SIZE; i++) {
			if (is_time(i))
				r->cmos[i] = regs[i];
		}
	} else if (stood && !stands_still(r)) {
		/* The first update comes half a second after the divider starts. */
		bool restarted = divider_stood && (r->cmos[REG_A] & A_DIV_RESET) != A_DIV_RESET;

		set_clock(r, r->cmos, restarted ? NSEC / 2 : now % NSEC);
	}
}

static uint8_t read_a(const struct rtc *r)
{
	bool uip = !stands_still(r) && guest_ns(r) % NSEC >= NSEC - UIP_NS;

	return r->cmos[REG_A] | (uip ? A_UIP : 0);
}

static uint8_t read_c(struct rtc *r)
{
	uint8_t value = r->flags;

	if (value & r->cmos[REG_B] & IRQ_ALL)
		value |= C_IRQF;
	r->flags = 0;
	return value;
}

static uint8_t read_cmos(struct rtc *r, unsigned int index)
{
	switch (index) {
	case REG_A:
		return read_a(r);
	case REG_C:
		return read_c(r);
	case REG_D:
		return D_VALID;
	}
	return is_time(index) ? read_time(r, index) : r->cmos[index];
}

static void write_cmos(struct rtc *r, unsigned int index, uint8_t value)
{
	if (index == REG_A || index == REG_B)
		write_control(r, index, value);
	else if (is_time(index))
		write_time(r, index, value);
	else if (index != REG_C && index != REG_D)
		r->cmos[index] = value;
}

/* The index register cannot be read back. */
static uint64_t port_read(void *dev, uint64_t offset, unsigned int size)
{
	struct rtc *r = dev;
	uint8_t value;

	if (offset != 1 || size != 1)
		return ~0ULL;
	pthread_mutex_lock(&r->lock);
	update_flags(r);
	value = read_cmos(r, r->index);
	update_irq(r);
	pthread_mutex_unlock(&r->lock);
	return value;
}

static void port_write(void *dev, uint64_t offset, unsigned int size, uint64_t value)
{
	struct rtc *r = dev;

	pthread_mutex_lock(&r->lock);
	/* Two bytes at once are an index and its data. Bit 7 masks NMIs on a PC: none here. */
	if (offset == 0) {
		r->index = value & (CMOS_SIZE - 1);
		value >>= 8;
	}
	if (offset == 1 || size == 2) {
		update_flags(r);
		write_cmos(r, r->index, (uint8_t)value);
		update_irq(r);
	}
	pthread_mutex_unlock(&r->lock);
}

static const struct bus_ops port_ops = {
	.read = port_read,
	.write = port_write,
};

/* Battery and clock go on; what interrupts is off (MC146818, "Reset"). */
static void reset(void *dev)
{
	struct rtc *r = dev;

	pthread_mutex_lock(&r->lock);
	update_flags(r);
	r->index = 0;
	r->flags = 0;
	r->cmos[REG_B] &= ~IRQ_ALL;
	update_irq(r);
	pthread_mutex_unlock(&r->lock);
}

static bool stop(void *dev)
{
	struct rtc *r = dev;

	pthread_mutex_lock(&r->lock);
	r->stopped = true;
	arm_timer(r);
	pthread_mutex_unlock(&r->lock);
	return true;
}

/* The clock shows the host's time; what it would have interrupted for meanwhile it does now. */
static void start(void *dev)
{
	struct rtc *r = dev;

	pthread_mutex_lock(&r->lock);
	r->stopped = false;
	update_flags(r);
	update_irq(r);
	pthread_mutex_unlock(&r->lock);
}

/* ------------------------------------------------------------------------- */
/* Its state                                                                  */

/*
 * The clock as its difference from the host's, so that it shows the present wherever and whenever it is loaded; what
 * would have interrupted meanwhile does so then. "seen" is a moment of the guest's time.
 */
static const struct state_property properties[] = {
	{STATE_UINT(struct rtc, index, "index", CMOS_SIZE - 1)},
	{STATE_ARRAY(struct rtc, cmos, "cmos", UINT8_MAX)},
	{STATE_UINT(struct rtc, flags, "flags", IRQ_ALL)},
	{STATE_UINT(struct rtc, offset, "offset", UINT64_MAX)},
	{STATE_UINT(struct rtc, seen, "seen", (uint64_t)MAX_SECONDS *NSEC)},
};

static const struct state_format format = STATE_FORMAT("rtc", 1, properties);

static void save(void *dev, struct dtb *out)
{
	struct rtc *r = dev;

	pthread_mutex_lock(&r->lock);
	state_put(out, &format, r);
	pthread_mutex_unlock(&r->lock);
}

static int load(void *dev, struct state_in *in, struct error *e)
{
	struct rtc *r = dev, new = {0};
	int ret = state_get_leaf(in, &format, r, &new, e);
	int64_t now;

	if (ret)
		return ret;
	if (new.flags & ~IRQ_ALL)
		return state_refuse(in, "flags", "is out of range", e);
	if (__builtin_add_overflow(host_ns(), new.offset, &now) || now < 0 ||
	    now / NSEC > MAX_SECONDS)
		return state_refuse(in, "offset", "is a time that cannot be shown", e);
	if (new.cmos[REG_A] & A_UIP)
		return state_refuse(in, "cmos", "has bits that no register has", e);

	pthread_mutex_lock(&r->lock);
	state_copy(&format, r, &new);
	update_irq(r);
	pthread_mutex_unlock(&r->lock);
	return 0;
}

struct rtc *rtc_create(struct bus *pio, struct loop *loop, struct irq_line irq, struct error *e)
{
	struct rtc *r = calloc(1, sizeof(*r));
	int ret;

	if (!r) {
		error_set(e, ENOMEM, "out of memory for the real-time clock");
		return NULL;
	}
	r->pio = pio;
	r->irq = irq;
	/* As firmware leaves them: 1024 Hz, 24 hours, BCD, no interrupts. */
	r->cmos[REG_A] = A_DIV_RUN | 6;
	r->cmos[REG_B] = B_24H;
	r->seen = guest_ns(r);
	r->armed = INT64_MAX;
	pthread_mutex_init(&r->lock, NULL);

	r->timer = loop_timer_create(loop, on_timer, r);
	if (!r->timer) {
		error_set(e, ENOMEM, "out of memory for the real-time clock");
		rtc_destroy(r);
		return NULL;
	}
	ret = bus_add(pio, PORT_CMOS, 2, &port_ops, r);
	if (ret < 0) {
		error_set(e, -ret, "port %#x of the real-time clock is taken", PORT_CMOS);
		rtc_destroy(r);
		return NULL;
	}
	return r;
}

void rtc_destroy(void *dev)
{
	struct rtc *r = dev;

	if (!r)
		return;
	/* Not there after a failed creation, and then nothing is removed. */
	bus_remove(r->pio, PORT_CMOS, r);
	loop_timer_destroy(r->timer);
	pthread_mutex_destroy(&r->lock);
	free(r);
}

static void describe(void *dev, const struct description *d)
{
	const struct rtc *r = dev;
	const struct port_device ports = {
		.aml = "RTC_",
		.hid = "PNP0B00",
		.node = "rtc",
		.compatible = "motorola,mc146818",
		.port = PORT_CMOS,
		.len = 2,
		.gsi = r->irq.pin,
	};

	describe_ports(d, &ports);
}

const struct device_ops rtc_device = {
	.stop = stop,
	.reset = reset,
	.start = start,
	.save = save,
	.load = load,
	.describe = describe,
	.destroy = rtc_destroy,
};
