// SPDX-License-Identifier: GPL-2.0-or-later
/* The 16550A: registers, interrupt priorities, FIFO, loopback, input that waits. */
#include <check.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "dev/serial.h"
#include "platform/layout.h"
#include "console_spec.h"
#include "suite.h"

enum {
	DATA,
	IER,
	IIR,
	LCR,
	MCR,
	LSR,
	MSR,
	SCR,
	FCR = IIR
};

static struct bus *pio;
static struct loop *loop;
static struct console *console;
static struct serial *serial;
static char dir[] = "/tmp/test_serial.XXXXXX";
static char path[64];
static bool line;
static unsigned int edges;

static void set_line(void *chip, unsigned int pin, bool level)
{
	(void)chip;
	ck_assert_uint_eq(pin, GSI_COM1);
	edges += level && !line;
	line = level;
}

static const struct irq_line irq = {.set = set_line, .pin = GSI_COM1};

static void open_on(const char *spec)
{
	struct error e;

	pio = bus_create();
	loop = loop_create();
	console = open_console(spec, loop, &e);
	ck_assert_msg(console != NULL, "%s", e.text);
	serial = serial_create(pio, PORT_COM1, irq, console, &e);
	ck_assert_ptr_nonnull(serial);
	line = false;
	edges = 0;
}

static void set_up(void)
{
	char spec[80];

	strcpy(dir, "/tmp/test_serial.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/console", dir);
	snprintf(spec, sizeof(spec), "file=%s", path);
	open_on(spec);
}

static void tear_down(void)
{
	serial_destroy(serial);
	console_close(console);
	loop_destroy(loop);
	bus_destroy(pio);
	unlink(path);
	rmdir(dir);
}

static uint8_t in(unsigned int reg)
{
	uint64_t value;

	ck_assert(bus_read(pio, PORT_COM1 + reg, 1, &value));
	return (uint8_t)value;
}

static void put(unsigned int reg, uint8_t value)
{
	ck_assert(bus_write(pio, PORT_COM1 + reg, 1, value));
}

static size_t receive(const char *text)
{
	return serial_receive(serial, (const uint8_t *)text, strlen(text));
}

/* What reached the console; closes it. */
static void expect_output(const char *want, size_t len)
{
	char got[4096];
	ssize_t n;
	int fd;

	serial_destroy(serial);
	console_close(console);
	serial = NULL;
	console = NULL;
	fd = open(path, O_RDONLY);
	n = read(fd, got, sizeof(got));
	close(fd);
	ck_assert_int_eq(n, (ssize_t)len);
	ck_assert_mem_eq(got, want, len);
}

START_TEST(after_reset)
{
	ck_assert_uint_eq(in(IER), 0);
	ck_assert_uint_eq(in(IIR), 0x01);
	ck_assert_uint_eq(in(LCR), 0);
	ck_assert_uint_eq(in(MCR), 0);
	ck_assert_uint_eq(in(LSR), 0x60);
	ck_assert_uint_eq(in(MSR), 0xb0);
	ck_assert(!line);
}
END_TEST

START_TEST(plain_registers)
{
	put(SCR, 0x5a);
	ck_assert_uint_eq(in(SCR), 0x5a);
	put(IER, 0xff);
	ck_assert_uint_eq(in(IER), 0x0f);
	put(MCR, 0xff);
	ck_assert_uint_eq(in(MCR), 0x1f);
	/* Status registers cannot be written. */
	put(LSR, 0);
	put(MSR, 0);
	ck_assert_uint_eq(in(LSR), 0x60);
	/* The divisor latch hides two registers and sends nothing. */
	put(LCR, 0x83);
	put(DATA, 0x34);
	put(IER, 0x12);
	ck_assert_uint_eq(in(DATA), 0x34);
	ck_assert_uint_eq(in(IER), 0x12);
	put(LCR, 0x03);
	ck_assert_uint_eq(in(IER), 0x0f);
	ck_assert_uint_eq(in(LCR), 0x03);
	put(MCR, 0);
	expect_output("", 0);
}
END_TEST

