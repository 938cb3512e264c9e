# shellcheck shell=sh
# SPDX-License-Identifier: GPL-2.0-or-later
# The module's comings and goings, and what `vmm check` says in each case.
. tests/boot/lib.sh

# The parameters that the host was started with do not matter here.
load() {
	insmod "$HV_MODULE"
}

if vmm check >"$work/out" 2>&1; then
	ok "vmm check: ready"
else
	sed 's/^/# /' "$work/out"
	not_ok "vmm check: ready" "exit status $?"
fi

start "run=\"echo up; while :; do sleep 1; done\""
await "^up"
if rmmod hv 2>/dev/null; then
	not_ok "rmmod is refused while a VM exists" "it was not"
else
	ok "rmmod is refused while a VM exists"
fi
kill -KILL "$vmm"
finish

if rmmod hv; then
	ok "rmmod after a VM was killed"
else
	not_ok "rmmod after a VM was killed" "refused"
fi

if vmm check >"$work/out" 2>&1; then
	not_ok "vmm check: module not loaded" "exit status 0"
elif grep -qE "modprobe hv|insmod" "$work/out"; then
	ok "vmm check: module not loaded"
else
	not_ok "vmm check: module not loaded" "does not say how to load it: $(tail -n 1 "$work/out")"
fi
refuses "vmm run without the module" 1 "hv" --kernel "$HV_KERNEL"

# What is no number the kernel refuses by itself.
if grep -q '^flags.* svm' /proc/cpuinfo; then
	wrong="losesshadow=2 injectstwice=-2"
else
	wrong="vpids=0 vpids=65536"
fi
for parameter in $wrong; do
	if insmod "$HV_MODULE" "$parameter" 2>/dev/null; then
		not_ok "a wrong value is refused: $parameter" "it was loaded"
		rmmod hv
	elif dmesg | tail -n 3 | grep -q "hv: $parameter: must be"; then
		ok "a wrong value is refused: $parameter"
	else
		not_ok "a wrong value is refused: $parameter" "the log does not say why: $(dmesg | tail -n 1)"
	fi
done

n=0
while [ $n -lt 100 ] && load && rmmod hv; do
	n=$((n + 1))
done
if [ $n = 100 ]; then
	ok "load and unload 100 times"
else
	not_ok "load and unload 100 times" "failed the ${n}th time"
fi
load
