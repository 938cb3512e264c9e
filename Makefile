# SPDX-License-Identifier: GPL-2.0-or-later
# Builds the module and the user-space programs, runs the demo, the tests and the benchmark.
# `make help` lists the targets. Everything that is built goes under build/.

ifneq ($(KERNELRELEASE),)
$(error the module is described in Kbuild; run make in the project's own directory)
endif

BUILD    := build
PREFIX   ?= /usr/local
DESTDIR  ?=
CC       ?= gcc
CFLAGS   ?= -O2 -g
WARN     := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes
WERROR   ?= -Werror

.DELETE_ON_ERROR:
.SUFFIXES:
.DEFAULT_GOAL := all

# ---------------------------------------------------------------------------- configuration

# Goals that need neither a compiler nor a kernel's headers.
ifneq ($(filter-out help clean setup,$(or $(MAKECMDGOALS),all)),)
# Made when missing, with whatever package is missing installed first; make then starts again.
include $(BUILD)/config.mk
endif

$(BUILD)/config.mk: scripts/setup Makefile
	@scripts/setup --if-missing
	@mkdir -p $(BUILD)
	@{ echo "# Written by the Makefile."; \
	   echo "LIBS := $$(pkg-config --libs liburing jansson) -lZydis -lfdt -lhttp_parser"; \
	   echo "LIBS_CFLAGS := $$(pkg-config --cflags liburing jansson)"; \
	   echo "FILTER_LIBS := $$(pkg-config --libs libseccomp)"; \
	   echo "CHECK_LIBS := $$(pkg-config --libs check)"; \
	   echo "CHECK_CFLAGS := $$(pkg-config --cflags check)"; } >$@.tmp
	@mv $@.tmp $@

# The kernel to build the module for: the running one if its headers are here, otherwise the one
# with the newest Debian headers, which is also the kernel that the test host boots.
HOSTKVER := $(shell scripts/kernel default 2>/dev/null)
ifeq ($(origin KDIR),undefined)
KDIR := $(or $(patsubst %/Makefile,%,$(wildcard /lib/modules/$(shell uname -r)/build/Makefile)),\
	     /lib/modules/$(HOSTKVER)/build)
endif
KVER := $(shell sed -n 's/.*UTS_RELEASE "\(.*\)"/\1/p' $(KDIR)/include/generated/utsrelease.h 2>/dev/null)

# ---------------------------------------------------------------------------- the module

MODTREE := $(BUILD)/module/$(KVER)

.PHONY: all
all: module programs

.PHONY: module
module: kernel-module
	@cmp -s $(MODTREE)/hv.ko $(BUILD)/hv.ko || cp $(MODTREE)/hv.ko $(BUILD)/hv.ko

# The kernel's build system writes beside the sources, so it gets a tree of links to them. The module
# stays in there when it is for the kernel of a test host.
.PHONY: kernel-module
kernel-module:
	@test -n "$(KVER)" || { \
		echo "no kernel headers at '$(KDIR)': install linux-headers-\$$(uname -r)" \
		     "or say KDIR=/path/to/headers" >&2; exit 1; }
	@mkdir -p $(MODTREE)
	@find $(MODTREE) -xtype l -delete
	@cp -rsf "$(CURDIR)/Kbuild" "$(CURDIR)/kmod" "$(CURDIR)/include" $(MODTREE)/
	+@MAKE="$(MAKE)" scripts/kernel kbuild $(KDIR) --no-print-directory \
		"M=$(CURDIR)/$(MODTREE)" $(KFLAGS) modules

# The module for the kernel of the test host amd, which need not be the kernel that runs here. If it is,
# there is one tree, which two builds at once would spoil.
.PHONY: host-module
ifeq ($(KVER),$(HOSTKVER))
host-module: kernel-module
else
host-module:
	+@$(MAKE) --no-print-directory kernel-module KDIR=/lib/modules/$(HOSTKVER)/build
endif

# ---------------------------------------------------------------------------- user space

INCLUDES  := -I. -Ivmm -I$(BUILD)/gen
HARDEN    := -fstack-protector-strong -fPIE -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2
USER_ALL  := -std=gnu11 $(WARN) $(WERROR) $(INCLUDES) $(LIBS_CFLAGS) -pthread
USER_FLAGS = $(USER_ALL) $(HARDEN) $(CFLAGS)
SAN_FLAGS  = $(USER_ALL) -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined \
	     -fno-sanitize-recover=all
USER_LINK := -pie -Wl,-z,relro,-z,now,-z,pack-relative-relocs -pthread
# Small libraries become part of vmm: each that is loaded is pages of a machine's memory, and time of its start.
VMM_LINK   = -Wl,--gc-sections -Wl,-Bstatic $(filter-out -lZydis,$(LIBS)) -Wl,-Bdynamic -lZydis

VMM_SRC   := $(wildcard vmm/*.c vmm/*/*.c)
VMM_OBJ   := $(VMM_SRC:%.c=$(BUILD)/obj/%.o)
# A tool is tools/hv-NAME.c with all of tools/NAME-*.c.
TOOLS     := $(patsubst tools/%.c,$(BUILD)/tools/%,$(wildcard tools/hv-*.c))

.PHONY: programs
programs: $(if $(wildcard vmm/main.c),$(BUILD)/vmm $(BUILD)/vmm.bash) $(TOOLS)

$(BUILD)/obj/%.o: %.c $(BUILD)/config.mk
	@mkdir -p $(@D)
	@echo "  CC      $<"
	@$(CC) $(USER_FLAGS) -MMD -MP -c -o $@ $<

# The filters of system calls, from their table: libseccomp is needed here, and not by vmm.
FILTERS := $(BUILD)/gen/filters.h
$(patsubst %,$(BUILD)/%/vmm/sandbox/thread.o,obj san fuzz): $(FILTERS)

$(FILTERS): $(BUILD)/filters
	@mkdir -p $(@D)
	@$< >$@

$(BUILD)/filters: vmm/sandbox/filters/filters.c vmm/sandbox/filter.h vmm/sandbox/sandbox.h include/uapi/hv.h \
		$(BUILD)/config.mk
	@echo "  CC      $<"
	@$(CC) $(USER_ALL) $(CFLAGS) -o $@ $< $(FILTER_LIBS)

$(BUILD)/vmm: $(VMM_OBJ)
	@echo "  LD      $@"
	@$(CC) $(USER_LINK) $(LDFLAGS) -o $@ $^ $(VMM_LINK)

.SECONDEXPANSION:
$(BUILD)/tools/hv-%: $(BUILD)/obj/tools/hv-%.o \
		$$(addprefix $(BUILD)/obj/,$$(addsuffix .o,$$(basename $$(wildcard tools/$$*-*.c))))
	@mkdir -p $(@D)
	@echo "  LD      $@"
	@$(CC) $(USER_LINK) $(LDFLAGS) -o $@ $^ -lm

$(BUILD)/vmm.bash: $(BUILD)/vmm
	@$< completion bash >$@

# The options in the manual, from their table; a unit test says when they are not current.
.PHONY: man
man: $(BUILD)/vmm
	@{ sed '/^\.\\" Options:/q' man/vmm.1 && $(BUILD)/vmm options --man && \
		sed -n '/^\.\\" End of the options/,$$p' man/vmm.1; } >$(BUILD)/vmm.1
	@cmp -s $(BUILD)/vmm.1 man/vmm.1 || cp $(BUILD)/vmm.1 man/vmm.1

# ---------------------------------------------------------------------------- test programs

# Unit tests: one program per file, in the room of what it tests, with sanitisers, linked with the whole monitor but its main()
# and with those files of the module that are pure C. The latter, and the tests that include
# their headers, see tests/unit/kshim in place of the kernel's headers.
KMOD_PURE  := $(wildcard kmod/decode.c kmod/lapic.c kmod/cpuid.c)
UNIT_SRC   := $(wildcard tests/unit/test_*.c tests/unit/*/test_*.c)
UNIT_KMOD  := $(if $(UNIT_SRC),$(shell grep -lE 'include "[./]*kmod/' $(UNIT_SRC)))
UNIT       := $(patsubst %.c,$(BUILD)/unit/%,$(notdir $(UNIT_SRC)))
SAN_OBJ    := $(filter-out $(BUILD)/san/vmm/main.o,$(VMM_SRC:%.c=$(BUILD)/san/%.o)) \
	      $(KMOD_PURE:%.c=$(BUILD)/san/%.o)
KSHIM      := -Itests/unit/kshim
UNIT_FLAGS := -Itests/unit $(CHECK_CFLAGS)
comma      := ,
# Functions of the C library that tests/unit/suite.h stands in front of.
UNIT_WRAP  := $(addprefix -Wl$(comma)--wrap=,pthread_mutex_unlock malloc calloc realloc strdup strndup)

$(KMOD_PURE:%.c=$(BUILD)/san/%.o) $(UNIT_KMOD:%.c=$(BUILD)/san/%.o): EXTRA := $(KSHIM)

$(BUILD)/san/%.o: %.c $(BUILD)/config.mk
	@mkdir -p $(@D)
	@echo "  CC  san $<"
	@$(CC) $(EXTRA) $(SAN_FLAGS) $(UNIT_FLAGS) -MMD -MP -c -o $@ $<

$(BUILD)/libhv-san.a: $(SAN_OBJ)
	@rm -f $@
	@$(AR) rcs $@ $^

$(BUILD)/unit/%: $(BUILD)/libhv-san.a \
		$$(addprefix $(BUILD)/san/,$$(addsuffix .o,$$(basename $$(wildcard tests/unit/$$*.c tests/unit/*/$$*.c))))
	@mkdir -p $(@D)
	@echo "  LD  san $@"
	@$(CC) -fsanitize=address,undefined -pthread $(UNIT_WRAP) -o $@ $(filter %.o,$^) $(BUILD)/libhv-san.a \
		$(CHECK_LIBS) $(LIBS)

