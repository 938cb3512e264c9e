// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A 16550A UART (National Semiconductor PC16550D data sheet, whose section
 * numbers are cited). Called by the PIO bus on vCPU threads and by the console
 * on the loop's thread.
 *
 * The line has no speed: a byte is gone as soon as it is written, so the
 * transmitter is always empty; and when the console has no more bytes the line
 * is idle, so the character time-out is always over.
 *
 * Nothing that is sent to the guest is lost here: input never overruns the receiver,
 * because the console waits (only loopback can do that); it comes only when somebody
 * listens, for drivers throw away what they find at their start; and what a reset of the
 * FIFO throws away comes again, as if it had been sent a little later.
 */
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "acpi/describe.h"
#include "dev/serial.h"

#define PORTS	   8
#define FIFO_DEPTH 16
#define CLOCK	   1843200 /* Hz; what a divisor of 1 is at, over 16 */
#define IDLE_POLLS 16 /* looks at LSR in vain that make a guest without interrupts a listener */

enum reg {
	REG_DATA = 0, /* RBR, THR; DLL with DLAB */
	REG_IER = 1,  /* DLM with DLAB */
	REG_IIR = 2,  /* written: FCR */
	REG_LCR = 3,
	REG_MCR = 4,
	REG_LSR = 5,
	REG_MSR = 6,
	REG_SCR = 7,
};

/* Interrupt enable (8.7) */
#define IER_RX	  0x01
#define IER_TX	  0x02
#define IER_LINE  0x04
#define IER_MODEM 0x08
#define IER_MASK  0x0f

/* Interrupt identification (8.6), highest priority first but for the last */
#define IIR_LINE    0x06
#define IIR_RX	    0x04
#define IIR_TIMEOUT 0x0c
#define IIR_TX	    0x02
#define IIR_MODEM   0x00
#define IIR_NONE    0x01
#define IIR_FIFO    0xc0

/* FIFO control (8.5) */
#define FCR_ENABLE	  0x01
#define FCR_CLEAR_RX	  0x02
#define FCR_TRIGGER_SHIFT 6

#define LCR_DLAB	  0x80

/* Modem control (8.8) */
#define MCR_DTR	 0x01
#define MCR_RTS	 0x02
#define MCR_OUT1 0x04
#define MCR_OUT2 0x08
#define MCR_LOOP 0x10
#define MCR_MASK 0x1f

/* Line status (8.4) */
#define LSR_READY   0x01
#define LSR_OVERRUN 0x02
#define LSR_EMPTY   0x60 /* THRE and TEMT */

/* Modem status (8.9): four lines, and what changed since the last read */
#define MSR_DCTS  0x01
#define MSR_DDSR  0x02
#define MSR_TERI  0x04
#define MSR_DDCD  0x08
#define MSR_DELTA 0x0f
#define MSR_CTS	  0x10
#define MSR_DSR	  0x20
#define MSR_RI	  0x40
#define MSR_DCD	  0x80

struct serial {
	struct bus *pio;	 /* set at creation */
	uint16_t port;		 /* set at creation */
	struct irq_line irq;	 /* set at creation */
	struct console *console; /* set at creation */

	pthread_mutex_t lock;	  /* protects all below; the line and the console nest inside */
	uint8_t fifo[FIFO_DEPTH]; /* received bytes: a ring */
	bool looped[FIFO_DEPTH];  /* that byte came by loopback */
	unsigned int head, count;
	uint8_t again[FIFO_DEPTH]; /* received, and cleared before it was read: the next to come */
	unsigned int nr_again;
	unsigned int idle_polls; /* since the FIFO was reset */
	bool lsr_read_last;	 /* LSR was the last register accessed */
	bool fifo_on;
	unsigned int trigger; /* bytes that make IIR_RX rather than IIR_TIMEOUT */
	bool tx_pending;      /* "transmitter empty" not yet reported */
	bool overrun;
	bool starved; /* bytes are held back until we ask for them */
	uint8_t ier, lcr, mcr, scr;
	uint8_t lines, deltas; /* the two halves of MSR */
	uint16_t divisor;
	bool stopped; /* takes no input */
};

