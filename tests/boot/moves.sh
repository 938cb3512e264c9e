# shellcheck shell=sh
# SPDX-License-Identifier: GPL-2.0-or-later
# A guest under a load of IPIs and timers, whose vCPUs are moved from one of the host's processors to
# another, and whose host takes a processor away and gives it back: no wakeup may be lost.
. tests/boot/lib.sh

if [ ! -e /sys/devices/system/cpu/cpu1/online ]; then
	ok "moves # skip: a processor that can be taken away is needed, and there is none"
	exit 0
fi

# under_load NAME FUNCTION: calls it until the guest has ended.
under_load() {
	start "run=\"load ${HV_LOAD_SECONDS:-10}\"" --cpus 2
	await "guest: init reached"
	rounds=0
	while kill -0 "$vmm" 2>/dev/null && ! grep -q "guest: status" "$work/console"; do
		rounds=$((rounds + 1))
		"$2"
	done
	finish
	expect "$1" 0 "^load: ok" "guest: status 0"
	if [ $rounds -lt 8 ]; then
		not_ok "$1, often enough" "$rounds times only"
	fi
}

# Every thread of vmm to one processor, and in the next round to the other.
move() {
	for thread in /proc/"$vmm"/task/*; do
		taskset -p $((1 + rounds % 2)) "${thread##*/}" >/dev/null 2>&1
	done
	sleep 0.2
}

# The two vCPUs change places.
swap() {
	n=$rounds
	for thread in /proc/"$vmm"/task/*; do
		n=$((n + 1))
		taskset -p $((1 + n % 2)) "${thread##*/}" >/dev/null 2>&1
	done
	sleep 0.2
}

offline() {
	echo 0 >/sys/devices/system/cpu/cpu1/online
	sleep 0.5
	echo 1 >/sys/devices/system/cpu/cpu1/online
	sleep 0.5
}

under_load "all threads move together" move
under_load "the vCPUs change places" swap
if is_root; then
	under_load "the host's processor goes and comes" offline
else
	ok "the host's processor goes and comes # skip: not root"
fi
