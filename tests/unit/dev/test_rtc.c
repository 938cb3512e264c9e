// SPDX-License-Identifier: GPL-2.0-or-later
/* The real-time clock: formats, setting, alarm, periodic and update interrupts, memory. */
#include <check.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "dev/rtc.h"
#include "platform/layout.h"
#include "suite.h"

#define A	10
#define B	11
#define C	12
#define D	13
#define SET	0x80
#define PIE	0x40
#define AIE	0x20
#define UIE	0x10
#define DM	0x04
#define H24	0x02
#define CENTURY 0x32

static struct bus *pio;
static struct loop *loop;
static struct rtc *rtc;
static pthread_t thread;
static atomic_uint edges;
static atomic_bool line;

static void set_line(void *chip, unsigned int pin, bool level)
{
	(void)chip;
	ck_assert_uint_eq(pin, GSI_RTC);
	if (level && !line)
		edges++;
	line = level;
}

/* The loop's timer is set by this. */
static atomic_uint settings;

int timerfd_settime(int fd, int flags, const struct itimerspec *new, struct itimerspec *old)
{
	settings++;
	return (int)syscall(SYS_timerfd_settime, fd, flags, new, old);
}

static void *run_loop(void *arg)
{
	(void)arg;
	loop_run(loop);
	return NULL;
}

static void set_up(void)
{
	struct irq_line irq = {.set = set_line, .pin = GSI_RTC};
	struct error e;

	pio = bus_create();
	loop = loop_create();
	rtc = rtc_create(pio, loop, irq, &e);
	ck_assert_ptr_nonnull(rtc);
	edges = 0;
	line = false;
	pthread_create(&thread, NULL, run_loop, NULL);
}

static void tear_down(void)
{
	loop_stop(loop);
	pthread_join(thread, NULL);
	rtc_destroy(rtc);
	loop_destroy(loop);
	bus_destroy(pio);
	/* What nobody points to any more is a leak, and an error. */
	rtc = NULL;
	loop = NULL;
	pio = NULL;
}

static uint8_t get(uint8_t reg)
{
	uint64_t value;

	ck_assert(bus_write(pio, PORT_CMOS, 1, reg));
	ck_assert(bus_read(pio, PORT_CMOS + 1, 1, &value));
	return (uint8_t)value;
}

static void put(uint8_t reg, uint8_t value)
{
	ck_assert(bus_write(pio, PORT_CMOS, 1, reg));
	ck_assert(bus_write(pio, PORT_CMOS + 1, 1, value));
}

static void put_time(uint8_t cc, uint8_t yy, uint8_t mm, uint8_t dd, uint8_t h, uint8_t m,
		     uint8_t s)
{
	put(CENTURY, cc);
	put(9, yy);
	put(8, mm);
	put(7, dd);
	put(4, h);
	put(2, m);
	put(0, s);
}

static void expect_time(uint8_t cc, uint8_t yy, uint8_t mm, uint8_t dd, uint8_t h, uint8_t m,
			uint8_t s)
{
	ck_assert_uint_eq(get(CENTURY), cc);
	ck_assert_uint_eq(get(9), yy);
	ck_assert_uint_eq(get(8), mm);
	ck_assert_uint_eq(get(7), dd);
	ck_assert_uint_eq(get(4), h);
	ck_assert_uint_eq(get(2), m);
	ck_assert_uint_eq(get(0), s);
}

/* Set the time and start it half a second before the next one. */
static void start_at(uint8_t h, uint8_t m, uint8_t s)
{
	put(B, get(B) | SET);
	put(A, 0x70);
	put_time(0x20, 0x26, 0x02, 0x28, h, m, s);
	put(B, get(B) & ~SET);
	put(A, 0x26);
}

static unsigned int from_bcd(uint8_t value)
{
	return (value >> 4) * 10U + (value & 15);
}

START_TEST(shows_the_hosts_time)
{
	time_t now = time(NULL), got;
	struct tm tm = {0};

	ck_assert_uint_eq(get(B), H24);
	ck_assert_uint_eq(get(D), 0x80);
	tm.tm_year = (int)(from_bcd(get(CENTURY)) * 100 + from_bcd(get(9))) - 1900;
	tm.tm_mon = (int)from_bcd(get(8)) - 1;
	tm.tm_mday = (int)from_bcd(get(7));
	tm.tm_hour = (int)from_bcd(get(4));
	tm.tm_min = (int)from_bcd(get(2));
	tm.tm_sec = (int)from_bcd(get(0));
	got = timegm(&tm);
	/* A minute may have begun between two reads. */
	ck_assert_int_le(labs((long)(got - now)), 62);
	gmtime_r(&now, &tm);
	ck_assert_int_le(labs((long)get(6) - (tm.tm_wday + 1)) % 6, 1);
}
END_TEST

