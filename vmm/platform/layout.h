/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The one address map of the machine: guest-physical addresses, ports, GSIs. */
#ifndef VMM_PLATFORM_LAYOUT_H
#define VMM_PLATFORM_LAYOUT_H

#define KiB(n) ((uint64_t)(n) << 10)
#define MiB(n) ((uint64_t)(n) << 20)
#define GiB(n) ((uint64_t)(n) << 30)

/* Low memory */
#define LAYOUT_BOOT_GDT	    0x00000500 /* descriptor table of the 64-bit entry */
#define LAYOUT_PVH_INFO	    0x00006000 /* hvm_start_info, module list, memory map */
#define LAYOUT_ZERO_PAGE    0x00007000 /* struct boot_params */
#define LAYOUT_BOOT_STACK   0x00008ff0
#define LAYOUT_BOOT_PAGES   0x00009000 /* identity page tables: 6 pages (PML4, PDPT, 4 PD) */
#define LAYOUT_CMDLINE	    0x00020000
#define LAYOUT_CMDLINE_MAX  0x00010000
#define LAYOUT_MB_INFO	    0x00030000 /* Multiboot information, 64 KiB */
#define LAYOUT_MB_INFO_MAX  0x00010000
#define LAYOUT_LOADER_END   0x00040000 /* a kernel is not loaded below this */
#define LAYOUT_LOW_RAM_END  0x0009fc00 /* end of usable memory below 1 MiB */
#define LAYOUT_EBDA_END	    0x000a0000
#define LAYOUT_ACPI	    0x000e0000 /* RSDP and tables: found by scanning, too */
#define LAYOUT_ACPI_MAX	    0x00010000
#define LAYOUT_RESET_VECTOR 0x000ffff0 /* F000:FFF0 */
#define LAYOUT_KERNEL	    0x00100000

/* The 32-bit hole: RAM below it, RAM above 4 GiB */
#define LAYOUT_HOLE	       0xc0000000ULL
#define LAYOUT_PCI_MMIO	       0xc0000000ULL /* BARs */
#define LAYOUT_PCI_MMIO_LEN    0x20000000ULL
#define LAYOUT_ECAM	       0xe0000000ULL /* one bus: 1 MiB */
#define LAYOUT_ECAM_LEN	       0x00100000ULL
#define LAYOUT_VIRTIO_MMIO     0xfeb00000ULL /* virtio devices that are not on the PCI bus */
#define LAYOUT_VIRTIO_MMIO_LEN 0x1000ULL     /* of each */
#define LAYOUT_IOAPIC	       0xfec00000ULL
#define LAYOUT_LAPIC	       0xfee00000ULL
#define LAYOUT_HIGH_RAM	       0x100000000ULL

/* Ports */
#define PORT_KEYBOARD	0x0064 /* keyboard controller: status, command */
#define PORT_CMOS	0x0070 /* index, data */
#define PORT_COM1	0x03f8
#define PORT_PVPANIC	0x0505
#define PORT_FW_CFG	0x0510 /* selector, data; DMA at 0x514 */
#define PORT_FW_CFG_LEN 0x000c
#define PORT_ACPI_SLEEP 0x0600 /* sleep control, sleep status */
#define PORT_ACPI_RESET 0x0604 /* reset register */
#define PORT_ACPI_GED	0x0608 /* event status of the generic event device */
#define PORT_PCI_CONFIG 0x0cf8 /* CF8/CFC */
#define PORT_PCI_IO	0x1000 /* I/O BARs */
#define PORT_PCI_IO_LEN 0x7000

/* IOAPIC pins = GSIs */
#define GSI_COM1	 4
#define GSI_RTC		 8
#define GSI_GED		 9
#define GSI_PCI_INTA	 16 /* INTA..INTD: 16..19 */
#define GSI_VIRTIO_MMIO	 20 /* one each: 20..23 */
#define IOAPIC_PINS	 24

#define ACPI_RESET_VALUE 0x01
#define ACPI_SLEEP_S5	 0x05 /* SLP_TYP of S5 */

#define PCI_MAX_DEVICES	 32
#define VIRTIO_MMIO_MAX	 4

#endif
