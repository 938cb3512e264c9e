// SPDX-License-Identifier: GPL-2.0
/*
 * Counters of exits, for the administrator: one line for each vCPU of each VM in
 * debugfs, hv/exits. Counting is one addition in the run loop; everything else
 * happens when somebody reads the file.
 */
#include <linux/debugfs.h>
#include <linux/seq_file.h>

#include "hv_internal.h"

static const char *const names[STAT_COUNT] = {
	[STAT_INTERRUPT] = "interrupt",
	[STAT_CPUID] = "cpuid",
	[STAT_MSR] = "msr",
	[STAT_PIO] = "pio",
	[STAT_MMIO] = "mmio",
	[STAT_EMULATE] = "emulate",
	[STAT_HLT] = "hlt",
	[STAT_FAULT] = "fault",
	[STAT_HYPERCALL] = "hypercall",
	[STAT_CONTROL] = "control",
	[STAT_EXCEPTION] = "exception",
	[STAT_WINDOW] = "window",
	[STAT_PAUSE] = "pause",
	[STAT_OTHER] = "other",
};

/* All VMs, for the reader. */
static DEFINE_MUTEX(vms_lock);
static LIST_HEAD(vms);
static struct dentry *dir;

void stats_add_vm(struct hv_vm *vm)
{
	mutex_lock(&vms_lock);
	list_add_tail(&vm->stats_node, &vms);
	mutex_unlock(&vms_lock);
}

/* The vCPUs may be freed when this returns. */
void stats_remove_vm(struct hv_vm *vm)
{
	mutex_lock(&vms_lock);
	list_del(&vm->stats_node);
	mutex_unlock(&vms_lock);
}

static int exits_show(struct seq_file *m, void *unused)
{
	struct hv_vcpu *v;
	struct hv_vm *vm;
	unsigned int i, s;

	mutex_lock(&vms_lock);
	list_for_each_entry (vm, &vms, stats_node) {
		hv_for_each_vcpu (vm, i, v) {
			seq_printf(m, "pid=%d vcpu=%u", vm->creator, v->id);
			for (s = 0; s < STAT_COUNT; s++)
				seq_printf(m, " %s=%llu", names[s], READ_ONCE(v->stat[s]));
			seq_putc(m, '\n');
		}
	}
	mutex_unlock(&vms_lock);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(exits);

/* Without debugfs there is nothing to show: no error. */
void stats_setup(void)
{
	dir = debugfs_create_dir("hv", NULL);
	debugfs_create_file("exits", 0400, dir, NULL, &exits_fops);
}

void stats_unsetup(void)
{
	debugfs_remove_recursive(dir);
}
