# shellcheck shell=sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Limits of time inside a test host. Read by tests/each and tests/boot/lib.sh, in whose small shell it
# must work. What the neighbours of an emulator take from it is nobody's fault here: limits count the seconds
# in which it did not wait for a processor, of which scripts/testhost sends a byte each to a file, $HV_CLOCK.
# Where there is none, the host's own clock counts instructions, or is that of a real machine.

# So many times a limit may pass on the wall.
HV_PATIENCE=8

uptime_seconds() {
	cut -d . -f 1 /proc/uptime
}

# begin_limit SECONDS: then within_limit is true until they have passed.
begin_limit() {
	limit_clock=$(($(limit_seconds) + $1))
	limit_wall=$(($(uptime_seconds) + $1 * HV_PATIENCE))
}

limit_seconds() {
	stat -c %s "${HV_CLOCK:-}" 2>/dev/null || uptime_seconds
}

within_limit() {
	[ "$(limit_seconds)" -lt "$limit_clock" ] && [ "$(uptime_seconds)" -lt "$limit_wall" ]
}

# guard SECONDS PROCESS [SIGNAL]: in the background, ends a process when they have passed.
guard() {
	begin_limit "$1"
	while within_limit; do
		sleep 1
	done
	kill -"${3:-KILL}" "$2"
	sleep 10
	kill -KILL "$2"
}

# limited SECONDS SIGNAL COMMAND...: runs it, no longer than that, and has its status.
limited() {
	limit=$1
	signal=$2
	shift 2
	"$@" &
	limited=$!
	guard "$limit" $limited "$signal" 2>/dev/null &
	guard=$!
	wait $limited
	set -- $?
	kill $guard 2>/dev/null
	return "$1"
}