static unsigned int depth(const struct serial *s)
{
	return s->fifo_on ? FIFO_DEPTH : 1;
}

/* The pending interrupt of highest priority (8.6, table IV). */
static uint8_t interrupt_id(const struct serial *s)
{
	if ((s->ier & IER_LINE) && s->overrun)
		return IIR_LINE;
	if ((s->ier & IER_RX) && s->count >= (s->fifo_on ? s->trigger : 1))
		return IIR_RX;
	if ((s->ier & IER_RX) && s->count)
		return IIR_TIMEOUT;
	if ((s->ier & IER_TX) && s->tx_pending)
		return IIR_TX;
	if ((s->ier & IER_MODEM) && s->deltas)
		return IIR_MODEM;
	return IIR_NONE;
}

static void update_irq(struct serial *s)
{
	irq_set(&s->irq, interrupt_id(s) != IIR_NONE);
}

/*
 * A driver enables the receiver's interrupt, behind its resets. One that polls reads LSR
 * over and over; who only waits to transmit finds the transmitter empty at once, and writes.
 * In loopback the receiver is cut off from the line (8.8).
 */
static bool listens(const struct serial *s)
{
	return !(s->mcr & MCR_LOOP) && !s->stopped &&
	       ((s->ier & IER_RX) || s->idle_polls >= IDLE_POLLS);
}

static void wake_console(struct serial *s)
{
	if (!s->starved || s->count == depth(s) || !listens(s))
		return;
	s->starved = false;
	console_input_ready(s->console);
}

static void push(struct serial *s, uint8_t byte, bool looped)
{
	unsigned int i = (s->head + s->count++) % FIFO_DEPTH;

	s->fifo[i] = byte;
	s->looped[i] = looped;
}

static uint8_t pop(struct serial *s)
{
	uint8_t byte = s->fifo[s->head];

	/* An empty receiver gives its last byte again, as the chip's register does. */
	if (!s->count)
		return byte;
	if (--s->count)
		s->head = (s->head + 1) % FIFO_DEPTH;
	wake_console(s);
	return byte;
}

/* What was received and not read is older than what is to come again: both have room together. */
static void clear_rx(struct serial *s)
{
	uint8_t again[FIFO_DEPTH];
	unsigned int n = 0;

	for (unsigned int i = 0; i < s->count; i++) {
		unsigned int at = (s->head + i) % FIFO_DEPTH;

		if (!s->looped[at])
			again[n++] = s->fifo[at];
	}
	memcpy(again + n, s->again, s->nr_again);
	s->nr_again += n;
	memcpy(s->again, again, s->nr_again);
	s->count = 0;
	s->idle_polls = 0;
	if (s->nr_again)
		s->starved = true;
	wake_console(s);
}

/* Loopback: what is sent comes back (8.8); only here can the receiver overrun (8.4). */
static void loop_back(struct serial *s, uint8_t byte)
{
	if (s->count < depth(s)) {
		push(s, byte, true);
		return;
	}
	s->overrun = true;
	/* Without FIFOs the new byte replaces the old; with them it is lost. */
	if (!s->fifo_on) {
		clear_rx(s);
		push(s, byte, true);
	}
}

static void transmit(struct serial *s, uint8_t byte)
{
	if (s->mcr & MCR_LOOP)
		loop_back(s, byte);
	else
		console_put(s->console, byte);
	/* The write cleared the interrupt, and the byte's departure raises it anew. */
	s->tx_pending = true;
}

