# shellcheck shell=sh
# SPDX-License-Identifier: GPL-2.0-or-later
# A 32-bit guest that switches tasks, in every way there is, and judges by itself. AMD-V's processor
# does it alone, VT-x leaves it to vmm.
. tests/boot/lib.sh

# QEMU's emulation has faults of its own: see docs/testing.md.
words=""
if grep -qw svm /proc/cpuinfo && grep -qw hypervisor /proc/cpuinfo; then
	words=tcg
fi
: >"$work/console"
limited "$LIMIT" KILL vmm run --kernel build/guest/tasks.elf --memory 64M --cmdline "$words" --debug-exit 0xf4 \
	--console "file=$work/console" --time-limit $((LIMIT * HV_PATIENCE)) >"$work/out" 2>"$work/err" </dev/null
status=$?
tr -d '\r' <"$work/console" | grep '^ok\|^not ok'
# What vmm makes of the value 0x10 at the debug exit port.
expect "to the end" 33
