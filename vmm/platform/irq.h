/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How devices interrupt the guest, without knowing what delivers it: wired lines
 * (to the IOAPIC) and MSIs (to the local APICs, through the module).
 */
#ifndef VMM_PLATFORM_IRQ_H
#define VMM_PLATFORM_IRQ_H

#include <stdbool.h>
#include <stdint.h>

/* One input pin of an interrupt controller. */
struct irq_line {
	void (*set)(void *chip, unsigned int pin, bool level);
	void *chip;
	unsigned int pin;
};

static inline void irq_set(const struct irq_line *line, bool level)
{
	line->set(line->chip, line->pin, level);
}

/* An edge: raise and lower. */
static inline void irq_pulse(const struct irq_line *line)
{
	irq_set(line, true);
	irq_set(line, false);
}

/* Where MSIs go. Any thread may call. */
struct msi_sink {
	/* How many processors took the message, or a negative errno. */
	int (*send)(void *ctx, uint64_t addr, uint32_t data);
	/* Bind eventfd fd to a message (or rebind it), unbind it: 0 or a negative errno. */
	int (*bind)(void *ctx, int fd, uint64_t addr, uint32_t data);
	int (*unbind)(void *ctx, int fd);
	void *ctx;
};

/* Port or memory writes that signal an eventfd instead of leaving the guest. */
struct doorbell_sink {
	/* len 0: any width. match: only writes of this value; NULL: any. */
	int (*bind)(void *ctx, int fd, bool pio, uint64_t addr, unsigned int len,
		    const uint64_t *match);
	int (*unbind)(void *ctx, int fd, bool pio, uint64_t addr, unsigned int len,
		      const uint64_t *match);
	void *ctx;
};

#endif