/* The far end is always there and ready; in loopback our outputs are the inputs (8.8). */
static void update_lines(struct serial *s)
{
	uint8_t lines = MSR_CTS | MSR_DSR | MSR_DCD;
	uint8_t changed;

	if (s->mcr & MCR_LOOP)
		lines = (s->mcr & MCR_RTS ? MSR_CTS : 0) | (s->mcr & MCR_DTR ? MSR_DSR : 0) |
			(s->mcr & MCR_OUT1 ? MSR_RI : 0) | (s->mcr & MCR_OUT2 ? MSR_DCD : 0);

	changed = s->lines ^ lines;
	/* The ring indicator counts only when it ends (8.9, TERI). */
	if (lines & MSR_RI)
		changed &= ~MSR_RI;
	s->deltas |= changed >> 4;
	s->lines = lines;
}

static void write_fcr(struct serial *s, uint8_t value)
{
	static const uint8_t triggers[] = {1, 4, 8, 14};
	bool on = value & FCR_ENABLE;

	/* Changing the mode empties both FIFOs; the other bits need FIFO mode (8.5). */
	if (on != s->fifo_on || (on && (value & FCR_CLEAR_RX))) {
		s->fifo_on = on;
		clear_rx(s);
	}
	if (on)
		s->trigger = triggers[value >> FCR_TRIGGER_SHIFT];
}

static void write_ier(struct serial *s, uint8_t value)
{
	/* Enabling it while the transmitter is empty raises the interrupt (8.6). */
	if ((value & IER_TX) && !(s->ier & IER_TX))
		s->tx_pending = true;
	s->ier = value & IER_MASK;
	wake_console(s);
}

static void write_mcr(struct serial *s, uint8_t value)
{
	s->mcr = value & MCR_MASK;
	update_lines(s);
	wake_console(s);
}

static uint8_t read_iir(struct serial *s)
{
	uint8_t id = interrupt_id(s);

	/* Reading IIR acknowledges this one source, if it is the one reported (8.6). */
	if (id == IIR_TX)
		s->tx_pending = false;
	return id | (s->fifo_on ? IIR_FIFO : 0);
}

static uint8_t read_lsr(struct serial *s, bool repeated)
{
	uint8_t lsr = LSR_EMPTY | (s->count ? LSR_READY : 0) | (s->overrun ? LSR_OVERRUN : 0);

	s->overrun = false;
	if (repeated && !s->count && s->idle_polls < IDLE_POLLS) {
		s->idle_polls++;
		wake_console(s);
	}
	return lsr;
}

static uint8_t read_msr(struct serial *s)
{
	uint8_t msr = s->lines | s->deltas;

	s->deltas = 0;
	return msr;
}

static uint8_t read_reg(struct serial *s, enum reg reg)
{
	bool dlab = s->lcr & LCR_DLAB;
	bool lsr_again = reg == REG_LSR && s->lsr_read_last;

	s->lsr_read_last = reg == REG_LSR;
	switch (reg) {
	case REG_DATA:
		return dlab ? (uint8_t)s->divisor : pop(s);
	case REG_IER:
		return dlab ? s->divisor >> 8 : s->ier;
	case REG_IIR:
		return read_iir(s);
	case REG_LCR:
		return s->lcr;
	case REG_MCR:
		return s->mcr;
	case REG_LSR:
		return read_lsr(s, lsr_again);
	case REG_MSR:
		return read_msr(s);
	case REG_SCR:
		return s->scr;
	}
	return 0xff;
}

static void write_reg(struct serial *s, enum reg reg, uint8_t value)
{
	bool dlab = s->lcr & LCR_DLAB;

	s->lsr_read_last = false;
	switch (reg) {
	case REG_DATA:
		if (dlab)
			s->divisor = (s->divisor & 0xff00) | value;
		else
			transmit(s, value);
		break;
	case REG_IER:
		if (dlab)
			s->divisor = (uint16_t)((s->divisor & 0x00ff) | value << 8);
		else
			write_ier(s, value);
		break;
	case REG_IIR:
		write_fcr(s, value);
		break;
	case REG_LCR:
		s->lcr = value;
		break;
	case REG_MCR:
		write_mcr(s, value);
		break;
	case REG_SCR:
		s->scr = value;
		break;
	case REG_LSR:
	case REG_MSR:
		/* Writable for factory tests only (8.4, 8.9). */
		break;
	}
}

