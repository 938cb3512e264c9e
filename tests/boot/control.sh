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

process_of() {
	vmm list | awk -v name="$1" '$1 == name { print $2 }'
}

detached box demo=shell
expect "a machine that is detached" 0
does "the command says its name" 0 "^box$" list -q
does "it runs" 0 "^box .* running " list
does "what it is" 0 "^state: running" status box
names=$(cat "/proc/$(process_of box)/task/"*/comm)
if [ "$(echo "$names" | sort | tr '\n' ' ')" = "vcpu0 box vmm box " ]; then
	ok "its threads are named after it"
else
	not_ok "its threads are named after it" "$names"
fi
does "it is paused" 0 "" pause box
does "and listed so" 0 "^box .* paused " list
does "it is resumed, with an answer for programs" 0 '"ok":true' resume --json box
does "no other has its name" 1 "process" run --name box --kernel "$KERNEL"

attach box
await "# " && echo "echo typed \$((40 + 2))" >&3
await "^typed 42"
leave
expect "its console is attached to" 0 "^typed 42"
does "what it counted" 0 "^exits.pio: [1-9]" stats box
attach box
await "^typed 42" && echo "echo once more" >&3
await "^once more"
leave
expect "again, with what it said before" 0 "^typed 42" "^once more"
attach box
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

detached victim "run=\"echo here; while :; do sleep 1; done\""
expect "another one" 0
begin_limit "$LIMIT"
until vmm logs victim 2>/dev/null | grep -q . || ! within_limit; do sleep 0.5; done
# A monitor that hangs.
kill -STOP "$(process_of victim)"
does "one that hangs is killed" 0 "" kill victim
does "and its name is free" 4 "no machine" wait victim
does "what it said is there" 0 . logs victim

# A guest that counts, while clients of its monitor's control socket do what they can.
counting="run=\"i=0; while [ \$i -lt 900 ]; do echo count \$i; i=\$((i+1)); usleep 100000; done\""
start "$counting" --name counter
await "count 5"
vmm events counter >"$work/events" 2>&1 &
background="$background $!"
clients="clients $HV_RUNTIME_DIR/counter/api.sock"

# asks NAME PATTERN METHOD PATH [BODY]: the answer must show it.
asks() {
	name=$1
	wanted=$2
	shift 2
	# shellcheck disable=SC2086 # words are meant
	answer=$(limited "$LIMIT" KILL $clients "$@")
	if echo "$answer" | tr '\n' ' ' | grep -qE -- "$wanted"; then
		ok "$name"
	else
		not_ok "$name" "$answer"
	fi
}

asks "a client asks for its state" '^200 .*"state": "running"' GET /status
asks "its figures" '^200 .*hv_exits_total.*"pio"} [1-9].*# EOF' GET /metrics
asks "its configuration" '^200 .*"name": "counter"' GET /config
asks "it takes no nonsense" '^400 .*"unknown-option"' POST /stop '{"time": 1}'
does "it stands still" 0 "" pause counter
asks "and says so" '^200 .*"state": "paused"' GET /status
count=$(grep -c "^count" "$work/console")
$clients >"$work/out" || not_ok "200 clients beside a machine that stands still" "$(cat "$work/out")"
if [ "$(grep -c "^count" "$work/console")" = "$count" ]; then
	ok "a guest that is paused does nothing"
else
	not_ok "a guest that is paused does nothing" "it counted on"
fi
does "it goes on" 0 "" resume counter
if $clients >"$work/out"; then
	ok "200 clients that mean ill keep nobody from being answered"
else
	not_ok "200 clients that mean ill keep nobody from being answered" "$(cat "$work/out")"
fi
count=$(grep -c "^count" "$work/console")
await "^count $((count + 3))" && does "it is stopped" 0 "" stop --timeout 1 counter
wait "$vmm"
# Behind a number may be what the guest's kernel had to say meanwhile; the last one may be cut short.
if sed -n 's/^count \([0-9]*\).*/\1/p' "$work/console" | sed '$d' | awk '$1 != NR - 1 { exit 1 }'; then
	ok "the guest did not notice"
else
	status=-
	evidence
	not_ok "the guest did not notice" "it did not count in order"
fi
if tr '\n' ' ' <"$work/events" | grep -q "state=running.*state=paused.*state=running.*state=stopping.*state=ended"; then
	ok "what happened was told"
else
	not_ok "what happened was told" "$(cat "$work/events")"
fi
