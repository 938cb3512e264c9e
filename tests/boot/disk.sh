# shellcheck shell=sh
# SPDX-License-Identifier: GPL-2.0-or-later
# virtio-blk as a guest's kernel uses it: data both ways, by split and packed rings, read-only, two disks, serial
# numbers, discard, a file system, and what vmm refuses.
. tests/boot/lib.sh

pattern() {
	yes "$1" | head -c 2097152
}

pattern written >"$work/expected"
pattern read >"$work/source"
truncate -s 16M "$work/target"
sum=$(md5sum <"$work/source" | cut -d ' ' -f 1)
boot "run=\"yes written | head -c 2097152 >/dev/vda; sync; md5sum /dev/vdb;
	cat /sys/block/vd?/serial; echo; cat /sys/block/vda/size; cat /dev/vda >/dev/null;
	echo packed \$(cut -c 35 /sys/block/vda/device/features /sys/block/vdb/device/features)\"" \
	--disk "$work/target,serial=FIRST,packed=on" --disk "$work/source,readonly=on,serial=second-disk"
expect "two disks" 0 "^$sum" "FIRST" "second-disk" "^32768\$" "^packed 1 0" "guest: status 0"
if head -c 2097152 "$work/target" | cmp -s - "$work/expected"; then
	ok "what the guest wrote is in the file"
else
	not_ok "what the guest wrote is in the file" "it differs"
fi

boot "run=\"readlink -f /sys/block/vda; cat /sys/block/vda/ro; echo x | dd of=/dev/vda conv=fsync\"" \
	--disk "$work/source,readonly=on,addr=9"
expect "a read-only disk refuses writes" 0 "0000:00:09\.0" "^1\$" "guest: status 1"
if [ "$(md5sum <"$work/source" | cut -d ' ' -f 1)" = "$sum" ]; then
	ok "a read-only disk is unchanged"
else
	not_ok "a read-only disk is unchanged" "its file differs"
fi

truncate -s 64M "$work/fs"
boot "run=\"mke2fs -q /dev/vda && mount -t ext4 /dev/vda /mnt && cp -r /bin/busybox /lib /mnt/ &&
	md5sum /bin/busybox /mnt/busybox && umount /mnt\"" --disk "$work/fs,format=raw,packed=on"
expect "a file system" 0 "guest: status 0"
if e2fsck -fn "$work/fs" >"$work/fsck" 2>&1; then
	ok "a file system is clean afterwards"
else
	not_ok "a file system is clean afterwards" "$(tail -n 1 "$work/fsck")"
fi

yes full | head -c 4194304 >"$work/full"
before=$(du -k "$work/full" | cut -f 1)
boot "run=\"blkdiscard /dev/vda && cmp -n 4194304 /dev/vda /dev/zero\"" --disk "$work/full"
expect "discard" 0 "guest: status 0"
after=$(du -k "$work/full" | cut -f 1)
if [ "$after" -lt "$before" ]; then
	ok "discard frees the file's blocks"
else
	not_ok "discard frees the file's blocks" "$before KiB before, $after after"
fi

printf 'QFI\373\0\0\0\3' >"$work/qcow2"
truncate -s 1M "$work/qcow2"
refuses "a disk that looks like qcow2" 1 "format=raw" --kernel "$HV_KERNEL" --disk "$work/qcow2"
boot "run=\"wc -c </dev/vda\"" --disk "$work/qcow2,format=raw"
expect "format=raw takes any content for raw" 0 "^1048576\$"

# A block device that this host has mounted.
truncate -s 4M "$work/mounted"
modprobe loop 2>/dev/null
if losetup /dev/loop1 "$work/mounted" && mke2fs /dev/loop1 >/dev/null && mkdir "$work/mnt" &&
	mount -t ext2 /dev/loop1 "$work/mnt"; then
	refuses "a disk that is mounted" 1 "readonly=on" --kernel "$HV_KERNEL" --disk /dev/loop1
	boot "run=\"wc -c </dev/vda\"" --disk /dev/loop1,readonly=on
	expect "a mounted disk may be read" 0 "^4194304\$"
	umount "$work/mnt"
	boot "run=\"wc -c </dev/vda\"" --disk /dev/loop1
	expect "a disk that was mounted" 0 "^4194304\$"
	losetup -d /dev/loop1
else
	ok "a disk that is mounted # skip: no loop device, or no ext2"
fi

