// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The MSI-X table and pending bits of a device, and the eventfds that deliver
 * its vectors. Called by the device that embeds struct msix, under its lock.
 */
#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <linux/pci_regs.h>

#include "log.h"
#include "pci/msix.h"

static bool deliverable(const struct msix *m, const struct msix_vector *v)
{
	return m->enabled && !m->masked && !v->masked;
}

static void deliver(struct msix *m, struct msix_vector *v)
{
	const uint64_t one = 1;
	int ret = 0;

	v->pending = false;
	if (!v->bound)
		ret = m->sink.send(m->sink.ctx, v->addr, v->data);
	else if (write(v->fd, &one, sizeof(one)) < 0)
		ret = -errno;
	if (ret < 0)
		log_guest("msix: message %#llx/%#x was not delivered: %s",
			  (unsigned long long)v->addr, v->data, strerror(-ret));
}

static void unbind(struct msix *m, struct msix_vector *v)
{
	if (v->bound)
		m->sink.unbind(m->sink.ctx, v->fd);
	v->bound = false;
}

/*
 * The entry or what masks it changed: bind the eventfd to exactly what the entry
 * says now, and send what was waiting. An entry that cannot be bound (no
 * sensible message) is sent by hand, and fails there.
 */
static void update(struct msix *m, struct msix_vector *v)
{
	if (!deliverable(m, v)) {
		unbind(m, v);
		return;
	}
	if (m->sink.bind(m->sink.ctx, v->fd, v->addr, v->data) == 0)
		v->bound = true;
	else
		unbind(m, v);
	if (v->pending)
		deliver(m, v);
}

void msix_drop_pending(struct msix *m)
{
	for (unsigned int i = 0; i < m->nr; i++)
		m->vector[i].pending = false;
}

void msix_reset(struct msix *m)
{
	m->enabled = m->masked = false;
	for (unsigned int i = 0; i < m->nr; i++) {
		struct msix_vector *v = &m->vector[i];

		v->addr = 0;
		v->data = 0;
		v->masked = true;
		v->pending = false;
		update(m, v);
	}
}

void msix_notify(struct msix *m, unsigned int vector)
{
	struct msix_vector *v;

	if (vector >= m->nr || !m->enabled)
		return;
	v = &m->vector[vector];
	if (deliverable(m, v))
		deliver(m, v);
	else
		v->pending = true;
}

/* ------------------------------------------------------------------------- */
/* Registers                                                                  */

static uint32_t pending_bits(const struct msix *m)
{
	uint32_t bits = 0;

	for (unsigned int i = 0; i < m->nr; i++)
		bits |= (uint32_t)m->vector[i].pending << i;
	return bits;
}

static uint32_t entry_get(const struct msix_vector *v, unsigned int reg)
{
	switch (reg) {
	case PCI_MSIX_ENTRY_LOWER_ADDR:
		return (uint32_t)v->addr;
	case PCI_MSIX_ENTRY_UPPER_ADDR:
		return v->addr >> 32;
	case PCI_MSIX_ENTRY_DATA:
		return v->data;
	default:
		return v->masked ? PCI_MSIX_ENTRY_CTRL_MASKBIT : 0;
	}
}

static void entry_set(struct msix_vector *v, unsigned int reg, uint32_t value)
{
	switch (reg) {
	case PCI_MSIX_ENTRY_LOWER_ADDR:
		v->addr = (v->addr & ~0xffffffffULL) | (value & ~3u);
		break;
	case PCI_MSIX_ENTRY_UPPER_ADDR:
		v->addr = (v->addr & 0xffffffffULL) | (uint64_t)value << 32;
		break;
	case PCI_MSIX_ENTRY_DATA:
		v->data = value;
		break;
	default:
		v->masked = value & PCI_MSIX_ENTRY_CTRL_MASKBIT;
		break;
	}
}

static uint32_t read32(const struct msix *m, uint64_t offset)
{
	unsigned int vector = offset / PCI_MSIX_ENTRY_SIZE;

	if (offset == MSIX_PBA)
		return pending_bits(m);
	if (vector < m->nr)
		return entry_get(&m->vector[vector], offset % PCI_MSIX_ENTRY_SIZE);
	return 0;
}

/* Aligned accesses of 4 or 8 bytes, the only ones software may use: 6.8.2. */
static bool legal(uint64_t offset, unsigned int size)
{
	return (size == 4 || size == 8) && offset % size == 0;
}

uint64_t msix_read(struct msix *m, uint64_t offset, unsigned int size)
{
	uint64_t value;

	if (!legal(offset, size))
		return 0;
	value = read32(m, offset);
	if (size == 8)
		value |= (uint64_t)read32(m, offset + 4) << 32;
	return value;
}