START_TEST(output)
{
	const char *text = "Hello\r\n";

	for (const char *c = text; *c; c++) {
		ck_assert(in(LSR)&0x20);
		put(DATA, (uint8_t)*c);
	}
	put(DATA, 0);
	expect_output("Hello\r\n\0", 8);
}
END_TEST

START_TEST(wide_access_is_split)
{
	uint64_t value;

	/* IER in the second byte */
	ck_assert(bus_write(pio, PORT_COM1, 2, 0x0141));
	ck_assert_uint_eq(in(IER), 0x01);
	put(SCR, 0x77);
	ck_assert(bus_read(pio, PORT_COM1 + LCR, 4, &value));
	ck_assert_uint_eq(value, 0xb0600000);
	ck_assert(bus_read(pio, PORT_COM1 + MSR, 2, &value));
	ck_assert_uint_eq(value, 0x77b0);
	expect_output("A", 1);
}
END_TEST

START_TEST(transmitter_interrupt)
{
	put(IER, 0x02);
	ck_assert(line);
	/* Reading IIR acknowledges it. */
	ck_assert_uint_eq(in(IIR), 0x02);
	ck_assert(!line);
	ck_assert_uint_eq(in(IIR), 0x01);
	/* A byte that is written leaves at once. */
	put(DATA, 'x');
	ck_assert(line);
	ck_assert_uint_eq(edges, 2);
	/* Disabling lowers the line, enabling raises it again (Linux tests for that). */
	put(IER, 0);
	ck_assert(!line);
	ck_assert_uint_eq(in(IIR), 0x01);
	put(IER, 0x02);
	ck_assert_uint_eq(in(IIR), 0x02);
	/* Enabled and acknowledged: writing the same value is no new event. */
	put(IER, 0x02);
	ck_assert_uint_eq(in(IIR), 0x01);
}
END_TEST

START_TEST(receive_without_fifo)
{
	put(IER, 0x01);
	ck_assert_uint_eq(receive("ab"), 1);
	ck_assert(line);
	ck_assert_uint_eq(in(IIR), 0x04);
	ck_assert_uint_eq(in(LSR), 0x61);
	ck_assert_uint_eq(in(DATA), 'a');
	ck_assert(!line);
	ck_assert_uint_eq(in(LSR), 0x60);
	/* Reading on gives the same byte. */
	ck_assert_uint_eq(in(DATA), 'a');
	ck_assert_uint_eq(receive("b"), 1);
	ck_assert_uint_eq(in(DATA), 'b');
}
END_TEST

START_TEST(receive_fifo)
{
	static const struct {
		uint8_t fcr;
		unsigned int trigger;
	} t[] = {{0x01, 1}, {0x41, 4}, {0x81, 8}, {0xc1, 14}};

	put(IER, 0x01);
	for (unsigned int i = 0; i < 4; i++) {
		put(FCR, t[i].fcr | 0x06);
		ck_assert_uint_eq(in(IIR), 0xc1);
		for (unsigned int n = 1; n <= 16; n++) {
			ck_assert_uint_eq(receive("z"), 1);
			ck_assert(line);
			/* Below the trigger level the idle line times out. */
			ck_assert_uint_eq(in(IIR), n >= t[i].trigger ? 0xc4 : 0xcc);
		}
		ck_assert_uint_eq(receive("z"), 0);
		ck_assert_uint_eq(in(LSR), 0x61);
		for (unsigned int n = 16; n; n--)
			ck_assert_uint_eq(in(DATA), 'z');
		ck_assert(!line);
		ck_assert_uint_eq(in(LSR), 0x60);
	}
}
END_TEST

