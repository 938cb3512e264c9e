# shellcheck shell=sh
# SPDX-License-Identifier: GPL-2.0-or-later
# What the boot tests have in common: guests under `vmm run`, and verdicts. Each script of this
# directory reads it first; they run in a test host, in the directory of the project, by its small
# shell. A script prints "ok NAME" or "not ok NAME: reason" for each thing that it tested.

# shellcheck source=tests/limit.sh
. tests/limit.sh

GUEST=build/guest/initramfs.cpio
KERNEL=$HV_KERNEL
# A guest that lasts longer is stuck.
LIMIT=${LIMIT:-240}
# Shows warnings of the guest's kernel, which fail a test, and little else.
CMDLINE="console=ttyS0 loglevel=5 panic=-1"

work=$(mktemp -d /tmp/boot.XXXXXX)
background=""
failed=0
# The exit status repeats the verdicts, in case a line was lost.
trap 'kill -KILL $background 2>/dev/null; rm -rf "$work"; exit $failed' EXIT

ok() {
	echo "ok $1"
}

not_ok() {
	failed=1
	echo "not ok $1: $2"
}

# Some of what a test does to its host takes root; a test that runs as another user (tests/run --as-user) leaves it out.
is_root() {
	[ "$(id -u)" = 0 ]
}

# boot CMDLINE [FLAG...]: runs the small guest to its end. Leaves the exit status in $status, the
# guest's console in $work/console, vmm's own words in $work/out and $work/err. $around is what runs vmm, as env does.
around=""
boot() {
	words=$1
	shift
	: >"$work/console"
	# shellcheck disable=SC2086 # words are meant
	limited "$LIMIT" KILL $around vmm run --kernel "$KERNEL" --initrd "$GUEST" --memory 256M \
		--console "file=$work/console" --cmdline "$CMDLINE $words" "$@" \
		>"$work/out" 2>"$work/err" </dev/null
	status=$?
}

# start CMDLINE [FLAG...]: the same in the background; $vmm is its process. See finish.
start() {
	words=$1
	shift
	: >"$work/console"
	vmm run --kernel "$KERNEL" --initrd "$GUEST" --memory 256M \
		--console "file=$work/console" --cmdline "$CMDLINE $words" "$@" \
		>"$work/out" 2>"$work/err" </dev/null &
	vmm=$!
	background="$background $vmm"
}

# finish: waits for the guest of start, no longer than LIMIT seconds, and sets $status.
finish() {
	guard "$LIMIT" "$vmm" 2>/dev/null &
	guard=$!
	wait "$vmm"
	status=$?
	kill "$guard" 2>/dev/null
}

# await PATTERN [FILE] [SECONDS]: waits until the console shows it. Fails when the time is over, or
# the guest.
await() {
	begin_limit "${3:-$LIMIT}"
	until grep -qE -- "$1" "${2:-$work/console}" 2>/dev/null; do
		within_limit || return 1
		kill -0 "$vmm" 2>/dev/null || return 1
		sleep 0.5
	done
}

# await_file TEST FILE: waits until the file passes that test, -S or -s, no longer than LIMIT seconds.
await_file() {
	begin_limit "$LIMIT"
	until test "$1" "$2" || ! within_limit; do
		sleep 0.5
	done
}

# The guest's console and vmm's words, as comments in front of a verdict.
evidence() {
	echo "# exit status $status; vmm said:"
	sed 's/^/#   /' "$work/err" 2>/dev/null
	echo "# the end of the guest's console:"
	tail -n 25 "$work/console" 2>/dev/null | tr -d '\r\0' | sed 's/^/#   /'
	# The last line of a console often has no end.
	echo
}

# expect NAME STATUS [PATTERN...]: the verdict on the last guest: its exit status, that its console
# matches every pattern, and that its kernel did not complain, unless it was made to crash.
expect() {
	name=$1
	wanted=$2
	shift 2
	if [ "$status" != "$wanted" ]; then
		evidence
		not_ok "$name" "exit status $status instead of $wanted"
		return 1
	fi
	for pattern; do
		if ! tr -d '\r' <"$work/console" | grep -qE -- "$pattern"; then
			evidence
			not_ok "$name" "the console does not show '$pattern'"
			return 1
		fi
	done
	complaint=$(grep -E "$HV_TROUBLE" "$work/console" | grep -vE "$HV_HARMLESS" | head -n 1)
	if [ "$complaint" ] && [ "$wanted" = 0 ]; then
		evidence
		not_ok "$name" "the guest's kernel complained: $complaint"
		return 1
	fi
	ok "$name"
}

# refuses NAME STATUS WORD [FLAG...]: `vmm run FLAG...` must end at once with that status and one line
# that holds the word, as a rule the name of a file.
refuses() {
	name=$1
	wanted=$2
	word=$3
	shift 3
	limited 30 KILL vmm run --console none --time-limit $((30 * HV_PATIENCE)) "$@" >"$work/out" 2>"$work/err" </dev/null
	status=$?
	lines=$(wc -l <"$work/err")
	: >"$work/console"
	if [ "$status" != "$wanted" ]; then
		evidence
		not_ok "$name" "exit status $status instead of $wanted"
	elif [ "$lines" != 1 ]; then
		evidence
		not_ok "$name" "said $lines lines instead of one"
	elif ! grep -qF -- "$word" "$work/err"; then
		evidence
		not_ok "$name" "does not name '$word'"
	else
		ok "$name"
	fi
}

# does NAME STATUS WORD [ARGUMENT...]: `vmm ARGUMENT...` must end with that status and say the word.
does() {
	name=$1
	wanted=$2
	word=$3
	shift 3
	limited "$LIMIT" KILL vmm "$@" >"$work/out" 2>"$work/err" </dev/null
	status=$?
	if [ "$status" != "$wanted" ]; then
		evidence
		not_ok "$name" "exit status $status instead of $wanted"
	elif [ "$word" ] && ! cat "$work/out" "$work/err" | grep -q -- "$word"; then
		evidence
		not_ok "$name" "does not say '$word'"
	else
		ok "$name"
	fi
}

# attach NAME: to the console of a machine that is detached, typing by file descriptor 3; the screen is
# $work/console. leave: as Ctrl-A d does.
attach() {
	rm -f "$work/keys"
	mkfifo "$work/keys"
	: >"$work/console"
	vmm console "$1" <"$work/keys" >"$work/console" 2>"$work/err" &
	vmm=$!
	background="$background $vmm"
	exec 3>"$work/keys"
}

leave() {
	kill "$vmm"
	finish
	exec 3>&-
}
