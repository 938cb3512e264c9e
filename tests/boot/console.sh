# shellcheck shell=sh
# SPDX-License-Identifier: GPL-2.0-or-later
# The serial console: on a socket, with nobody there, and on a terminal that must be as before
# when vmm has left, whichever way it did.
. tests/boot/lib.sh

# An absent reader, and a deluge: the guest must get through both.
boot "run=\"yes 0123456789abcdef | head -n 5000\"" --console "unix=$work/nobody"
expect "a socket that nobody reads" 0

# One who is there and does not read: more than a pipe holds.
mkfifo "$work/full"
sh -c "exec sleep 3000" <"$work/full" &
background="$background $!"
boot "run=\"yes 0123456789abcdef | head -n 5000\"" --console "file=$work/full"
expect "a reader that has stopped reading" 0

boot "run=\"yes 0123456789abcdef | head -n 5000; echo end-of-it\""
expect "much output into a file" 0 "^end-of-it"
lines=$(grep -c '^0123456789abcdef' "$work/console")
if [ "$lines" = 5000 ]; then
	ok "no line of much output is lost"
else
	not_ok "no line of much output is lost" "$lines of 5000 arrived"
fi

# connect FILE COMMAND...: runs socat with its input from us, by file descriptor 3, and its output to
# $work/screen.
connect() {
	rm -f "$work/keys" "$work/screen"
	mkfifo "$work/keys"
	socat "$@" <"$work/keys" >"$work/screen" 2>/dev/null &
	peer=$!
	background="$background $peer"
	exec 3>"$work/keys"
}

start "run=\"echo type; read line; echo you typed: \$line\"" --console "unix=$work/socket"
await_file -S "$work/socket"
connect "UNIX-CONNECT:$work/socket" -
if await "^type" "$work/screen"; then
	echo hello >&3
fi
finish
exec 3>&-
cp "$work/screen" "$work/console"
expect "a socket carries both ways" 0 "^type" "^you typed: hello"

# There before the driver of the guest is, which clears the port's FIFO; and more than the console holds.
{
	echo "echo piped ONE"
	for n in $(seq 150); do echo "# $n, a line for nobody but the console"; done
	printf 'echo piped %s\npoweroff -f\n' TWO
} >"$work/script"
# The writer stays: what ends it is the guest.
mkfifo "$work/typed"
sh -c 'cat "$1"; exec sleep 3000' sh "$work/script" >"$work/typed" &
background="$background $!"
# shellcheck disable=SC2016 # What is in the background has no input but what it opens itself.
limited "$LIMIT" KILL sh -c 'exec "$@" <"$0"' "$work/typed" vmm run --kernel "$KERNEL" --initrd "$GUEST" \
	--memory 256M --cmdline "$CMDLINE demo=shell" >"$work/console" 2>"$work/err"
status=$?
expect "commands in a pipe" 0 "^piped ONE" "^piped TWO"

# A reader that is late: not before the machine has ended, of which the processors' threads tell.
mkfifo "$work/late"
vmm run --json --kernel "$KERNEL" --initrd "$GUEST" --memory 256M \
	--cmdline "$CMDLINE run=\"head -c 140000 /dev/zero | tr '\\000' x | fold -w 79; echo LAST-LINE\"" \
	</dev/null >"$work/late" 2>"$work/err" &
vmm=$!
background="$background $vmm"
exec 3<"$work/late"
threads() {
	set -- "/proc/$vmm/task/"*
	echo $#
}
begin_limit "$LIMIT"
until [ "$(threads)" -gt 1 ] || ! within_limit; do sleep 0.1; done
until [ "$(threads)" = 1 ] || ! within_limit; do sleep 0.5; done
cat <&3 >"$work/console" &
reader=$!
finish
wait "$reader"
exec 3<&-
expect "what a guest said in the end waits for its reader" 0 "LAST-LINE" "^\[console: [0-9]* bytes of output lost\]" \
	'"reason": "power-off"'

# Two places at once, and a second one to look on.
start "run=\"echo type; read line; echo you typed: \$line; head -c 20000 /dev/zero | tr '\\000' x | fold -w 79\"" \
	--console "socket=$work/both" --console "file=$work/log,rotate=8K,keep=2"
await_file -S "$work/both"
connect "UNIX-CONNECT:$work/both" -
sleep 1
socat -u "UNIX-CONNECT:$work/both" - >"$work/onlooker" 2>/dev/null &
background="$background $!"
if await "^type" "$work/screen" && await "^type" "$work/onlooker"; then
	echo hello >&3