/* The chip is eight bits wide: the bus splits wider accesses, lowest port first. */
static uint64_t port_read(void *dev, uint64_t offset, unsigned int size)
{
	struct serial *s = dev;
	uint64_t value = 0;
	unsigned int i;

	pthread_mutex_lock(&s->lock);
	for (i = 0; i < size; i++)
		value |= (uint64_t)read_reg(s, (enum reg)(offset + i)) << i * 8;
	update_irq(s);
	pthread_mutex_unlock(&s->lock);
	return value;
}

static void port_write(void *dev, uint64_t offset, unsigned int size, uint64_t value)
{
	struct serial *s = dev;
	unsigned int i;

	pthread_mutex_lock(&s->lock);
	for (i = 0; i < size; i++)
		write_reg(s, (enum reg)(offset + i), (uint8_t)(value >> i * 8));
	update_irq(s);
	pthread_mutex_unlock(&s->lock);
}

static const struct bus_ops port_ops = {
	.read = port_read,
	.write = port_write,
};

static uint8_t next_again(struct serial *s)
{
	uint8_t byte = s->again[0];

	memmove(s->again, s->again + 1, --s->nr_again);
	return byte;
}

size_t serial_receive(void *serial, const uint8_t *buf, size_t len)
{
	struct serial *s = serial;
	size_t taken = 0;

	pthread_mutex_lock(&s->lock);
	while (listens(s) && s->count < depth(s) && (s->nr_again || taken < len)) {
		if (s->nr_again)
			push(s, next_again(s), false);
		else
			push(s, buf[taken++], false);
	}
	s->starved = s->nr_again || taken < len;
	update_irq(s);
	pthread_mutex_unlock(&s->lock);
	return taken;
}

static void power_up(struct serial *s)
{
	s->head = s->count = 0;
	s->fifo_on = false;
	s->trigger = 1;
	s->tx_pending = false;
	s->overrun = false;
	s->idle_polls = 0;
	s->lsr_read_last = false;
	s->ier = s->lcr = s->mcr = s->scr = 0;
	s->lines = MSR_CTS | MSR_DSR | MSR_DCD;
	s->deltas = 0;
	/* Undefined after a reset (8.1); 9600 bits/s is what firmware leaves. */
	s->divisor = 12;
}

/* What was received for the guest that was, and not read, the next one gets. */
static void reset(void *dev)
{
	struct serial *s = dev;

	pthread_mutex_lock(&s->lock);
	clear_rx(s);
	power_up(s);
	update_irq(s);
	pthread_mutex_unlock(&s->lock);
}

static bool stop(void *dev)
{
	struct serial *s = dev;

	pthread_mutex_lock(&s->lock);
	s->stopped = true;
	pthread_mutex_unlock(&s->lock);
	return true;
}

static void start(void *dev)
{
	struct serial *s = dev;

	pthread_mutex_lock(&s->lock);
	s->stopped = false;
	wake_console(s);
	pthread_mutex_unlock(&s->lock);
}

/* ------------------------------------------------------------------------- */
/* Its state                                                                  */