START_TEST(formats)
{
	start_at(0x23, 0x45, 0x10);
	expect_time(0x20, 0x26, 0x02, 0x28, 0x23, 0x45, 0x10);
	/* A Saturday */
	ck_assert_uint_eq(get(6), 7);
	put(B, H24 | DM);
	expect_time(20, 26, 2, 28, 23, 45, 10);
	put(B, DM);
	expect_time(20, 26, 2, 28, 0x80 | 11, 45, 10);
	put(B, 0);
	expect_time(0x20, 0x26, 0x02, 0x28, 0x91, 0x45, 0x10);

	/* Noon and midnight in 12-hour form */
	start_at(0x92, 0x00, 0x00);
	put(B, H24);
	ck_assert_uint_eq(get(4), 0x12);
	put(B, 0);
	start_at(0x12, 0x00, 0x00);
	put(B, H24);
	ck_assert_uint_eq(get(4), 0x00);
	put(B, 0);
	ck_assert_uint_eq(get(4), 0x12);
	start_at(0x81, 0x30, 0x00);
	put(B, H24);
	ck_assert_uint_eq(get(4), 0x13);
}
END_TEST

START_TEST(set_holds_the_time)
{
	put(B, H24 | SET | UIE);
	/* SET clears the update interrupt's enable. */
	ck_assert_uint_eq(get(B), H24 | SET);
	put_time(0x19, 0x99, 0x12, 0x31, 0x23, 0x59, 0x58);
	usleep(1100000);
	expect_time(0x19, 0x99, 0x12, 0x31, 0x23, 0x59, 0x58);
	ck_assert_uint_eq(get(A) & 0x80, 0);
	put(B, H24);
	/* Over the end of the century: two or three seconds later */
	usleep(2100000);
	ck_assert_uint_eq(get(CENTURY), 0x20);
	ck_assert_uint_eq(get(9), 0x00);
	ck_assert_uint_eq(get(8), 0x01);
	ck_assert_uint_eq(get(7), 0x01);
	ck_assert_uint_le(get(0), 0x01);
}
END_TEST

START_TEST(one_register_on_the_run)
{
	start_at(0x10, 0x00, 0x05);
	put(4, 0x11);
	expect_time(0x20, 0x26, 0x02, 0x28, 0x11, 0x00, 0x05);
	/* A day that the month does not have carries over. */
	put(7, 0x31);
	ck_assert_uint_eq(get(8), 0x03);
	ck_assert_uint_eq(get(7), 0x03);
}
END_TEST

/* Any bytes at all in the time: no undefined behaviour, and a clock that still runs. */
START_TEST(hostile_time)
{
	static const uint8_t modes[] = {H24, 0, H24 | DM, DM};

	for (unsigned int f = 0; f < 4; f++) {
		for (unsigned int v = 0; v < 256; v += 15) {
			put(B, modes[f] | SET);
			put_time((uint8_t)v, (uint8_t)v, (uint8_t)v, (uint8_t)v, (uint8_t)v,
				 (uint8_t)v, (uint8_t)v);
			put(1, (uint8_t)v);
			put(3, (uint8_t)(v * 7));
			put(5, (uint8_t)(v * 3));
			put(B, modes[f] | AIE | UIE | PIE);
			get(C);
			put(B, H24);
			ck_assert_uint_le(from_bcd(get(0)), 59);
			ck_assert_uint_le(from_bcd(get(4)), 23);
			ck_assert_uint_ge(from_bcd(get(8)), 1);
			ck_assert_uint_le(from_bcd(get(8)), 12);
		}
	}
	/* Before 1970 and after 2255: the nearest there is */
	put(B, H24 | SET);
	put_time(0, 0, 1, 1, 0, 0, 0);
	put(B, H24);
	ck_assert_uint_eq(get(CENTURY), 0x19);
	ck_assert_uint_eq(get(9), 0x70);
	put(B, H24 | SET);
	put_time(0x99, 0x99, 1, 1, 0, 0, 0);
	put(B, H24);
	ck_assert_uint_eq(get(CENTURY), 0x22);
	ck_assert_uint_eq(get(9), 0x55);
}
END_TEST