fi
finish
exec 3>&-
expect "a socket and files" 0 "^type" "^you typed: hello"
if grep -v "only reads" "$work/onlooker" | cmp -s - "$work/screen"; then
	ok "who looks on sees the same"
else
	not_ok "who looks on sees the same" "$(grep -v "only reads" "$work/onlooker" | cmp - "$work/screen" 2>&1)"
fi
cat "$work/log.2" "$work/log.1" "$work/log" >"$work/rotated"
if [ "$(stat -c %s "$work/log.1")" = 8192 ] &&
	tail -c "$(stat -c %s "$work/rotated")" "$work/console" | cmp -s - "$work/rotated"; then
	ok "a log is rotated"
else
	not_ok "a log is rotated" "$(ls -l "$work")"
fi

# A disk that is full for a while, as a small file system is.
if is_root; then
	mkdir "$work/disk"
	mount -t tmpfs -o size=64k tmpfs "$work/disk"
	start "run=\"echo first; read line; head -c 200000 /dev/zero | tr '\\000' x | fold -w 79; echo; echo second; read line; echo third\"" \
		--console "file=$work/disk/log" --console "socket=$work/keys2"
	await "^first" "$work/disk/log"
	connect "UNIX-CONNECT:$work/keys2" -
	echo >&3
	await "^second" "$work/screen"
	mount -o remount,size=1m "$work/disk"
	await "^second" "$work/disk/log"
	echo >&3
	finish
	exec 3>&-
	tr -d '\r' <"$work/disk/log" >"$work/console"
	expect "a disk that is full for a while" 0 "^first" "^\[console: [0-9]* bytes of output lost\]" "^second" "^third"
	umount "$work/disk"
else
	ok "a disk that is full for a while # skip: not root"
fi

# terminal COMMANDS [FLAGS]: a terminal of its own for vmm, made by socat: its settings before and
# after must be the same.
terminal() {
	cat >"$work/run" <<-END
		echo \$\$ >$work/pid
		exec vmm run --kernel $HV_KERNEL --initrd $GUEST --memory 256M --cmdline '$CMDLINE run="$1"' ${2:-}
	END
	cat >"$work/session" <<-END
		stty -g >$work/before
		sh $work/run 2>$work/err
		echo \$? >$work/status
		stty -g >$work/after
	END
	connect "EXEC:sh $work/session,pty,setsid,ctty,stderr" -
	vmm=$peer
}

terminal_verdict() {
	await_file -s "$work/after"
	exec 3>&-
	status=$(cat "$work/status" 2>/dev/null)
	cp "$work/screen" "$work/console"
	name=$1
	expect "$@"
	if cmp -s "$work/before" "$work/after"; then
		ok "$name: the terminal is as before"
	else
		not_ok "$name: the terminal is as before" "its settings differ"
	fi
	rm -f "$work/before" "$work/after" "$work/status" "$work/pid"
}

wait_loop="echo guest-is-up; while :; do sleep 1; done"

terminal "$wait_loop"
await "^guest-is-up" "$work/screen" && printf '\001h' >&3
sleep 1
printf '\001x' >&3
terminal_verdict "Ctrl-A x leaves" 0 "^guest-is-up" "Ctrl-A"

# Not SIGINT, which a shell without job control has its background jobs ignore.
for signal in TERM HUP; do
	terminal "$wait_loop"
	await "^guest-is-up" "$work/screen" && kill -$signal "$(cat "$work/pid")" && sleep 1 &&
		kill -$signal "$(cat "$work/pid")"
	terminal_verdict "SIG$signal ends it" 14 "^guest-is-up"
done

terminal "$wait_loop"
await "^guest-is-up" "$work/screen" && kill -SEGV "$(cat "$work/pid")"
terminal_verdict "vmm crashes" 139 "^guest-is-up"

terminal "echo c >/proc/sysrq-trigger"
terminal_verdict "the guest crashes" 3

terminal "$wait_loop" "--time-limit 20"
terminal_verdict "the time limit ends it" 10

terminal true "--disk $work/absent"
terminal_verdict "it does not even start" 1

terminal "stty raw -echo; echo; echo ready; dd bs=1 count=1 2>/dev/null | od -c"
await "^ready" "$work/screen" && sleep 1 && printf '\003' >&3
terminal_verdict "Ctrl-C goes to the guest" 0 "003"

terminal "poweroff -f"
terminal_verdict "the guest powers off" 0
