/* SPDX-License-Identifier: GPL-2.0 */
/* Tracepoints: one for every exit, named by the processor's own exit code. */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM hv

#if !defined(HV_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define HV_TRACE_H

#include <linux/tracepoint.h>

// clang-format off
TRACE_EVENT(hv_exit,
	TP_PROTO(unsigned int vcpu, u64 code, u64 rip, u64 info1, u64 info2),
	TP_ARGS(vcpu, code, rip, info1, info2),
	TP_STRUCT__entry(
		__field(unsigned int, vcpu)
		__field(u64, code)
		__field(u64, rip)
		__field(u64, info1)
		__field(u64, info2)
	),
	TP_fast_assign(
		__entry->vcpu = vcpu;
		__entry->code = code;
		__entry->rip = rip;
		__entry->info1 = info1;
		__entry->info2 = info2;
	),
	TP_printk("vcpu %u code %#llx rip %#llx info %#llx %#llx", __entry->vcpu, __entry->code,
		  __entry->rip, __entry->info1, __entry->info2)
);
// clang-format on

#endif

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
