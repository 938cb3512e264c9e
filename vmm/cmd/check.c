// SPDX-License-Identifier: GPL-2.0-or-later
/* "vmm check": what this host is like, and what host/check.c makes of it. Called by main.c. */
#include <getopt.h>
#include <jansson.h>
#include <stdio.h>

#include "cmd/cmd.h"
#include "host/check.h"
#include "log.h"

static void print_text(const struct hostcheck_finding *finding, size_t nr, bool ready)
{
	static const char *const words[] = {
		[CHECK_OK] = "ok",
		[CHECK_WARN] = "weaker",
		[CHECK_FAIL] = "missing",
	};

	for (size_t i = 0; i < nr; i++) {
		printf("%-8s %s\n", words[finding[i].result], finding[i].what);
		if (finding[i].fix[0])
			printf("         mend it: %s\n", finding[i].fix);
	}
	puts(ready ? "This host can run virtual machines with hv."
		   : "This host cannot run virtual machines with hv yet.");
}

static int print_json(const struct hostcheck_finding *finding, size_t nr, bool ready)
{
	json_t *list = json_array();
	json_t *root;
	int ret;

	for (size_t i = 0; i < nr; i++)
		json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:s}", "id",
						      hostcheck_id(finding[i].subject), "result",
						      hostcheck_result(finding[i].result), "text",
						      finding[i].what, "advice", finding[i].fix));
	root = json_pack("{s:b, s:o}", "ready", ready, "findings", list);
	ret = json_dumpf(root, stdout, JSON_INDENT(2));
	putchar('\n');
	json_decref(root);
	return ret;
}

static void print_help(void)
{
	fputs("vmm check - can this host run virtual machines with hv?\n"
	      "\n"
	      "Usage: vmm check [--json]\n"
	      "\n"
	      "Looks at the processor, the firmware, the hv module, /dev/hv and other\n"
	      "hypervisors, and prints for each thing missing the command that mends it.\n"
	      "\n"
	      "  --json   print the findings as one JSON object; vmm(1) lists their ids\n"
	      "  --help   this text\n"
	      "\n"
	      "Exit status: 0 machines can run, 1 they cannot, 2 wrong usage.\n",
	      stdout);
}

int cmd_check(int argc, char **argv)
{
	static const struct option options[] = {
		{"help", no_argument, NULL, 'h'},
		{"json", no_argument, NULL, 'j'},
		{0},
	};
	struct hostcheck_finding finding[HOSTCHECK_MAX_FINDINGS];
	struct hostcheck_facts facts;
	bool json = false, ready;
	size_t nr;
	int id;

	optind = 0;
	opterr = 0;
	while ((id = getopt_long(argc, argv, "+h", options, NULL)) != -1) {
		switch (id) {
		case 'h':
			print_help();
			return STATUS_OK;
		case 'j':
			json = true;
			break;
		default:
			log_error("unknown flag %s: try 'vmm check --help'", argv[optind - 1]);
			return STATUS_USAGE;
		}
	}
	if (optind < argc) {
		log_error("'%s' is not a flag: try 'vmm check --help'", argv[optind]);
		return STATUS_USAGE;
	}

	hostcheck_gather(&facts);
	nr = hostcheck_decide(&facts, finding, &ready);
	/* That it could not be written, main() says of everything. */
	if (json && print_json(finding, nr, ready) && !ferror(stdout)) {
		log_error("out of memory for the result");
		return STATUS_ERROR;
	}
	if (!json)
		print_text(finding, nr, ready);
	return ready ? STATUS_OK : STATUS_ERROR;
}
