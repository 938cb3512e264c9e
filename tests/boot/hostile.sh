# shellcheck shell=sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Hostile guests beside a good one. Each case of tests/guest/hostile is a machine of its own: a kernel
# that does one wrong thing to its devices or its processor. It must end as the case says; vmm must
# never die of it, and a Linux guest that runs beside all of them must not notice.
#
# HOSTILE_CASES="NAME..." runs some of them only.
. tests/boot/lib.sh

HOSTILE=build/guest/hostile.elf
PASSED=33 # what vmm makes of the value 0x10 at the debug exit port

yes hostile-disk | head -c 1048576 >"$work/source"
cp "$work/source" "$work/disk"

# run_hostile CASE: starts it in the background; $hostile is its process.
run_hostile() {
	: >"$work/$1.console"
	vmm run --kernel "$HOSTILE" --cmdline "case=$1" --memory 4G --name "$1" --debug-exit 0xf4 \
		--disk "$work/disk" --disk "$work/source,readonly=on" --time-limit $((LIMIT * HV_PATIENCE)) \
		--console "file=$work/$1.console" >"$work/$1.out" 2>"$work/$1.err" </dev/null &
	hostile=$!
	background="$background $hostile"
}

# judge CASE STATUS [WORDS]: the verdict on a machine that ended with $status: that must be STATUS,
# and vmm must have said WORDS, or nothing at all.
judge() {
	case $status in
	"$2")
		if [ "${3:-}" ] && ! grep -q "$3" "$work/$1.err"; then
			why="vmm did not say '$3'"
		elif [ ! "${3:-}" ] && [ -s "$work/$1.err" ]; then
			why="vmm said '$(head -n 1 "$work/$1.err")'"
		else
			ok "$1"
			return
		fi
		;;
	1) why="vmm ended it, or could not start it" ;;
	129 | 1[3-9]?) why="signal $((status - 128)) ended vmm itself" ;;
	*) why="exit status $status instead of $2" ;;
	esac
	sed 's/^/#   /' "$work/$1.err"
	tr -d '\r\0' <"$work/$1.console" | tail -n 25 | sed 's/^/#   /'
	echo
	not_ok "$1" "$why"
}

# case_of CASE ENDING: runs it to the end that it should have.
case_of() {
	run_hostile "$1"
	case $2 in
	well)
		wait "$hostile"
		status=$?
		judge "$1" $PASSED
		;;
	crashed)
		wait "$hostile"
		status=$?
		judge "$1" 3 "the guest crashed: vCPU 0"
		;;
	never)
		# It says on its console what it does from then on.
		begin_limit "$LIMIT"
		until grep -q ing "$work/$1.console" || ! within_limit; do
			sleep 0.5
		done
		kill -TERM "$hostile"
		# Two of a kind that are pending at once are one.
		until grep -q "power button" "$work/$1.err" || ! kill -0 "$hostile" 2>/dev/null; do
			sleep 0.1
		done
		# Nor are two in the same moment.
		sleep 1
		kill -TERM "$hostile"
		wait "$hostile"
		status=$?
		judge "$1" 14 "ended at once"
		;;
	*)
		not_ok "$1" "the hostile guest does not know it"
		;;
	esac
}

# The good guest: every second it reads its disk anew, and says what it found. Memory that is not its
# own, an interrupt or a request that got lost would show.
truncate -s 1M "$work/control"
sum=$(md5sum <"$work/source" | cut -d ' ' -f 1)
start "run=\"n=0
	until head -c 4 /dev/vda | grep -q stop; do
		n=\$((n + 1))
		echo 3 >/proc/sys/vm/drop_caches
		echo beat \$n \$(md5sum </dev/vdb | cut -c 1-32)
		sleep 1
	done\"" --cpus 2 --disk "$work/control" --disk "$work/source,readonly=on"

# The number of the good guest's last whole beat.
last_beat() {
	tr -d '\r' <"$work/console" | sed -n "s/^beat \([0-9]*\) $sum\$/\1/p" | tail -n 1
}

# beats_on NAME: it lives, and has gone on since.
beats_on() {
	if await "^beat $(($(last_beat) + 2)) $sum"; then
		ok "$1"
	else
		status=none
		evidence
		not_ok "$1" "the guest beside it stands still"
	fi
}

await "^beat 1 $sum"

run_hostile list
wait "$hostile"
status=$?
judge list $PASSED
tr -d '\r' <"$work/list.console" | sed -n 's/^case //p' >"$work/cases"

for name in ${HOSTILE_CASES:-$(cut -d ' ' -f 1 "$work/cases")}; do
	case_of "$name" "$(sed -n "s/^$name //p" "$work/cases")"
done
beats_on "the guest beside them goes on"

if cmp -s "$work/source" "$work/disk"; then
	ok "their disk is as it was"
else
	not_ok "their disk is as it was" "a case wrote to it"
fi

# Killed in the midst of it, two at a time.
for n in 1 2 3 4 5; do
	run_hostile spin_for_ever
	first=$hostile
	run_hostile reset_in_flight
	sleep 0.$n
	kill -KILL "$first" "$hostile" 2>/dev/null
	wait "$first" "$hostile" 2>/dev/null
done
beats_on "and when some are killed"

# Every beat that there was, one after the other.
printf stop | dd of="$work/control" conv=notrunc 2>/dev/null
finish
expect "the guest beside them ends as it should" 0 "^beat 2 $sum" "guest: status 0" "Power down"
tr -d '\r' <"$work/console" | grep '^beat' >"$work/beats"
count=$(wc -l <"$work/beats")
n=0
while [ $n -lt "$count" ]; do
	n=$((n + 1))
	echo "beat $n $sum"
done >"$work/expected"
if cmp -s "$work/expected" "$work/beats"; then
	ok "and has seen nothing of them"
else
	evidence
	not_ok "and has seen nothing of them" "its beats are not what they should be"
fi
