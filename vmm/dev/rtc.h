/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The real-time clock and its CMOS memory. Created by machine.c. */
#ifndef VMM_DEV_RTC_H
#define VMM_DEV_RTC_H

#include "error.h"
#include "host/loop.h"
#include "platform/bus.h"
#include "platform/device.h"
#include "platform/irq.h"

struct rtc;

/* Claims the two ports at PORT_CMOS. The clock starts at the host's time, in UTC. */
struct rtc *rtc_create(struct bus *pio, struct loop *loop, struct irq_line irq, struct error *e);
void rtc_destroy(void *rtc);
extern const struct device_ops rtc_device;

#endif