# ABI tests run as root in the test host. Their programs hold code that runs in their guests, and so
# are compiled in a way of their own; what they are is left in EXTRA_TESTS.
EXTRA_TESTS :=
include tests/abi/Makefile.inc
# The hostile guest of the boot tests.
include tests/guest/hostile/Makefile.inc
# The guests that switch tasks, and whose instructions are emulated.
include tests/guest/Makefile.inc
# What the boot test of the sandbox preloads.
include tests/boot/escape/Makefile.inc
# Fuzzers of what is pure.
include tests/fuzz/Makefile.inc

# The small guest of the boot tests and the demo.
GUEST := $(BUILD)/guest/initramfs.cpio

$(GUEST): tests/guest/initramfs tests/guest/init scripts/kernel $(BUILD)/load
	@echo "  GUEST   $@"
	@tests/guest/initramfs $@ $(BUILD)/load

$(BUILD)/load: tests/guest/load.c $(BUILD)/config.mk
	@echo "  CC      $<"
	@$(CC) $(USER_ALL) $(CFLAGS) -static -s -o $@ $<

# Clients of the control socket, with what else is on a test host's PATH.
EXTRA_TESTS += $(BUILD)/abi/clients

$(BUILD)/abi/clients: tests/boot/clients.c $(BUILD)/config.mk
	@mkdir -p $(@D)
	@echo "  CC      $<"
	@$(CC) $(USER_ALL) $(CFLAGS) -static -s -o $@ $<