static bool wait_for_line(unsigned int ms)
{
	while (ms-- && !line)
		usleep(1000);
	return line;
}

START_TEST(periodic)
{
	put(A, 0x26);
	put(B, H24 | PIE);
	/* 1024 Hz; each one only after the last was acknowledged */
	for (int i = 0; i < 20; i++) {
		ck_assert(wait_for_line(1000));
		ck_assert_uint_eq(get(C) & 0xc0, 0xc0);
	}
	usleep(20000);
	ck_assert(line);
	ck_assert_uint_le(edges, 22);
	/* Disabling lowers the line, and the flag can still be polled. */
	put(B, H24);
	ck_assert(!line);
	ck_assert_uint_eq(get(C) & 0xc0, 0x40);
	usleep(5000);
	ck_assert_uint_eq(get(C) & 0xc0, 0x40);
	/* Rate 0: none */
	put(A, 0x20);
	get(C);
	put(B, H24 | PIE);
	usleep(20000);
	ck_assert(!line);
}
END_TEST

START_TEST(update)
{
	unsigned int i;

	start_at(0x10, 0x00, 0x00);
	get(C);
	put(B, H24 | UIE);
	ck_assert(wait_for_line(1500));
	ck_assert_uint_eq(get(0), 0x01);
	ck_assert_uint_eq(get(C) & 0xb0, 0x90);
	ck_assert(!line);
	ck_assert_uint_eq(get(C) & 0xb0, 0);
	/* "Update in progress" shows before the second changes, not during most of it. */
	for (i = 0; get(A) & 0x80; i++)
		ck_assert_uint_lt(i, 100000);
	ck_assert_uint_eq(get(A), 0x26);
}
END_TEST

START_TEST(alarm_at_midnight)
{
	start_at(0x23, 0x59, 0x59);
	put(5, 0x00);
	put(3, 0x00);
	put(1, 0x00);
	get(C);
	put(B, H24 | AIE);
	ck_assert(!line);
	ck_assert(wait_for_line(1500));
	ck_assert_uint_eq(get(C) & 0xa0, 0xa0);
	expect_time(0x20, 0x26, 0x03, 0x01, 0x00, 0x00, 0x00);
}
END_TEST

START_TEST(alarm_wildcards)
{
	start_at(0x12, 0x34, 0x30);
	/* each hour and minute, at second 31 */
	put(5, 0xc0);
	put(3, 0xff);
	put(1, 0x31);
	get(C);
	put(B, H24 | AIE);
	ck_assert(wait_for_line(1500));
	get(C);
	/* not again in the next second */
	usleep(1100000);
	ck_assert(!line);
	/* A value that no time has never matches. */
	put(B, H24);
	put(1, 0x7f);
	put(B, H24 | AIE);
	usleep(1100000);
	ck_assert(!line);
}
END_TEST

/* The divider in reset holds the time, whatever the rate; running, it does not, whatever the rate. */
START_TEST(divider)
{
	static const uint8_t held[] = {0x60, 0x66, 0x70}, runs[] = {0x20, 0x26};

	for (unsigned int i = 0; i < sizeof(held); i++) {
		put(A, held[i]);
		put_time(0x20, 0x01, 0x01, 0x01, 0x12, 0x00, 0x00);
		usleep(1100000);
		expect_time(0x20, 0x01, 0x01, 0x01, 0x12, 0x00, 0x00);
	}
	for (unsigned int i = 0; i < sizeof(runs); i++) {
		put(A, runs[i]);
		put_time(0x20, 0x01, 0x01, 0x01, 0x12, 0x00, 0x00);
		usleep(1100000);
		ck_assert_uint_ge(get(0), 1);
	}
}
END_TEST

