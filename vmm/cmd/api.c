// SPDX-License-Identifier: GPL-2.0-or-later
/* "vmm api": what the control socket of a machine understands, for programs. Called by main.c. */
#include <stdio.h>
#include <string.h>

#include "cmd/cmd.h"
#include "control/api.h"
#include "log.h"

static void print_help(void)
{
	fputs("vmm api - describe the control socket of machines\n"
	      "\n"
	      "Usage: vmm api --openapi [--api-only]\n"
	      "\n"
	      "Prints an OpenAPI 3 document of what a machine understands on the unix socket\n"
	      "api.sock in its runtime directory; with --api-only, of what it understands\n"
	      "beside that when it was started by 'vmm run --api-only'. By hand:\n"
	      "  curl --unix-socket $XDG_RUNTIME_DIR/hv/vm/api.sock http://localhost/status\n",
	      stdout);
}

int cmd_api(int argc, char **argv)
{
	json_t *document;
	int ret;

	if (argc == 2 && (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h"))) {
		print_help();
		return STATUS_OK;
	}
	if (argc < 2 || argc > 3 || strcmp(argv[1], "--openapi") ||
	    (argc == 3 && strcmp(argv[2], "--api-only"))) {
		log_error("say 'vmm api --openapi', or 'vmm api --openapi --api-only'");
		return STATUS_USAGE;
	}
	document = api_describe(argc == 3);
	/* That it could not be written, main() says of everything. */
	ret = document ? json_dumpf(document, stdout, JSON_INDENT(2)) : -1;
	json_decref(document);
	putchar('\n');
	if (ret && !ferror(stdout)) {
		log_error("out of memory");
		return STATUS_ERROR;
	}
	return STATUS_OK;
}