START_TEST(fifo_order_and_reset)
{
	put(IER, 0x01);
	put(FCR, 0x01);
	ck_assert_uint_eq(receive("0123456789"), 10);
	for (int i = 0; i < 5; i++)
		ck_assert_uint_eq(in(DATA), '0' + i);
	/* The ring wraps. */
	ck_assert_uint_eq(receive("abcdefghijklmnop"), 11);
	for (int i = 5; i < 10; i++)
		ck_assert_uint_eq(in(DATA), '0' + i);
	for (int i = 0; i < 11; i++)
		ck_assert_uint_eq(in(DATA), 'a' + i);
	ck_assert_uint_eq(receive("xyz"), 3);
	/* Clearing the transmitter's FIFO leaves ours; clearing ours, or the mode, empties it. */
	put(FCR, 0x05);
	ck_assert(in(LSR)&1);
	put(FCR, 0x03);
	ck_assert(!(in(LSR)&1));
	/* What was not read comes again, in its place. */
	ck_assert_uint_eq(receive("abc"), 3);
	ck_assert_uint_eq(in(DATA), 'x');
	put(FCR, 0x00);
	ck_assert(!(in(LSR)&1));
	ck_assert_uint_eq(in(IIR), 0x01);
	/* Without FIFO mode the other bits do nothing. */
	ck_assert_uint_eq(receive("d"), 0);
	put(FCR, 0xc6);
	ck_assert(in(LSR)&1);
	for (const char *c = "yzabc"; *c; c++) {
		ck_assert_uint_eq(in(DATA), *c);
		ck_assert_uint_eq(receive("d"), c[1] == '\0');
	}
	ck_assert_uint_eq(in(DATA), 'd');
	ck_assert(!(in(LSR)&1));
}
END_TEST

/* A driver throws away what it finds at its start: until it is through, the line is silent. */
START_TEST(input_waits_for_a_driver)
{
	/* Text goes out by polling, as the kernel's does before its driver is there. */
	for (int i = 0; i < 1000; i++) {
		ck_assert(in(LSR)&0x20);
		put(DATA, '.');
		ck_assert_uint_eq(receive("early"), 0);
	}
	/* serial8250_do_startup() and serial8250_do_set_termios() of Linux */
	put(FCR, 0x01);
	put(FCR, 0x07);
	put(FCR, 0x00);
	in(LSR);
	in(DATA);
	in(IIR);
	in(MSR);
	ck_assert_uint_eq(receive("early"), 0);
	put(LCR, 0x03);
	put(MCR, 0x08);
	put(IER, 0x05);
	ck_assert_uint_eq(receive("early"), 1);
	put(IER, 0x05);
	put(FCR, 0x01);
	put(FCR, 0x81);
	ck_assert(!(in(LSR)&1));
	ck_assert_uint_eq(receive("arly"), 4);
	for (const char *c = "early"; *c; c++)
		ck_assert_uint_eq(in(DATA), *c);
	/* Messages of its kernel: its console turns the interrupt off meanwhile. */
	put(IER, 0x00);
	ck_assert_uint_eq(receive("x"), 0);
	put(IER, 0x05);
	ck_assert_uint_eq(receive("x"), 1);
	ck_assert_uint_eq(in(DATA), 'x');
}
END_TEST

/* A guest without interrupts that looks for input, and says something in between. */
START_TEST(input_for_one_that_polls)
{
	size_t taken = 0;

	put(FCR, 0x01);
	for (int i = 0; i < 100; i++) {
		put(DATA, '.');
		in(LSR);
		in(LSR);
		taken += receive(&"polled"[taken]);
	}
	ck_assert_uint_eq(taken, 6);
	for (const char *c = "polled"; *c; c++) {
		ck_assert(in(LSR)&1);
		ck_assert_uint_eq(in(DATA), *c);
	}
	/* A driver comes. */
	put(FCR, 0x03);
	ck_assert_uint_eq(receive("x"), 0);
	put(IER, 0x01);
	ck_assert_uint_eq(receive("x"), 1);
}
END_TEST

/* What a guest sent to itself is not the line's: that does not come again. */
START_TEST(loopback_is_not_repeated)
{
	put(IER, 0x01);
	put(FCR, 0x01);
	ck_assert_uint_eq(receive("a"), 1);
	put(MCR, 0x10);
	put(DATA, 'L');
	put(FCR, 0x03);
	put(MCR, 0x00);
	ck_assert_uint_eq(receive("b"), 1);
	ck_assert_uint_eq(in(DATA), 'a');
	ck_assert_uint_eq(in(DATA), 'b');
	ck_assert(!(in(LSR)&1));
	/* It overwrites a byte of the line: that does come again. */
	put(FCR, 0x00);
	ck_assert_uint_eq(receive("c"), 1);
	put(MCR, 0x10);
	put(DATA, 'L');
	ck_assert_uint_eq(in(DATA), 'L');
	put(MCR, 0x00);
	ck_assert_uint_eq(receive(""), 0);
	ck_assert_uint_eq(in(DATA), 'c');
	ck_assert(!(in(LSR)&1));
}
END_TEST