static const struct state_property properties[] = {
	{STATE_UINT(struct serial, port, "port", UINT16_MAX), .same = true},
	{STATE_ARRAY(struct serial, fifo, "fifo", UINT8_MAX)},
	{STATE_ARRAY(struct serial, looped, "looped", 1)},
	{STATE_UINT(struct serial, head, "head", FIFO_DEPTH - 1)},
	{STATE_UINT(struct serial, count, "count", FIFO_DEPTH)},
	{STATE_ARRAY(struct serial, again, "again", UINT8_MAX)},
	{STATE_UINT(struct serial, nr_again, "again-count", FIFO_DEPTH)},
	{STATE_UINT(struct serial, idle_polls, "idle-polls", IDLE_POLLS)},
	{STATE_BOOL(struct serial, lsr_read_last, "lsr-read-last")},
	{STATE_BOOL(struct serial, fifo_on, "fifo-on")},
	{STATE_UINT(struct serial, trigger, "trigger", FIFO_DEPTH)},
	{STATE_BOOL(struct serial, tx_pending, "tx-pending")},
	{STATE_BOOL(struct serial, overrun, "overrun")},
	{STATE_UINT(struct serial, ier, "ier", IER_MASK)},
	{STATE_UINT(struct serial, lcr, "lcr", UINT8_MAX)},
	{STATE_UINT(struct serial, mcr, "mcr", MCR_MASK)},
	{STATE_UINT(struct serial, scr, "scr", UINT8_MAX)},
	{STATE_UINT(struct serial, lines, "lines", UINT8_MAX)},
	{STATE_UINT(struct serial, deltas, "deltas", MSR_DELTA)},
	{STATE_UINT(struct serial, divisor, "divisor", UINT16_MAX)},
};

static const struct state_format format = STATE_FORMAT("serial", 1, properties);

static void save(void *dev, struct dtb *out)
{
	struct serial *s = dev;

	pthread_mutex_lock(&s->lock);
	state_put(out, &format, s);
	pthread_mutex_unlock(&s->lock);
}

/* As clear_rx() needs it. */
static bool fits(const struct serial *s)
{
	unsigned int received = 0;

	for (unsigned int i = 0; i < s->count; i++)
		received += !s->looped[(s->head + i) % FIFO_DEPTH];
	return s->count <= depth(s) && received + s->nr_again <= FIFO_DEPTH;
}

static int load(void *dev, struct state_in *in, struct error *e)
{
	struct serial *s = dev, new = {0};
	int ret = state_get_leaf(in, &format, s, &new, e);

	if (ret)
		return ret;
	if (!fits(&new))
		return state_refuse(in, "count", "is more than there is room for", e);
	if (!new.trigger)
		return state_refuse(in, "trigger", "is out of range", e);
	if (new.lines & MSR_DELTA)
		return state_refuse(in, "lines", "is out of range", e);

	pthread_mutex_lock(&s->lock);
	state_copy(&format, s, &new);
	/* Whatever the console held back, of which the state knows nothing, it is asked for. */
	s->starved = true;
	update_irq(s);
	pthread_mutex_unlock(&s->lock);
	return 0;
}

struct serial *serial_create(struct bus *pio, uint16_t port, struct irq_line irq,
			     struct console *console, struct error *e)
{
	struct serial *s = calloc(1, sizeof(*s));
	int ret;

	if (!s) {
		error_set(e, ENOMEM, "out of memory for the serial port");
		return NULL;
	}
	s->pio = pio;
	s->port = port;
	s->irq = irq;
	s->console = console;
	power_up(s);
	pthread_mutex_init(&s->lock, NULL);

	ret = bus_add(pio, port, PORTS, &port_ops, s);
	if (ret < 0) {
		error_set(e, -ret, "port %#x of the serial port is taken", port);
		pthread_mutex_destroy(&s->lock);
		free(s);
		return NULL;
	}
	console_set_input(console, serial_receive, s);
	return s;
}

void serial_destroy(void *dev)
{
	struct serial *s = dev;

	if (!s)
		return;
	console_set_input(s->console, NULL, NULL);
	bus_remove(s->pio, s->port, s);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

static void describe(void *dev, const struct description *d)
{
	const struct serial *s = dev;
	const struct port_device ports = {
		.aml = "COM1",
		.hid = "PNP0501",
		.node = "serial",
		.compatible = "ns16550a",
		.port = s->port,
		.len = PORTS,
		.gsi = s->irq.pin,
		.clock = CLOCK,
	};

	describe_ports(d, &ports);
}

const struct device_ops serial_device = {
	.stop = stop,
	.reset = reset,
	.start = start,
	.save = save,
	.load = load,
	.describe = describe,
	.destroy = serial_destroy,
};
