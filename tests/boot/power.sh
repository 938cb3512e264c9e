# shellcheck shell=sh
# SPDX-License-Identifier: GPL-2.0-or-later
# The ways a guest ends, and what vmm makes of each: power-off, reboot, panic, signals, time limit.
. tests/boot/lib.sh

# The line of --json, kept in a file, must match.
says() {
	if grep -qE "$1" "$work/json"; then
		ok "--json says $1"
	else
		not_ok "--json says $1" "$(cat "$work/json")"
	fi
}

# told NAME PATTERN: vmm itself must say so.
told() {
	if grep -qE "$2" "$work/err"; then
		ok "$1"
	else
		not_ok "$1" "$(cat "$work/err")"
	fi
}

# The guest's only memory over a reboot is its disk.
truncate -s 1M "$work/disk"
boot "run=\"if grep -q again /dev/vda; then echo second; else
	echo again >/dev/vda; sync; reboot -f; fi\"" --disk "$work/disk,format=raw" --json
expect "reboot starts the guest anew" 0 "^second"
tail -n 1 "$work/out" >"$work/json"
says '"reboots": *1'

# The machine is reset in place: with the files that it began with, whatever has become of their names, and with
# its disk, whatever the guest made that look like.
cp "$KERNEL" "$work/kernel"
truncate -s 1M "$work/own"
start "run=\"if grep -q again /dev/vda; then echo second; else
	echo again | dd of=/dev/vda seek=1; printf 'QFI\\373' >/dev/vda; sync; echo waiting; sleep 10; reboot -f; fi\"" \
	--kernel "$work/kernel" --disk "$work/own"
if await "^waiting"; then
	rm "$work/kernel"
	echo "no kernel" >"$work/kernel"
fi
finish
expect "a reboot needs no file anew" 0 "^second"

# Many, with the disk in use each time: the counter is on it.
printf '%-512s' 0 >"$work/disk"
truncate -s 1M "$work/disk"
boot "run=\"n=\$(head -c 8 /dev/vda | tr -d ' ')
	dd if=/dev/vda of=/dev/null bs=64k 2>/dev/null & echo count \$n
	if [ \$n -lt 12 ]; then printf '%-8s' \$((n + 1)) | dd of=/dev/vda conv=fsync 2>/dev/null; reboot -f; fi\"" \
	--disk "$work/disk,format=raw" --json --cpus 2 --reboot-limit off
expect "twelve reboots" 0 "^count 12"
tail -n 1 "$work/out" >"$work/json"
says '"reboots": *12'

boot "run=\"reboot -f\"" --no-reboot
expect "--no-reboot ends with the reboot" 6

boot "run=\"reboot -f\"" --json --reboot-limit 3/600
expect "a guest that resets again and again is ended" 8
tail -n 1 "$work/out" >"$work/json"
says '"reason": *"resets"'

# A panic before there is a driver of the panic port: Debian's is a module, Bochs's kernel has it built in.
boot "rdinit=/none root=/dev/none" --no-reboot --json-to "$work/json"
if [ "$status" = 3 ]; then
	expect "a panic before the guest's first program" 3 "Unable to mount root"
	says '"reason": *"crash"'
else
	expect "a panic before the guest's first program" 6 "Unable to mount root"
	says '"reason": *"reset"'
fi

boot "run=\"echo c >/proc/sysrq-trigger\""
expect "panic" 3 "sysrq triggered crash"

# By ACPI, PCI's reset register, the keyboard controller, and a triple fault.
for how in a p k t; do
	boot "reboot=$how run=\"reboot -f\"" --no-reboot --json-to "$work/json"
	expect "reboot=$how" 6
	says '"reason": *"reset"'
	# The keyboard controller is not waited for.
	says '"pio": *[0-9]{1,5}[,}]'
done

start "run=\"echo waiting; while :; do sleep 1; done\""
if await "^waiting"; then
	kill -TERM "$vmm"
	kill -HUP "$vmm"
	sleep 3
	if kill -0 "$vmm" 2>/dev/null; then
		ok "SIGTERM asks the guest, and leaves it time"
	else
		not_ok "SIGTERM asks the guest, and leaves it time" "vmm has ended"
	fi
	kill -TERM "$vmm"
fi
finish
expect "a second SIGTERM ends it" 14 "^waiting"

start "run=\"echo waiting; while :; do sleep 1; done\"" --stop-timeout 2
if await "^waiting"; then
	kill -TERM "$vmm"
fi
finish
expect "a guest that does not power off is ended" 12 "^waiting"
told "that its kernel heard of the button" "took notice of the power button, but nothing in it powered off"

# Without the I/O APIC there is no interrupt of the button, nor one of the serial port, so that the kernel has to speak.
start "noapic run=\"echo waiting >/dev/kmsg; while :; do sleep 1; done\"" --stop-timeout 2
if await "waiting"; then
	kill -TERM "$vmm"
fi
finish
expect "a guest with noapic is ended" 12 "waiting"
told "that its kernel heard of no button" "took no notice of the power button: .*'noapic'"

boot "run=\"while :; do sleep 1; done\"" --time-limit 30
expect "--time-limit ends it" 10

boot "run=true" --json --name a-name
expect "guest for --json" 0
tail -n 1 "$work/out" >"$work/json"
says '"name": *"a-name"'
says '"reason": *"power-off"'
says '"status": *0'