START_TEST(loopback_modem_lines)
{
	/* The probe of Linux's 8250 driver: LOOP | OUT2 | RTS must show DCD and CTS. */
	put(MCR, 0x1a);
	ck_assert_uint_eq(in(MSR)&0xf0, 0x90);
	put(MCR, 0x15);
	ck_assert_uint_eq(in(MSR)&0xf0, 0x60);
	put(MCR, 0x10);
	/* DSR fell, and RI ended, which alone counts for RI. */
	ck_assert_uint_eq(in(MSR), 0x06);
	ck_assert_uint_eq(in(MSR), 0x00);
	put(MCR, 0x14);
	ck_assert_uint_eq(in(MSR), 0x40);
	put(MCR, 0x00);
	ck_assert_uint_eq(in(MSR), 0xb0 | 0x0f);
	ck_assert_uint_eq(in(MSR), 0xb0);
}
END_TEST

START_TEST(loopback_data)
{
	put(FCR, 0x01);
	put(MCR, 0x10);
	/* The line is cut off. */
	ck_assert_uint_eq(receive("line"), 0);
	for (int i = 0; i < 16; i++)
		put(DATA, (uint8_t)('a' + i));
	ck_assert_uint_eq(in(LSR), 0x61);
	/* One too many: overrun, the FIFO as it was; reading LSR clears it. */
	put(DATA, 'X');
	ck_assert_uint_eq(in(LSR), 0x63);
	ck_assert_uint_eq(in(LSR), 0x61);
	for (int i = 0; i < 16; i++)
		ck_assert_uint_eq(in(DATA), 'a' + i);
	/* Without FIFOs the new byte overwrites. */
	put(FCR, 0x00);
	put(DATA, '1');
	put(DATA, '2');
	ck_assert_uint_eq(in(LSR), 0x63);
	ck_assert_uint_eq(in(DATA), '2');
	put(MCR, 0x00);
	put(IER, 0x01);
	ck_assert_uint_eq(receive("line"), 1);
	expect_output("", 0);
}
END_TEST

START_TEST(priorities)
{
	/* All four pending at once, acknowledged one by one. */
	put(MCR, 0x10);
	put(DATA, '1');
	put(DATA, '2');
	put(IER, 0x0f);
	ck_assert_uint_eq(in(IIR), 0x06);
	/* Reading IIR acknowledges the transmitter only when it is the one reported. */
	ck_assert_uint_eq(in(IIR), 0x06);
	in(LSR);
	ck_assert_uint_eq(in(IIR), 0x04);
	in(DATA);
	ck_assert_uint_eq(in(IIR), 0x02);
	ck_assert_uint_eq(in(IIR), 0x00);
	ck_assert(line);
	in(MSR);
	ck_assert_uint_eq(in(IIR), 0x01);
	ck_assert(!line);
	ck_assert_uint_eq(edges, 1);
}
END_TEST

START_TEST(port_taken)
{
	struct error e = {.text = ""};

	ck_assert_ptr_null(serial_create(pio, PORT_COM1 + 7, irq, console, &e));
	ck_assert_uint_gt(strlen(e.text), 0);
	serial_destroy(NULL);
}
END_TEST

/* ------------------------------------------------------------------------- */

static void *run_loop(void *arg)
{
	(void)arg;
	loop_run(loop);
	return NULL;
}

#define FLOOD 50000

static void *write_flood(void *arg)
{
	static uint8_t bytes[FLOOD];
	int fd = *(int *)arg;
	size_t done = 0;

	for (size_t i = 0; i < FLOOD; i++)
		bytes[i] = (uint8_t)(i * 7);
	while (done < FLOOD) {
		ssize_t n = write(fd, bytes + done, FLOOD - done);

		if (n <= 0)
			break;
		done += (size_t)n;
	}
	return NULL;
}

