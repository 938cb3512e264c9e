# shellcheck shell=sh
# SPDX-License-Identifier: GPL-2.0-or-later
# A 32-bit guest whose instructions on devices the emulator in vmm carries out. It judges by itself.
. tests/boot/lib.sh

: >"$work/console"
limited "$LIMIT" KILL vmm run --kernel build/guest/instructions.elf --memory 64M --debug-exit 0xf4 \
	--console "file=$work/console" --time-limit $((LIMIT * HV_PATIENCE)) >"$work/out" 2>"$work/err" </dev/null
status=$?
tr -d '\r' <"$work/console" | grep '^ok\|^not ok'
# What vmm makes of the value 0x10 at the debug exit port.
expect "to the end" 33
