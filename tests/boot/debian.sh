# shellcheck shell=sh
# SPDX-License-Identifier: GPL-2.0-or-later
# A real Debian from its packages, on a disk: systemd, a login over the serial console, writes that
# survive a reboot, power-off by command and by the power button, and a clean file system.
. tests/boot/lib.sh

LIMIT=600
DISK=$HV_DEBIAN

mkfifo "$work/keys"
start "root=/dev/vda rw systemd.show_status=0" --memory 512M --disk "$DISK" \
	--console "unix=$work/socket"
await_file -S "$work/socket"
# For what is typed: what the guest says is in the console's file.
socat "UNIX-CONNECT:$work/socket" - <"$work/keys" >/dev/null 2>&1 &
background="$background $!"
exec 3>"$work/keys"

# step NAME PATTERN [TEXT]: what the console must show next, and what is then typed. Only the TEXT of
# the step before may bring what a step awaits: what came along with its PATTERN is forgotten.
step() {
	if ! await "$2"; then
		status=none
		evidence
		not_ok "$1" "the console does not show '$2'"
		kill -KILL "$vmm" 2>/dev/null
		exit 0
	fi
	ok "$1"
	# What was seen once is not to be seen again.
	tr -d '\r' <"$work/console" >>"$work/all"
	: >"$work/console"
	[ -z "${3:-}" ] || echo "$3" >&3
}

login() {
	step "systemd's login prompt ($1)" "login: " root
	step "password ($1)" "assword: " hv
	step "shell ($1)" "root@debian-guest:~# " "$2"
}

login "first boot" "echo kept >/root/file; sync; systemctl is-system-running --wait; systemd-detect-virt"
# Not the end of the command's own echo, which has a hyphen there.
step "systemd is running" "[^-]running" "reboot"
login "after reboot" "cat /root/file; nproc"
# shellcheck disable=SC2016 # the guest's shell expands it
step "a write survived the reboot" "kept" 'echo "failed=$(systemctl --failed --no-legend | wc -l)"'
step "no service has failed" "failed=0" "poweroff"
finish
: >"$work/console"
expect "poweroff" 0
exec 3>&-

if e2fsck -fn "$DISK" >"$work/fsck" 2>&1; then
	ok "the file system is clean"
else
	sed 's/^/# /' "$work/fsck"
	not_ok "the file system is clean" "e2fsck complains"
fi

# systemd-logind powers off when the button of SIGTERM is pressed.
start "root=/dev/vda rw" --memory 512M --disk "$DISK"
if await "login: "; then
	kill -TERM "$vmm"
fi
finish
expect "the power button" 0 "login: " "Power down"