/* A client sends far more than all buffers hold, to a slow guest: nothing is lost. */
START_TEST(input_waits_for_the_guest)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	pthread_t loop_thread, writer;
	char spec[80];
	int fd;

	tear_down();
	strcpy(dir, "/tmp/test_serial.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/console", dir);
	snprintf(spec, sizeof(spec), "unix=%s", path);
	open_on(spec);
	put(FCR, 0x01);
	pthread_create(&loop_thread, NULL, run_loop, NULL);

	strcpy(addr.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	ck_assert_int_eq(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	pthread_create(&writer, NULL, write_flood, &fd);
	for (size_t i = 0; i < FLOOD; i++) {
		unsigned int polls = 0;

		while (!(in(LSR)&1)) {
			ck_assert_uint_lt(++polls, 5000);
			usleep(1000);
		}
		ck_assert_uint_eq(in(DATA), (uint8_t)(i * 7));
	}
	/* And nothing is made up. */
	ck_assert(!(in(LSR)&1));
	pthread_join(writer, NULL);
	loop_stop(loop);
	pthread_join(loop_thread, NULL);
	close(fd);
}
END_TEST

static void all_registers(uint8_t *r)
{
	for (unsigned int reg = IER; reg <= SCR; reg++)
		r[reg] = in(reg);
	put(LCR, 0x80);
	r[DATA] = in(DATA);
	r[SCR + 1] = in(IER);
	put(LCR, 0);
}

START_TEST(reset_is_like_new)
{
	uint8_t fresh[9], now[9];

	all_registers(fresh);
	srandom(1);
	for (unsigned int i = 0; i < 2000; i++) {
		put(random() % 8, (uint8_t)random());
		serial_device.reset(serial);
		ck_assert(!line);
		all_registers(now);
		ck_assert_mem_eq(now, fresh, sizeof(now));
		for (unsigned int k = 0; k < 8; k++)
			put(random() % 8, (uint8_t)random());
	}
}
END_TEST

/* What was received, and not read, the next guest gets; without FIFOs there is room for one byte. */
START_TEST(reset_keeps_input)
{
	put(IER, 1);
	ck_assert_uint_eq(receive("old"), 1);
	serial_device.reset(serial);
	ck_assert(!(in(LSR)&1));
	put(IER, 1);
	ck_assert_uint_eq(receive("new"), 0);
	ck_assert_uint_eq(in(DATA), 'o');
	ck_assert_uint_eq(receive("new"), 1);
	ck_assert_uint_eq(in(DATA), 'n');
}
END_TEST

START_TEST(stopped_input_waits)
{
	put(IER, 1);
	ck_assert(serial_device.stop(serial));
	ck_assert_uint_eq(receive("x"), 0);
	ck_assert(!(in(LSR)&1));
	serial_device.start(serial);
	ck_assert_uint_eq(receive("x"), 1);
	ck_assert_uint_eq(in(DATA), 'x');
}
END_TEST

int main(void)
{
	Suite *s = suite_create("serial");
	TCase *t = tcase_create("serial");

	tcase_set_timeout(t, 60);
	tcase_add_checked_fixture(t, set_up, tear_down);
	tcase_add_test(t, after_reset);
	tcase_add_test(t, plain_registers);
	tcase_add_test(t, output);
	tcase_add_test(t, wide_access_is_split);
	tcase_add_test(t, transmitter_interrupt);
	tcase_add_test(t, receive_without_fifo);
	tcase_add_test(t, receive_fifo);
	tcase_add_test(t, fifo_order_and_reset);
	tcase_add_test(t, input_waits_for_a_driver);
	tcase_add_test(t, input_for_one_that_polls);
	tcase_add_test(t, loopback_is_not_repeated);
	tcase_add_test(t, loopback_modem_lines);
	tcase_add_test(t, loopback_data);
	tcase_add_test(t, priorities);
	tcase_add_test(t, port_taken);
	tcase_add_test(t, input_waits_for_the_guest);
	tcase_add_test(t, reset_is_like_new);
	tcase_add_test(t, reset_keeps_input);
	tcase_add_test(t, stopped_input_waits);
	suite_add_tcase(s, t);

	return suite_run(s);
}
