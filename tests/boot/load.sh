# shellcheck shell=sh
# SPDX-License-Identifier: GPL-2.0-or-later
# More virtual processors than real ones, under IPIs and timers: no wakeup may be lost, and no kernel
# may report a lockup. HV_LOAD_SECONDS says for how long; docs/testing.md says why it is short by default.
. tests/boot/lib.sh

LIMIT=400
boot "run=\"load ${HV_LOAD_SECONDS:-10}\"" --cpus 4
expect "IPIs and timers on 4 processors" 0 "^load: ok" "guest: status 0"
