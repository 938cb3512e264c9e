# shellcheck shell=sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Debian's unmodified kernel from its first instruction to power-off: numbers of processors, sizes
# of memory.
. tests/boot/lib.sh

CMDLINE="console=ttyS0 panic=-1"
boot "run=uptime"
expect "boot and power off" 0 "Linux version 6" "guest: init reached" "guest: status 0" "Power down"
CMDLINE="$CMDLINE loglevel=5"

for n in 1 2 4; do
	boot "run=\"nproc; cat /sys/devices/system/cpu/online\"" --cpus $n
	expect "$n processors are online" 0 "^$n\$" "guest: status 0"
done

# The kernel keeps some for itself: what remains must lie between the two numbers of MiB.
memory() {
	size=$1
	least=$2
	most=$3
	boot "run=\"free -m; free -m | awk '/Mem:/ { exit !(\$2 >= $least && \$2 <= $most) }'\"" \
		--memory "$size"
	expect "memory of $size" 0 "guest: status 0"
}

memory 80M 16 80
memory 1G 900 1024
memory 3G 2800 3072
memory 8G 7600 8192

# The same kernel as an ELF file, entered by PVH. With 64 MiB Debian's kernel counts what it has, and
# then dies of it on every machine; the decompressor of the bzImage does not even start with so little.
KERNEL=$HV_VMLINUX
boot "run=uptime"
expect "vmlinux by PVH" 0 "guest: init reached" "guest: status 0"
CMDLINE="console=ttyS0 panic=-1"
boot "" --memory 64M --no-reboot
if [ "$status" = 6 ] && grep -qE "Memory: [0-9]+K/65[0-9]+K available" "$work/console"; then
	ok "memory of 64M"
else
	evidence
	not_ok "memory of 64M" "exit status $status, or the kernel did not count it"
fi