# Without a bus: ACPI says where the disks and the entropy device are.
on_mmio() {
	dd if=/dev/zero of="$work/target" bs=64k count=32 conv=notrunc 2>/dev/null
	boot "run=\"yes written | head -c 2097152 >/dev/vda; sync; md5sum /dev/vdb; cat /sys/block/vda/serial; echo;
		readlink -f /sys/block/vda/device; readlink -f /sys/block/vdb/device;
		cat /sys/class/misc/hw_random/rng_current; head -c 64 /dev/hwrng | wc -c;
		grep -E virtio[0-9] /proc/interrupts; cut -c 35 /sys/block/vda/device/features\"" \
		--disk "$work/target,transport=mmio,serial=NOBUS,packed=on" --disk "$work/source,readonly=on,transport=mmio" \
		--rng-transport mmio
	expect "disks and the entropy device on MMIO" 0 "^$sum" "NOBUS" "LNRO0005:00/virtio" "LNRO0005:01/virtio" \
		"^virtio_rng" "^64\$" "IO-APIC.*edge *virtio" "^1\$" "guest: status 0"
	if head -c 2097152 "$work/target" | cmp -s - "$work/expected"; then
		ok "what the guest wrote by MMIO is in the file"
	else
		not_ok "what the guest wrote by MMIO is in the file" "it differs"
	fi

	# A root file system on such a disk.
	truncate -s 24M "$work/root"
	modprobe loop 2>/dev/null
	if losetup /dev/loop3 "$work/root" && mke2fs -q /dev/loop3 && mkdir "$work/root.mnt" &&
		mount -t ext4 /dev/loop3 "$work/root.mnt"; then
		mkdir "$work/root.mnt/bin" "$work/root.mnt/sbin" "$work/root.mnt/dev"
		cp /bin/busybox "$work/root.mnt/bin/busybox"
		printf '%s\n' '#!/bin/busybox sh' 'echo "root on MMIO" >/dev/console' '/bin/busybox sync' \
			'/bin/busybox poweroff -f' >"$work/root.mnt/sbin/init"
		chmod 755 "$work/root.mnt/sbin/init"
		umount "$work/root.mnt"
		losetup -d /dev/loop3
		boot "root=/dev/vda" --disk "$work/root,transport=mmio"
		expect "a root file system on MMIO" 0 "^root on MMIO"
	else
		ok "a root file system on MMIO # skip: no loop device, or no ext4"
	fi
}

case $(uname -r) in
*-hv-*) ok "disks and the entropy device on MMIO # skip: the small kernel has no driver" ;;
*) on_mmio ;;
esac

# A file system that does not answer: its writes wait, in the kernel, where nothing can end them, until it is
# thawed. vmm must be done before that; its process cannot.
truncate -s 24M "$work/frozen"
frozen=$work/frozen.mnt
write="run=\"echo writing; dd if=/dev/zero of=/dev/vda bs=4k count=1000 conv=fsync\""
if losetup /dev/loop2 "$work/frozen" && mke2fs -q /dev/loop2 && mkdir "$frozen" &&
	mount -t ext4 /dev/loop2 "$frozen" && truncate -s 8M "$frozen/disk"; then
	sync
	fsfreeze --freeze "$frozen"
	start "$write" --disk "$frozen/disk"
	await "^writing"
	sleep 5
	kill -TERM "$vmm"
	sleep 1
	kill -TERM "$vmm"
	begin_limit 60
	until grep -q "ended at once" "$work/err" || ! within_limit; do
		sleep 0.5
	done
	cp "$work/err" "$work/said"
	fsfreeze --unfreeze "$frozen"
	finish
	cp "$work/said" "$work/err"
	name="signals end it beside a dead file system"
	if ! grep -q "ended at once" "$work/err"; then
		evidence
		not_ok "$name" "nothing said of the end before the file system was thawed"
	elif ! grep -q "$frozen/disk.*not finished" "$work/err"; then
		evidence
		not_ok "$name" "the disk is not named"
	elif [ "$status" != 14 ]; then
		evidence
		not_ok "$name" "exit status $status instead of 14"
	else
		ok "$name"
	fi
	umount "$frozen"
	losetup -d /dev/loop2
else
	ok "a dead file system # skip: no loop device, or no ext4"
fi

refuses "a missing disk" 1 "$work/absent" --kernel "$HV_KERNEL" --disk "$work/absent"
refuses "a directory as disk" 1 "$work" --kernel "$HV_KERNEL" --disk "$work"
refuses "one file as two disks" 1 "$work/target" --kernel "$HV_KERNEL" --disk "$work/target" \
	--disk "$work/target"
