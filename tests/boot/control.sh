# shellcheck shell=sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Machines that run detached, found and acted on by their names.
. tests/boot/lib.sh

export HV_RUNTIME_DIR="$work/run"
trap 'vmm kill $(vmm list -q) 2>/dev/null; kill -KILL $background 2>/dev/null; rm -rf "$work"; exit $failed' EXIT

# detached NAME WORDS [FLAG...]: as boot, in the background of the host.
detached() {
	name=$1
	words=$2
	shift 2
	: >"$work/console"
	limited "$LIMIT" KILL vmm run --detach --name "$name" --kernel "$KERNEL" --initrd "$GUEST" --memory 256M \
		--cmdline "$CMDLINE $words" "$@" >"$work/out" 2>"$work/err" </dev/null
	status=$?
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

# attach: to the console of "box", typing by file descriptor 3; the screen is $work/console. leave: as Ctrl-A d does.
attach() {
	rm -f "$work/keys"
	mkfifo "$work/keys"
	: >"$work/console"
	vmm console box <"$work/keys" >"$work/console" 2>"$work/err" &
	vmm=$!
	background="$background $vmm"
	exec 3>"$work/keys"
}

leave() {
	kill "$vmm"
	finish
	exec 3>&-
}

detached box demo=shell
expect "a machine that is detached" 0
does "the command says its name" 0 "^box$" list -q
does "it runs" 0 "^box .* running " list
does "no other has its name" 1 "process" run --name box --kernel "$KERNEL"

attach
await "# " && echo "echo typed \$((40 + 2))" >&3
await "^typed 42"
leave
expect "its console is attached to" 0 "^typed 42"
attach
await "^typed 42" && echo "echo once more" >&3
await "^once more"
leave
expect "again, with what it said before" 0 "^typed 42" "^once more"
attach
echo "poweroff -f" >&3
finish
exec 3>&-
expect "the console ends with the machine" 0
# It may be about to end.
vmm wait box 2>/dev/null
does "and is no more" 4 "no machine" wait box
if [ -e "$HV_RUNTIME_DIR/box" ]; then
	not_ok "nothing is left of it" "$(ls "$HV_RUNTIME_DIR/box")"
else
	ok "nothing is left of it"
fi

detached failing "" --initrd /no/such/file
if [ "$status" = 1 ] && grep -q /no/such/file "$work/err" && [ ! -e "$HV_RUNTIME_DIR/failing" ]; then
	ok "a start that fails"
else
	evidence
	not_ok "a start that fails" "status $status"
fi

detached victim ""
expect "another one" 0
begin_limit "$LIMIT"
until vmm logs victim 2>/dev/null | grep -q . || ! within_limit; do sleep 0.5; done
# A monitor that hangs.
kill -STOP "$(vmm list --json | sed -n 's/.*"pid": *\([0-9]*\).*/\1/p')"
does "one that hangs is killed" 0 "" kill victim
does "and its name is free" 4 "no machine" wait victim
does "what it said is there" 0 . logs victim
