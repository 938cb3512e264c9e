# shellcheck shell=sh
# SPDX-License-Identifier: GPL-2.0-or-later
# One whole Linux guest: processors, memory, a disk both ways, and load; then the module goes and comes
# back. Run by scripts/check-kernels in a test host of each kernel, which is the guest's kernel, too.
. tests/boot/lib.sh

yes "a line of the disk" | head -c 4194304 >"$work/disk"
sum=$(md5sum <"$work/disk" | cut -d ' ' -f 1)
boot "run=\"nproc; md5sum /dev/vda; dd if=/dev/zero of=/dev/vda bs=64k count=4 conv=fsync;
	load 5\"" --cpus 2 --disk "$work/disk,format=raw"
expect "a Linux guest with a disk" 0 "^2\$" "^$sum" "^load: ok" "guest: status 0" "Power down"
if head -c 262144 "$work/disk" | cmp -s -n 262144 - /dev/zero; then
	ok "what it wrote is in the file"
else
	not_ok "what it wrote is in the file" "it differs"
fi

if rmmod hv && insmod "$HV_MODULE" && vmm check >"$work/out" 2>&1; then
	ok "the module goes and comes back"
else
	cat "$work/out"
	not_ok "the module goes and comes back" "see above"
fi