/* Its ports are taken: the second is refused, and leaves nothing behind. */
/* The timer is set when what it waits for has changed, not at each access. */
START_TEST(few_settings)
{
	unsigned int before;

	/* An alarm at midnight, and nothing that awaits it; then it is awaited. */
	put(1, 0);
	put(3, 0);
	put(5, 0);
	start_at(0x12, 0, 0);
	before = settings;
	get(0);
	put(100, 1);
	ck_assert_uint_eq(settings, before);
	put(B, H24 | AIE);
	ck_assert_uint_eq(settings, before + 1);
	for (int i = 0; i < 100; i++) {
		get(0);
		get(C);
		put(100, (uint8_t)i);
	}
	ck_assert_uint_eq(settings, before + 1);
	/* Another time of the alarm, the same again, the clock set, and nothing awaited */
	put(5, 0x23);
	ck_assert_uint_eq(settings, before + 2);
	put(5, 0x23);
	ck_assert_uint_eq(settings, before + 2);
	put(2, 0x30);
	ck_assert_uint_eq(settings, before + 3);
	put(B, H24);
	ck_assert_uint_eq(settings, before + 4);
	get(C);
	ck_assert_uint_eq(settings, before + 4);
}
END_TEST

START_TEST(ports_taken)
{
	struct irq_line irq = {.set = set_line, .pin = GSI_RTC};
	struct loop *other = loop_create();
	struct error e = {.text = ""};

	ck_assert_ptr_null(rtc_create(pio, other, irq, &e));
	ck_assert_ptr_nonnull(strstr(e.text, "taken"));
	loop_destroy(other);
}
END_TEST

START_TEST(cmos_memory)
{
	uint64_t value;

	for (unsigned int i = 14; i < 128; i++) {
		if (i != CENTURY)
			put((uint8_t)i, (uint8_t)(i * 3));
	}
	for (unsigned int i = 14; i < 128; i++) {
		if (i != CENTURY)
			ck_assert_uint_eq(get((uint8_t)i), (uint8_t)(i * 3));
	}
	/* Bit 7 of the index is the NMI mask. */
	ck_assert_uint_eq(get(0x80 | 20), 60);
	/* Index and data in one access */
	ck_assert(bus_write(pio, PORT_CMOS, 2, 0xab00 | 20));
	ck_assert_uint_eq(get(20), 0xab);
	/* C and D cannot be written; the index cannot be read. */
	put(D, 0);
	ck_assert_uint_eq(get(D), 0x80);
	ck_assert(bus_read(pio, PORT_CMOS, 1, &value));
	ck_assert_uint_eq(value & 0xff, 0xff);
}
END_TEST

START_TEST(reset_keeps_what_a_battery_does)
{
	put(0x40, 0x5a);
	put(B, get(B) | DM | SET);
	put_time(20, 31, 12, 24, 18, 30, 0);
	put(A, 0x26);
	put(B, (get(B) & ~SET) | PIE | AIE | UIE);
	while (!line)
		usleep(1000);
	rtc_device.reset(rtc);
	ck_assert(!line);
	ck_assert_uint_eq(get(B), DM | H24);
	/* Flags come with time, whether they interrupt or not. */
	ck_assert_uint_eq(get(C) & 0x80, 0);
	ck_assert_uint_eq(get(0x40), 0x5a);
	ck_assert_uint_eq(get(9), 31);
	ck_assert_uint_eq(get(7), 24);
}
END_TEST

/* 1024 a second; and one is made up for afterwards. */
START_TEST(no_interrupts_while_stopped)
{
	unsigned int before;

	put(B, get(B) | PIE);
	while (!line)
		usleep(1000);
	ck_assert(rtc_device.stop(rtc));
	get(C);
	before = edges;
	usleep(50000);
	ck_assert_uint_eq(edges, before);
	rtc_device.start(rtc);
	ck_assert(line);
	get(C);
	while (!line)
		usleep(1000);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("rtc");
	TCase *t = tcase_create("rtc");

	tcase_set_timeout(t, 30);
	tcase_add_checked_fixture(t, set_up, tear_down);
	tcase_add_test(t, shows_the_hosts_time);
	tcase_add_test(t, formats);
	tcase_add_test(t, set_holds_the_time);
	tcase_add_test(t, divider);
	tcase_add_test(t, few_settings);
	tcase_add_test(t, ports_taken);
	tcase_add_test(t, one_register_on_the_run);
	tcase_add_test(t, hostile_time);
	tcase_add_test(t, periodic);
	tcase_add_test(t, update);
	tcase_add_test(t, alarm_at_midnight);
	tcase_add_test(t, alarm_wildcards);
	tcase_add_test(t, cmos_memory);
	tcase_add_test(t, reset_keeps_what_a_battery_does);
	tcase_add_test(t, no_interrupts_while_stopped);
	suite_add_tcase(s, t);

	return suite_run(s);
}
