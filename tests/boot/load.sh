# shellcheck shell=sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Virtual processors under IPIs and timers, also more of them than real ones: no wakeup may be lost,
# and no kernel may report a lockup. HV_LOAD_SECONDS says how long each of the three lasts.
. tests/boot/lib.sh

# load CPUS
load() {
	seconds=${HV_LOAD_SECONDS:-120}
	LIMIT=$((seconds + 300))
	boot "run=\"load $seconds\"" --cpus "$1"
	expect "IPIs and timers on $1 processors" 0 "^load: ok" "guest: status 0"
}

load 4
load 2
load 1
