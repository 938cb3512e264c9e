# shellcheck shell=sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Every verb, on machines whose guests are past listening: one that halted for good, one that spins, both deaf to
# interrupts, and one that floods its console.
. tests/boot/lib.sh

export HV_RUNTIME_DIR="$work/run"
trap 'vmm kill $(vmm list -q) 2>/dev/null; kill -KILL $background 2>/dev/null; rm -rf "$work"; exit $failed' EXIT

yes hostile-disk | head -c 1048576 | tee "$work/disk" >"$work/source"

# begin NAME CASE: a machine with that case of tests/guest/hostile, when it has said what it does from now on.
begin() {
	limited "$LIMIT" KILL vmm run --detach --name "$1" --kernel build/guest/hostile.elf --cmdline "case=$2" \
		--memory 4G --disk "$work/disk" --disk "$work/source,readonly=on" >"$work/out" 2>"$work/err" </dev/null
	status=$?
	: >"$work/console"
	expect "$2: it starts" 0
	begin_limit "$LIMIT"
	until [ "$(said "$1")" -ge 1 ] || ! within_limit; do sleep 0.2; done
}

# said NAME: how often it has said so, and so was started.
said() {
	vmm logs "$1" 2>/dev/null | tr -d '\r' | grep -c "ing\$"
}

for guest in halt_for_ever spin_for_ever flood_for_ever; do
	begin box $guest
	vmm events box >"$work/events" 2>&1 &
	background="$background $!"
	does "$guest: list" 0 "^box .* running " list
	does "$guest: status" 0 "^state: running" status box
	does "$guest: stats" 0 "^exits.pio: [1-9]" stats box
	does "$guest: pause" 0 "" pause box
	does "$guest: it is paused" 0 "^state: paused" status box
	does "$guest: reset" 0 "" reset box
	does "$guest: resume" 0 "" resume box
	does "$guest: it runs" 0 "^state: running" status box
	does "$guest: power button" 0 "" power-button box
	begin_limit "$LIMIT"
	until [ "$(said box)" -ge 2 ] || ! within_limit; do sleep 0.2; done
	if [ "$(said box)" -ge 2 ]; then
		ok "$guest: it began anew"
	else
		not_ok "$guest: it began anew" "$(vmm logs box | head -n 3)"
	fi
	attach box
	await "ing"
	leave
	expect "$guest: console" 0 "ing"
	does "$guest: logs" 0 "ing" logs box
	does "$guest: stop" 0 "" stop --timeout 1 box
	does "$guest: it is gone" 4 "no machine" status box
	if tr '\n' ' ' <"$work/events" | grep -q "state=paused.*event=reset.*state=running.*state=stopping.*state=ended.*status=12"; then
		ok "$guest: events"
	else
		not_ok "$guest: events" "$(cat "$work/events")"
	fi

	# It has no handler for that, and may crash.
	begin box $guest
	does "$guest: nmi" 0 "" nmi box
	vmm kill box >"$work/out" 2>&1
	begin box $guest
	vmm wait box >"$work/waited" 2>&1 &
	waiter=$!
	background="$background $waiter"
	does "$guest: kill" 0 "" kill box
	wait "$waiter"
	does "$guest: it is killed" 4 "no machine" wait box
done