.PHONY: tests unit
unit: $(UNIT)
tests: $(UNIT) $(EXTRA_TESTS)

-include $(shell find $(BUILD)/obj $(BUILD)/san -name '*.d' 2>/dev/null)
.SECONDARY:

# ---------------------------------------------------------------------------- running

# CHECK limits the run: groups (unit abi boot fuzz) or patterns of test names; MACHINE to some test hosts. AS_USER=1
# has the tests run as a user without rights.
RUN := tests/run $(if $(MACHINE),--machine $(MACHINE)) $(if $(AS_USER),--as-user)

.PHONY: check check-words demo bench
check: check-words programs tests host-module $(GUEST)
	@$(RUN) $(CHECK)

# A slip in them is told before anything is built.
check-words:
	@$(RUN) --list $(CHECK) >/dev/null

# The module on Debian's other kernels; KERNELS limits the run: see scripts/check-kernels --help.
.PHONY: check-kernels check-dkms
check-kernels: programs $(EXTRA_TESTS) $(BUILD)/load
	@scripts/check-kernels $(KERNELS)

# The same on a kernel that notices mistakes, with the fuzzer of /dev/hv for FUZZ_SECONDS (30).
.PHONY: check-debug
check-debug: programs $(EXTRA_TESTS) $(BUILD)/load
	@scripts/check-kernels 6.1-debug

check-dkms:
	@scripts/check-dkms

demo: all host-module $(GUEST)
	@scripts/demo

# BENCH chooses the machines and what to measure: see scripts/bench --help.
bench: programs host-module $(GUEST)
	@scripts/bench $(BENCH)

# A machine that has nothing; FULL=1 for more.
.PHONY: check-fresh
check-fresh:
	@scripts/check-fresh

# Processors that hv must refuse.
.PHONY: check-hosts
check-hosts: programs host-module
	@scripts/check-hosts

# Machines as services of a systemd.
.PHONY: check-systemd
check-systemd: programs host-module $(GUEST)
	@scripts/check-systemd || [ $$? -eq 77 ]

.PHONY: setup
setup:
	@scripts/setup

.PHONY: lint
lint:
	@scripts/lint $(STEPS)

