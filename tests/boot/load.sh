# shellcheck shell=sh
# SPDX-License-Identifier: GPL-2.0-or-later
# More virtual processors than real ones, under IPIs and timers for two minutes: no wakeup may be
# lost, and no kernel may report a lockup.
. tests/boot/lib.sh

LIMIT=400
boot "run=\"load 120\"" --cpus 4
expect "two minutes of IPIs and timers on 4 processors" 0 "^load: ok" "guest: status 0"
