# shellcheck shell=sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Kernels, initial RAM disks and flags that cannot work: one line that names the file and says what
# to do, and never more than that.
. tests/boot/lib.sh

refuses "a missing kernel" 1 "$work/absent" --kernel "$work/absent"
refuses "a directory as kernel" 1 "$work" --kernel "$work"
: >"$work/empty"
refuses "an empty kernel" 1 "$work/empty" --kernel "$work/empty"

for bytes in 1 64 512 1024 4096 65536 1000000; do
	head -c $bytes "$HV_KERNEL" >"$work/short-$bytes"
	refuses "a kernel cut off after $bytes bytes" 1 "$work/short-$bytes" --kernel "$work/short-$bytes"
done
for n in 1 2 3 4; do
	head -c 1000000 /dev/urandom >"$work/random-$n"
	refuses "random bytes as kernel ($n)" 1 "$work/random-$n" --kernel "$work/random-$n"
done

# The front part of a real one of each other kind: ELF by PVH, and by Multiboot.
for bytes in 64 120 4096 20000; do
	if [ -e "$HV_VMLINUX" ]; then
		head -c $bytes "$HV_VMLINUX" >"$work/vmlinux-$bytes"
		refuses "a vmlinux cut off after $bytes bytes" 1 "$work/vmlinux-$bytes" \
			--kernel "$work/vmlinux-$bytes"
	fi
	head -c $bytes build/guest/hostile.elf >"$work/multiboot-$bytes"
	refuses "a Multiboot kernel cut off after $bytes bytes" 1 "$work/multiboot-$bytes" \
		--kernel "$work/multiboot-$bytes"
done

# An ELF file that says it is one, and then is not.
{ printf '\177ELF\2\1\1'; head -c 100000 /dev/urandom; } >"$work/elf"
refuses "random bytes behind an ELF header" 1 "$work/elf" --kernel "$work/elf"
refuses "a program as kernel" 1 /bin/busybox --kernel /bin/busybox

refuses "a missing initrd" 1 "$work/absent" --kernel "$HV_KERNEL" --initrd "$work/absent"
refuses "a directory as initrd" 1 "$work" --kernel "$HV_KERNEL" --initrd "$work"
refuses "an empty initrd" 1 "$work/empty" --kernel "$HV_KERNEL" --initrd "$work/empty"
truncate -s 200M "$work/large"
refuses "an initrd larger than memory" 1 "$work/large" --kernel "$HV_KERNEL" --initrd "$work/large" \
	--memory 128M
refuses "too little memory for the kernel" 1 "$HV_KERNEL" --kernel "$HV_KERNEL" --memory 16M

# The kernel of the guest says so, and panics for want of a root file system.
head -c 500000 /dev/urandom >"$work/random-initrd"
head -c 500000 "$GUEST" >"$work/truncated-initrd"
for kind in random truncated; do
	boot "" --initrd "$work/$kind-initrd" --no-reboot
	if [ "$status" = 6 ] || [ "$status" = 3 ]; then
		ok "a $kind initrd is the guest's affair"
	else
		evidence
		not_ok "a $kind initrd is the guest's affair" "exit status $status"
	fi
done

refuses "no kernel" 2 "--kernel"
refuses "an unknown flag" 2 "--wrong" --kernel "$HV_KERNEL" --wrong
refuses "a flag without its value" 2 "--memory" --kernel "$HV_KERNEL" --memory
for bad in 0 -1 65 two 1.5 99999999999999999999; do
	refuses "--cpus $bad" 2 "--cpus" --kernel "$HV_KERNEL" --cpus "$bad"
done
for bad in 0 1K 12 -5G 1T5 99999999999G 64X; do
	refuses "--memory $bad" 2 "--memory" --kernel "$HV_KERNEL" --memory "$bad"
done
if vmm --help >/dev/full 2>"$work/err"; then
	not_ok "help that cannot be written" "exit status 0"
elif [ "$(wc -l <"$work/err")" = 1 ]; then
	ok "help that cannot be written"
else
	not_ok "help that cannot be written" "said $(wc -l <"$work/err") lines instead of one"
fi
echo "what an earlier guest said" >"$work/console-file"
refuses "a missing disk" 1 "$work/absent" --kernel "$HV_KERNEL" --disk "$work/absent" \
	--console "file=$work/console-file"
if grep -q earlier "$work/console-file"; then
	ok "a machine that does not start leaves its console's file as it is"
else
	not_ok "a machine that does not start leaves its console's file as it is" "it is empty"
fi
refuses "--console nonsense" 2 "--console" --kernel "$HV_KERNEL" --console nonsense
refuses "an unknown disk option" 2 "sparkle" --kernel "$HV_KERNEL" --disk "$work/empty,sparkle=on"

# A machine in a file: written by the flags that make it, and started from there.
vmm run --kernel "$KERNEL" --initrd "$GUEST" --memory 256M --console "file=$work/console" \
	--cmdline "$CMDLINE run=\"wc -c </dev/vda\"" --disk "$work/large" --print-config >"$work/machine" 2>"$work/err"
limited "$LIMIT" KILL vmm run --config "$work/machine" >"$work/out" 2>"$work/err" </dev/null
status=$?
expect "a machine from its file" 0 "^209715200\$" "guest: status 0"
sed 's/"readonly": false/"readonly": "no"/' "$work/machine" >"$work/wrong"
line=$(grep -n '"readonly": "no"' "$work/wrong" | cut -d : -f 1)
refuses "a mistake in a file" 2 "wrong:$line: disks[0].readonly must be true or false" --config "$work/wrong"
refuses "a missing configuration file" 2 "$work/absent" --config "$work/absent"
sed "s|$work/large|$work/absent|" "$work/machine" >"$work/wrong"
refuses "a disk of a file that is missing" 1 "(disks[0] in $work/wrong)" --config "$work/wrong"
long=$(head -c 5000 /dev/zero | tr '\0' x)
refuses "a command line that is too long" 1 "--cmdline" --kernel "$HV_KERNEL" --cmdline "$long"