# ---------------------------------------------------------------------------- installation

MODDEST := $(DESTDIR)/lib/modules/$(KVER)/extra
DEPMOD   = $(if $(DESTDIR),@:,@depmod $(KVER))

.PHONY: install uninstall install-programs uninstall-programs dkms-install dkms-uninstall
install: all install-programs
	install -D -m 644 $(MODTREE)/hv.ko $(MODDEST)/hv.ko
	$(DEPMOD)

uninstall: uninstall-programs
	rm -f $(MODDEST)/hv.ko
	$(DEPMOD)

# The module by way of dkms, for this kernel and those to come.
dkms-install: install-programs
	@scripts/dkms install

dkms-uninstall: uninstall-programs
	@scripts/dkms uninstall

install-programs: programs
	install -D -m 755 $(BUILD)/vmm $(DESTDIR)$(PREFIX)/bin/vmm
	install -D -m 644 include/uapi/hv.h $(DESTDIR)$(PREFIX)/include/hv.h
	install -D -m 644 scripts/60-hv.rules $(DESTDIR)/usr/lib/udev/rules.d/60-hv.rules
	install -d $(DESTDIR)/usr/lib/systemd/system $(DESTDIR)/etc/hv
	sed 's|@BINDIR@|$(PREFIX)/bin|' scripts/vmm@.service >$(DESTDIR)/usr/lib/systemd/system/vmm@.service
	install -D -m 644 $(BUILD)/vmm.bash $(DESTDIR)$(PREFIX)/share/bash-completion/completions/vmm
	install -D -m 644 man/vmm.1 $(DESTDIR)$(PREFIX)/share/man/man1/vmm.1
	install -D -m 644 man/hv.4 $(DESTDIR)$(PREFIX)/share/man/man4/hv.4

uninstall-programs:
	rm -f $(DESTDIR)$(PREFIX)/bin/vmm $(DESTDIR)$(PREFIX)/include/hv.h
	rm -f $(DESTDIR)/usr/lib/udev/rules.d/60-hv.rules $(DESTDIR)/usr/lib/systemd/system/vmm@.service
	! [ -d $(DESTDIR)/etc/hv ] || rmdir --ignore-fail-on-non-empty $(DESTDIR)/etc/hv
	rm -f $(DESTDIR)$(PREFIX)/share/bash-completion/completions/vmm
	rm -f $(DESTDIR)$(PREFIX)/share/man/man1/vmm.1 $(DESTDIR)$(PREFIX)/share/man/man4/hv.4

.PHONY: clean
clean:
	rm -rf $(BUILD)

.PHONY: help
help:
	@sed -n '/^##/s/^## \{0,1\}//p' $(firstword $(MAKEFILE_LIST))

##   make            the module hv.ko and the programs, under build/
##   make demo       start a guest here, or in an emulated host if this machine cannot
##   make check      all tests, in emulated hosts of both vendors; CHECK="unit abi boot fuzz" or names
##                   to choose some, MACHINE=amd or intel to choose one, AS_USER=1 to run them there
##                   as a user without rights
##   make check-hosts
##                   whether processors without what hv needs are refused, each with its reason
##   make check-systemd
##                   machines as services: vmm@.service under the systemd of an emulated host
##   make bench      instructions per operation, compared with KVM, in an emulated host;
##                   BENCH="amd intel" for more than AMD-V
##   make fuzz       fuzzers of what is pure, FUZZ_SECONDS (20) each
##   make check-fresh
##                   whether a minimal Debian with nothing on it sets up, builds and tests a clean clone
##   make lint       formatting, static checks, builds with gcc and clang
##   make check-kernels
##                   the module on Debian's other kernels; KERNELS="6.12 7.2" or others to choose some
##   make check-debug
##                   the module on a kernel with KASAN, lockdep and the like, which is built once
##   make install    module, vmm, man pages, completion for bash, header, udev rule; also: make
##                   uninstall
##   make man        the options in man/vmm.1, from their table in vmm/config/options.c
##   make dkms-install
##                   the same, with the module built by dkms for each kernel; also: dkms-uninstall,
##                   and make check-dkms, which tests it
##   make setup      install the Debian packages that are needed
##   make clean      remove build/
##
## Variables:
##   KDIR=DIR        headers of the kernel to build for (default: the running kernel's, or else
##                   the newest Debian headers found under /lib/modules)
##   PREFIX=DIR      where to install (default /usr/local); DESTDIR=DIR is put before every path
##   CC= CFLAGS= LDFLAGS=    for the user-space programs; WERROR= turns warnings into mere warnings
