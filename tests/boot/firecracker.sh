# shellcheck shell=sh
# SPDX-License-Identifier: GPL-2.0-or-later
# A machine that a client of Firecracker's API describes, starts, pauses, resumes and ends, as the guide that most of
# them were written by says it; in hosts that have curl (QEMU's) with that.
. tests/boot/lib.sh

export HV_RUNTIME_DIR="$work/run"
socket=$work/firecracker.sock

# request METHOD PATH STATUS WORD [BODY]: the answer must have that status of HTTP, and a body that holds the word.
request() {
	if command -v curl >/dev/null; then
		set -- "$1" "$2" "$3" "$4" ${5:+-d "$5"}
		method=$1 path=$2 wanted=$3 word=$4
		shift 4
		curl -s --max-time 60 --unix-socket "$socket" -i -X "$method" "http://localhost$path" \
			-H 'Accept: application/json' -H 'Content-Type: application/json' "$@" >"$work/answer" 2>&1
		said=$(sed -n 's|^HTTP/1.1 \([0-9]*\).*|\1|p' "$work/answer")
	else
		method=$1 path=$2 wanted=$3 word=$4
		shift 4
		clients "$socket" "$method" "$path" "$@" >"$work/answer"
		said=$(head -n 1 "$work/answer")
	fi
	if [ "$said" = "$wanted" ] && grep -q -- "$word" "$work/answer"; then
		ok "$method $path: $wanted $word"
	else
		not_ok "$method $path" "is not $wanted with '$word': $(tr '\r\n' '  ' <"$work/answer")"
	fi
}

lines() {
	grep -c "^count" "$work/console"
}

# Its root: a program that counts, and what the power button does.
mkdir -p "$work/root/bin" "$work/root/sbin" "$work/root/dev" "$work/root/proc" "$work/root/sys"
cp /bin/busybox "$work/root/bin/busybox"
cat >"$work/root/sbin/init" <<'END'
#!/bin/busybox sh
export PATH=/bin:/sbin
busybox mount -t proc proc /proc
busybox mount -t sysfs sys /sys
echo "root of $(busybox sed -n 's/.*\(root=[^ ]* r[ow]\).*/\1/p' /proc/cmdline), $(busybox nproc) processors"
echo "disk: $(busybox readlink -f /sys/block/vda/device)"
(busybox head -c 1 /dev/input/event0 >/dev/null; echo "the button is pressed"; busybox reboot -f) &
i=0
while :; do
	i=$((i + 1))
	echo "count $i"
	busybox sleep 0.1
done
END
chmod +x "$work/root/sbin/init"
truncate -s 16M "$work/rootfs.ext4"
# Not that of the shell, which fills none.
"$(which mke2fs)" -q -t ext4 -d "$work/root" "$work/rootfs.ext4" 2>"$work/err" || cat "$work/err"

vmm run --api-only --api-sock "$socket" --name fire --console "file=$work/console" \
	>"$work/out" 2>"$work/err" </dev/null &
vmm=$!
background=$vmm
await_file -S "$socket"

request GET / 200 '"Not started"'
request PUT /boot-source 204 "" "{
	\"kernel_image_path\": \"$KERNEL\",
	\"initrd_path\": \"$GUEST\",
	\"boot_args\": \"console=ttyS0 loglevel=5 reboot=k panic=1 pci=off\"
}"
request PUT /drives/rootfs 204 "" "{
	\"drive_id\": \"rootfs\",
	\"path_on_host\": \"$work/nothing.ext4\",
	\"is_root_device\": true,
	\"is_read_only\": false
}"
request PUT /machine-config 204 "" '{"vcpu_count": 2, "mem_size_mib": 256}'
request PUT /network-interfaces/eth0 400 fault_message '{"iface_id": "eth0", "host_dev_name": "tap0"}'
request PUT /actions 400 "nothing.ext4" '{"action_type": "InstanceStart"}'
request PATCH /drives/rootfs 204 "" "{\"drive_id\": \"rootfs\", \"path_on_host\": \"$work/rootfs.ext4\"}"
request PUT /metrics 204 "" "{\"metrics_path\": \"$work/metrics\"}"
request PUT /actions 204 "" '{"action_type": "InstanceStart"}'
request GET / 200 '"Running"'
request PUT /boot-source 400 "once the machine is started" "{\"kernel_image_path\": \"$KERNEL\"}"
await "^count 3"

request PATCH /vm 204 "" '{"state": "Paused"}'
request GET / 200 '"Paused"'
before=$(lines)
sleep 2
if [ "$(lines)" = "$before" ]; then
	ok "a machine that is paused says nothing"
else
	not_ok "a machine that is paused says nothing" "it said $before lines, and $(lines)"
fi
request PATCH /vm 204 "" '{"state": "Resumed"}'
await "^count $((before + 3))"
request PUT /actions 204 "" '{"action_type": "FlushMetrics"}'
request PUT /actions 204 "" '{"action_type": "SendCtrlAltDel"}'
finish
expect "a guest with the root that it was told, which ends by a reset" 0 "^root of root=/dev/vda rw, 2 processors" \
	"^disk: .*LNRO0005" "^count $((before + 3))" "the button is pressed"
if [ "$(grep -c '"exits"' "$work/metrics")" = 2 ]; then
	ok "metrics were written when asked for, and at the end"
else
	not_ok "metrics were written when asked for, and at the end" "$(cat "$work/metrics")"
fi
if [ ! -e "$socket" ]; then
	ok "its socket is gone"
else
	not_ok "its socket is gone" "$(ls -l "$socket")"
fi
