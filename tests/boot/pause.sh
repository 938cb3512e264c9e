# shellcheck shell=sh
# SPDX-License-Identifier: GPL-2.0-or-later
# A machine that is paused, goes on and is reset over and over, while its guest writes to a disk: what the guest was
# told is on the disk is there, and its clock knows nothing of the pauses. HV_PAUSE_ROUNDS says how often it is paused
# (five times a round), HV_RESET_EACH every which round it is reset.
. tests/boot/lib.sh

export HV_RUNTIME_DIR="$work/run"
rounds=${HV_PAUSE_ROUNDS:-100}
each=${HV_RESET_EACH:-10}

# ask METHOD PATH...: to the machine "box", on one connection; its answers are in $work/answers.
ask() {
	method=$1
	shift
	for path; do
		printf '%s %s HTTP/1.1\r\nHost: box\r\n\r\n' "$method" "$path"
	done >"$work/requests"
	printf 'GET /status HTTP/1.1\r\nHost: box\r\nConnection: close\r\n\r\n' >>"$work/requests"
	socat -t 60 - "UNIX-CONNECT:$work/run/box/api.sock" <"$work/requests" >"$work/answers" 2>/dev/null
}

# Block 0 of the disk has the number of the last write that was begun, block N what write N wrote. A number is on
# the console when the guest has been told that it is on the disk.
# shellcheck disable=SC2016 # The guest's shell expands it.
writer='while :; do dd if=/dev/vda of=/dev/null bs=1M count=32 iflag=direct; done 2>/dev/null & set -- $(head -c 8 /dev/vda | tr -d \\000); n=${1:-0}; echo from $n;
	while :; do
		n=$((n + 1)); printf %-4096d $n >/tmp/block;
		dd if=/tmp/block of=/dev/vda bs=4096 seek=$n conv=notrunc,fsync 2>/dev/null;
		dd if=/tmp/block of=/dev/vda bs=4096 conv=notrunc,fsync 2>/dev/null;
		read up rest </proc/uptime; echo wrote $n at ${up%.*};
	done'
truncate -s 64M "$work/disk"
start "run=\"$writer\"" --cpus 2 --name box --api on --disk "$work/disk"
await "^wrote 3 "

# wrote N: waits until the guest has made N more writes.
wrote() {
	goal=$(($(tr -d '\r' <"$work/console" | grep -c '^wrote ') + $1))
	begin_limit "$LIMIT"
	until [ "$(tr -d '\r' <"$work/console" | grep -c '^wrote ')" -ge "$goal" ] || ! within_limit; do sleep 0.5; done
}

for round in $(seq "$rounds"); do
	ask POST /pause /resume /pause /resume /pause /resume /pause /resume /pause /resume
	if ! grep -q '"state": *"running"' "$work/answers"; then
		status=none
		evidence
		not_ok "it goes on" "round $round: $(tail -n 3 "$work/answers")"
		exit
	fi
	# The guest comes as far as it comes: in the middle of its boot, and each fiftieth round of its writing.
	[ $((round % 50)) != 0 ] || wrote 3
	[ $((round % 100)) != 0 ] || echo "# $round rounds"
	[ $((round % each)) != 0 ] || ask POST /pause /reset /resume
done
ok "it is paused $((rounds * 5)) times, and reset $((rounds / each)) times"

wrote 3

uptime_of_guest() {
	tr -d '\r' <"$work/console" | sed -n 's/^wrote [0-9]* at //p' | tail -n 1
}

ask POST /pause
# What it said before is on its way to the file still.
sleep 2
then=$(uptime_of_guest)
lines=$(wc -l <"$work/console")
sleep 20
if [ "$(wc -l <"$work/console")" = "$lines" ]; then
	ok "a paused guest does nothing"
else
	not_ok "a paused guest does nothing" "it wrote"
fi
ask POST /resume
begin_limit "$LIMIT"
until [ "$(wc -l <"$work/console")" -gt "$lines" ] || ! within_limit; do sleep 0.5; done
now=$(tr -d '\r' <"$work/console" | tail -n +$((lines + 1)) | sed -n 's/^wrote [0-9]* at //p' | head -n 1)
if [ "$now" ] && [ $((now - then)) -lt 10 ]; then
	ok "its clock knows nothing of the pause"
else
	not_ok "its clock knows nothing of the pause" "from $then s to '$now' s"
fi

ask POST /kill
finish
lost=""
for n in $(tr -d '\r' <"$work/console" | sed -n 's/^wrote \([0-9]*\) at .*/\1/p' | sort -nu); do
	[ "$(dd if="$work/disk" bs=4096 skip="$n" count=1 2>/dev/null | tr -d ' ')" = "$n" ] || lost="$lost $n"
done
if [ -z "$lost" ]; then
	ok "no write is lost"
else
	not_ok "no write is lost" "$lost"
fi
status=0
expect "its kernel saw nothing of it" 0 "^wrote "
