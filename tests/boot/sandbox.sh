# shellcheck shell=sh
# SPDX-License-Identifier: GPL-2.0-or-later
# A monitor whose threads have been taken over by their guest, as far as a library that is loaded with it can play
# that: what it tries on each kind of thread kills it, and what the filters let by reaches nothing.
. tests/boot/lib.sh

LIBRARY=$PWD/build/guest/escape.so
truncate -s 1M "$work/disk"

# escape THREAD WHAT [FLAG...]: until the attempt is made.
escape() {
	thread=$1
	what=$2
	shift 2
	around="env ESCAPE_THREAD=$thread ESCAPE=$what ESCAPE_THREADS=1 LD_PRELOAD=$LIBRARY"
	boot "run=\"cat /dev/vda\"" --api off --disk "$work/disk" "$@"
	around=""
}

# dies THREAD WHAT...: each attempt must end in SIGSYS (31).
dies() {
	kind=$1
	shift
	for what; do
		escape "$kind" "$what"
		[ "$status" = 159 ] && continue
		evidence
		not_ok "a $kind thread that tries to escape dies" "$what: exit status $status instead of 159"
		return
	done
	ok "a $kind thread that tries to escape dies"
}

dies vcpu open create exec fork ptrace readv socket mount unshare setuid kill uring code module
dies loop open create exec fork ptrace readv socket mount unshare setuid kill uring code module
dies disk open exec socket

# fails WORD FLAG... : with no filter that kills, the attempts fail all the same, or not.
fails() {
	name=$1
	word=$2
	shift 2
	for what in $attempts; do
		escape loop "$what" "$@"
		[ "$status" = 77 ] && grep -q "escape: $what: $word" "$work/err" && continue
		evidence
		not_ok "$name" "$what: exit status $status"
		return
	done
	ok "$name"
}

attempts="open exec ptrace readv mount setuid module"
fails "without the filter an escaped thread reaches nothing" \
	"\(No such file\|Operation not\|Permission\|Read-only\|Function not implemented\)" \
	--sandbox log
attempts="open socket code"
fails "what is tried would work without the sandbox" "it worked" --sandbox off
if grep -q "the sandbox is off" "$work/err"; then
	ok "that the sandbox is off is said"
else
	not_ok "that the sandbox is off is said" "it is not"
fi

# as_user NAME FLAG...: a guest that writes its disk and reboots; what the process was is looked at meanwhile.
as_user() {
	name=$1
	shift
	start "run=\"dd if=/dev/zero of=/dev/vda bs=64k count=4 conv=fsync; echo WRITTEN; sleep 2; cat /proc/uptime\"" \
		--disk "$work/disk" --user guest "$@"
	await "^WRITTEN"
	cat "/proc/$vmm/status" >"$work/status"
	ls "/proc/$vmm/root/" >"$work/root"
	finish
	if ! grep -q "^Uid:.4711.4711.4711.4711" "$work/status" || ! grep -q "^Gid:.4712.4712" "$work/status"; then
		evidence
		not_ok "$name" "it is $(grep '^Uid:' "$work/status")"
	elif ! grep -q "^CapBnd:.0000000000000000" "$work/status" || ! grep -q "^NoNewPrivs:.1" "$work/status" ||
		! grep -q "^Seccomp:.2" "$work/status"; then
		evidence
		not_ok "$name" "it keeps rights"
	elif [ -s "$work/root" ]; then
		not_ok "$name" "its root directory is not empty"
	else
		expect "$name" 0 "guest: status 0"
	fi
}
# Another user, who may use neither the device nor the disk; with io_uring and with a thread.
if is_root; then
	echo "guest:x:4711:4712::/:/bin/false" >>/etc/passwd
	chmod 600 "$work/disk"
	as_user "as another user"
	if grep -q . "$work/err"; then
		evidence
		not_ok "nothing is said of the sandbox" "it is"
	fi
else
	ok "as another user # skip: not root"
fi

# Each of the console's places, at the end and with rotation.
boot "run=\"seq 4000\"" --console "file=$work/log,rotate=8K,keep=2" --console "socket=$work/socket" \
	--console "pty,link=$work/link"
expect "places" 0 "guest: status 0"
if [ -s "$work/log.2" ] && [ ! -e "$work/log.3" ] && [ ! -e "$work/socket" ] && [ ! -L "$work/link" ]; then
	ok "files are rotated, and names removed, by a monitor that is confined"
else
	not_ok "files are rotated, and names removed, by a monitor that is confined" "there is: $(ls "$work")"
fi

refuses "a user who does not exist" 1 "no-such-user" --kernel "$KERNEL" --user no-such-user