void msix_write(struct msix *m, uint64_t offset, unsigned int size, uint64_t value)
{
	unsigned int vector = offset / PCI_MSIX_ENTRY_SIZE;
	unsigned int reg = offset % PCI_MSIX_ENTRY_SIZE;

	/* The pending bits are read-only. */
	if (!legal(offset, size) || vector >= m->nr)
		return;
	entry_set(&m->vector[vector], reg, (uint32_t)value);
	if (size == 8)
		entry_set(&m->vector[vector], reg + 4, value >> 32);
	update(m, &m->vector[vector]);
}

void msix_config_written(struct msix *m, const struct pci_dev *dev)
{
	uint16_t control = pci_config_get(dev, m->cap + PCI_MSIX_FLAGS, 2);
	bool enabled = control & PCI_MSIX_FLAGS_ENABLE;
	bool masked = control & PCI_MSIX_FLAGS_MASKALL;

	if (enabled == m->enabled && masked == m->masked)
		return;
	m->enabled = enabled;
	m->masked = masked;
	for (unsigned int i = 0; i < m->nr; i++)
		update(m, &m->vector[i]);
}

/* ------------------------------------------------------------------------- */
/* Its state                                                                  */

/* The columns of the table. */
struct msix_state {
	uint32_t nr;
	uint64_t addr[MSIX_MAX_VECTORS];
	uint32_t data[MSIX_MAX_VECTORS];
	bool masked[MSIX_MAX_VECTORS];
	bool pending[MSIX_MAX_VECTORS];
};

static const struct state_property properties[] = {
	{STATE_UINT(struct msix_state, nr, "vectors", MSIX_MAX_VECTORS), .same = true},
	{STATE_ARRAY(struct msix_state, addr, "address", UINT64_MAX)},
	{STATE_ARRAY(struct msix_state, data, "data", UINT32_MAX)},
	{STATE_ARRAY(struct msix_state, masked, "masked", 1)},
	{STATE_ARRAY(struct msix_state, pending, "pending", 1)},
};

static const struct state_format format = STATE_FORMAT("msix", 1, properties);

static struct msix_state columns(const struct msix *m)
{
	struct msix_state s = {.nr = m->nr};

	for (unsigned int i = 0; i < m->nr; i++) {
		s.addr[i] = m->vector[i].addr;
		s.data[i] = m->vector[i].data;
		s.masked[i] = m->vector[i].masked;
		s.pending[i] = m->vector[i].pending;
	}
	return s;
}

void msix_save(const struct msix *m, struct dtb *out)
{
	struct msix_state s = columns(m);

	state_put(out, &format, &s);
}

int msix_load(struct msix *m, struct state_in *in, struct error *e)
{
	struct msix_state had = columns(m), s;
	int ret = state_get_leaf(in, &format, &had, &s, e);

	if (ret)
		return ret;
	for (unsigned int i = 0; i < MSIX_MAX_VECTORS; i++) {
		if (s.addr[i] & 3)
			return state_refuse(in, "address", "is no multiple of 4", e);
		if (i >= m->nr && (s.addr[i] || s.data[i] || s.masked[i] || s.pending[i]))
			return state_refuse(in, "address", "is of a vector that is not there", e);
	}
	for (unsigned int i = 0; i < m->nr; i++) {
		struct msix_vector *v = &m->vector[i];

		v->addr = s.addr[i];
		v->data = s.data[i];
		v->masked = s.masked[i];
		v->pending = s.pending[i];
		update(m, v);
	}
	return 0;
}

/* ------------------------------------------------------------------------- */
/* Set-up                                                                     */

int msix_init(struct msix *m, struct pci_dev *dev, const struct msi_sink *sink, unsigned int nr,
	      unsigned int bar, uint32_t offset, struct error *e)
{
	memset(m, 0, sizeof(*m));
	m->sink = *sink;
	if (nr > MSIX_MAX_VECTORS)
		return error_set(e, EINVAL, "a device has at most %d interrupt vectors",
				 MSIX_MAX_VECTORS);

	for (; m->nr < nr; m->nr++) {
		struct msix_vector *v = &m->vector[m->nr];

		v->masked = true;
		v->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		if (v->fd < 0)
			return error_set(e, errno, "cannot create an eventfd: %s", strerror(errno));
	}

	m->cap = pci_add_cap(dev, PCI_CAP_ID_MSIX, PCI_CAP_MSIX_SIZEOF);
	pci_config_put(dev, m->cap + PCI_MSIX_FLAGS, 2, nr - 1);
	pci_config_allow(dev, m->cap + PCI_MSIX_FLAGS, 2,
			 PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL);
	pci_config_put(dev, m->cap + PCI_MSIX_TABLE, 4, offset | bar);
	pci_config_put(dev, m->cap + PCI_MSIX_PBA, 4, (offset + MSIX_PBA) | bar);
	return 0;
}

void msix_fini(struct msix *m)
{
	for (unsigned int i = 0; i < m->nr; i++) {
		unbind(m, &m->vector[i]);
		close(m->vector[i].fd);
	}
	m->nr = 0;
}
