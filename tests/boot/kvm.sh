# shellcheck shell=sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Beside KVM: whoever came second is refused, vmm says what mends it, and neither harms the other.
# Needs KVM's modules and QEMU in the test host.
. tests/boot/lib.sh

if grep -qw svm /proc/cpuinfo; then
	rival=kvm_amd
else
	rival=kvm_intel
fi
if ! modprobe "$rival" || ! command -v qemu-system-x86_64 >/dev/null; then
	ok "beside KVM # skip: there is no $rival, or no QEMU"
	exit 0
fi

# From Linux 6.12 on KVM holds the processor from its loading on, unless told otherwise.
held_idle=$(cat /sys/module/kvm/parameters/enable_virt_at_load 2>/dev/null)

used() {
	[ "$(sed -n "s/^$rival [0-9]* \([0-9]*\) .*/\1/p" /proc/modules)" != 0 ]
}

# A VM of KVM's that does nothing. Fails if QEMU ends instead.
kvm_starts() {
	qemu-system-x86_64 -M microvm -accel kvm -m 64M -nodefaults -no-user-config -display none -S \
		>"$work/qemu" 2>&1 </dev/null &
	qemu=$!
	background="$background $qemu"
	until used; do
		kill -0 "$qemu" 2>/dev/null || return 1
		sleep 0.5
	done
}

kvm_ends() {
	kill "$qemu"
	wait "$qemu" 2>/dev/null
	while used; do
		sleep 0.5
	done
}

# check_says NAME WORDS: vmm check must find the host not ready, and say so.
check_says() {
	if vmm check >"$work/out" 2>&1; then
		not_ok "$1" "vmm check finds the host ready"
	elif ! grep -qF "$2" "$work/out"; then
		sed 's/^/#   /' "$work/out"
		not_ok "$1" "vmm check does not say '$2'"
	else
		ok "$1"
	fi
}

check_ready() {
	if vmm check >"$work/out" 2>&1; then
		ok "$1"
	else
		sed 's/^/#   /' "$work/out"
		not_ok "$1" "vmm check finds the host not ready"
	fi
}

# refused_beside WHEN
refused_beside() {
	refuses "vmm run: $1" 1 "vmm check" --kernel "$HV_KERNEL"
	check_says "vmm check: $1" "modprobe -r $rival kvm"
}

if kvm_starts; then
	refused_beside "KVM runs a VM"
	check_says "vmm check: KVM is in use" "in use"
	kvm_ends
else
	not_ok "KVM runs a VM" "QEMU: $(tail -n 1 "$work/qemu")"
fi

if [ "$held_idle" = Y ]; then
	refused_beside "KVM is loaded and idle"
else
	check_ready "vmm check: KVM is loaded and idle"
	boot "run=true"
	expect "a guest beside an idle KVM" 0 "guest: status 0"
fi

# The other order of loading.
rmmod hv
kvm_starts
if insmod "$HV_MODULE"; then
	refused_beside "loaded behind a KVM that runs a VM"
else
	not_ok "loaded behind a KVM that runs a VM" "hv.ko does not load"
fi
vmm check >"$work/out" 2>&1
remedy=$(sed -n "s/.*mend it: \(.*$rival.*\)/\1/p" "$work/out")
kvm_ends
if sh -c "$remedy" 2>"$work/err"; then
	check_ready "vmm check: after '$remedy'"
else
	not_ok "vmm check: after '$remedy'" "$(tail -n 1 "$work/err")"
fi

# A guest of ours is there first; it ends when its disk says so.
truncate -s 1M "$work/control"
start "run=\"echo up
	until head -c 4 /dev/vda | grep -q stop; do
		echo 3 >/proc/sys/vm/drop_caches
		sleep 1
	done\"" --disk "$work/control"
await "^up"
name="KVM is refused beside a guest of ours"
if ! modprobe "$rival" 2>"$work/qemu"; then
	ok "$name"
elif kvm_starts; then
	not_ok "$name" "it runs a VM"
	kvm_ends
elif grep -qi busy "$work/qemu"; then
	ok "$name"
else
	not_ok "$name" "QEMU ended of something else: $(tail -n 1 "$work/qemu")"
fi
printf stop | dd of="$work/control" conv=notrunc 2>/dev/null
finish
expect "and does the guest no harm" 0 "guest: status 0" "Power down"

modprobe -r "$rival" kvm 2>/dev/null
boot "run=true"
expect "a guest when KVM has gone" 0 "guest: status 0"
