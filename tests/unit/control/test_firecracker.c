// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Tests of vmm/control/firecracker.c: a machine that is none is described, started and paused in the words of
 * Firecracker's API; what was said is looked at in its configuration.
 */
#include <check.h>
#include <ctype.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "control/internal.h"
#include "http_client.h"
#include "suite.h"

static struct api *api;
static struct config config;
static struct error e;
static json_t *answer; /* of the last request */
static char dir[64];

/* The machine. */
static enum status_state state;
static char did[64]; /* what it was told last */
static int failure;

static int act(void *arg, const char *what, struct error *error)
{
	(void)arg;
	if (failure)
		return error_set(error, failure, "it does not %s, \xff", what);
	snprintf(did, sizeof(did), "%s", what);
	return 0;
}

static int pause_it(void *arg, struct error *error)
{
	state = STATE_PAUSED;
	return act(arg, "pause", error);
}

static int resume_it(void *arg, struct error *error)
{
	state = STATE_RUNNING;
	return act(arg, "resume", error);
}

static int power_button(void *arg, struct error *error)
{
	return act(arg, "power-button", error);
}

static int start_it(void *arg, struct error *error)
{
	int ret = act(arg, "start", error);

	if (!ret)
		state = STATE_STARTING;
	return ret;
}

static void get_status(void *arg, struct status *s)
{
	(void)arg;
	*s = (struct status){.name = config.name, .state = state};
}

static void get_stats(void *arg, struct api_stats *s)
{
	(void)arg;
	*s = (struct api_stats){.pio = 7};
}

static void count(void *arg, api_count_fn fn, void *to)
{
	(void)arg;
	fn(to, "disk0", "reads", 9);
}

static const struct api_ops ops = {
	.pause = pause_it,
	.resume = resume_it,
	.power_button = power_button,
	.start = start_it,
	.status = get_status,
	.stats = get_stats,
	.count = count,
};

static void set_up(void)
{
	char *argv[] = {"run", "--api-only", "--name", "m1", NULL};

	ck_assert_msg(!config_parse(4, argv, &config, &e), "%s", e.text);
	snprintf(dir, sizeof(dir), "/tmp/test_firecracker.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	state = STATE_CREATED;
	failure = 0;
	did[0] = '\0';
	listen_somewhere();
	api = api_create(loop, listen_fd, &config, &ops, NULL, &e);
	ck_assert_ptr_nonnull(api);
	ck_assert_int_eq(api_serve_firecracker(api, &config, &e), 0);
	start_loop();
}

static void tear_down(void)
{
	char command[128];

	end_loop();
	api_destroy(api);
	stop_listening();
	config_destroy(&config);
	json_decref(answer);
	answer = NULL;
	snprintf(command, sizeof(command), "rm -r %s", dir);
	ck_assert_int_eq(system(command), 0);
}

static void send_request(int fd, const char *method, const char *path, const char *body)
{
	char request[2048];

	/* The type of what "curl -d" sends, which is not looked at. */
	snprintf(request, sizeof(request),
		 "%s %s HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"
		 "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: %zu\r\n\r\n%s",
		 method, path, strlen(body), body);
	client_send(fd, request);
}

static void take_answer(const char *text, const char *status)
{
	const char *body = strstr(text, "\r\n\r\n");

	ck_assert_msg(!strncmp(text + 9, status, 3), "is not %s: %s", status, text);
	ck_assert_ptr_nonnull(body);
	json_decref(answer);
	answer = json_loads(body + 4, JSON_REJECT_DUPLICATES, NULL);
	ck_assert_msg(!strcmp(status, "204") == !body[4], "%s", text);
	ck_assert(!!strncmp(status, "4", 1) ||
		  json_is_string(json_object_get(answer, "fault_message")));
}

static void ask(const char *method, const char *path, const char *body, const char *status)
{
	int fd = client_open();

	send_request(fd, method, path, body);
	take_answer(client_read_all(fd), status);
}

/* It is refused, with a sentence that has this in it. */
static void refuses(const char *method, const char *path, const char *body, const char *why)
{
	ask(method, path, body, "400");
	ck_assert_contains(json_string_value(json_object_get(answer, "fault_message")), why);
}

static void get(const char *path)
{
	char request[256];

	snprintf(request, sizeof(request),
		 "GET %s HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", path);
	take_answer(client_ask(request), "200");
}

static const char *text_of(const char *member)
{
	return json_string_value(json_object_get(answer, member));
}

static void put_boot(void)
{
	ask("PUT", "/boot-source", "{\"kernel_image_path\": \"/k\", \"boot_args\": \"quiet\"}",
	    "204");
}

static void put_drive(const char *id, const char *more)
{
	char path[64], body[512];

	snprintf(path, sizeof(path), "/drives/%s", id);
	snprintf(body, sizeof(body), "{\"drive_id\": \"%s\", \"path_on_host\": \"/%s.img\", %s}",
		 id, id, more);
	ask("PUT", path, body, "204");
}

static void started(void *arg)
{
	if (!arg)
		state = STATE_RUNNING;
	else
		state = STATE_CREATED;
	api_started(api, arg);
}

/* It is asked to start, and does. */
static void start(void)
{
	int fd = client_open();

	send_request(fd, "PUT", "/actions", "{\"action_type\": \"InstanceStart\"}");
	/* The answer waits for the machine. */
	while (strcmp(did, "start"))
		usleep(1000);
	ck_assert_int_eq(recv(fd, client_text, 1, MSG_DONTWAIT), -1);
	on_loop(started, NULL);
	take_answer(client_read_all(fd), "204");
}

/* ------------------------------------------------------------------------- */

START_TEST(what_answers)
{
	get("/");
	ck_assert_str_eq(text_of("id"), "m1");
	ck_assert_str_eq(text_of("state"), "Not started");
	get("/version");
	ck_assert_ptr_nonnull(text_of("firecracker_version"));
	/* Ours is there as well. */
	get("/status");
	ck_assert_str_eq(text_of("state"), "created");
	ck_assert_contains(client_ask(GET("/nothing")), "fault_message");
	ck_assert_contains(client_ask(GET("/pause")), "\"bad-method\"");
}
END_TEST

/* Each row says what its schema does, and is in the document. */
START_TEST(every_row)
{
	json_t *document = api_describe(true), *paths = json_object_get(document, "paths");

	put_boot();
	put_drive("a", "\"is_root_device\": true, \"partuuid\": \"0eaa91a0-01\"");
	for (unsigned int i = 0; i < firecracker_nr_rows; i++) {
		const struct api_row *row = &firecracker_rows[i];
		char method[8];
		json_t *at;

		for (size_t n = 0; n <= strlen(row->method); n++)
			method[n] = (char)tolower((unsigned char)row->method[n]);
		at = json_object_get(json_object_get(paths, row->path), method);
		ck_assert_msg(json_is_object(at), "%s", row->path);
		ck_assert_int_eq(!strchr(row->path, '{'), !json_object_get(at, "parameters"));
		ck_assert_ptr_nonnull(json_object_get(json_object_get(at, "responses"),
						      row->kind == API_NOTHING ? "204" : "200"));
		if (row->kind != API_JSON)
			continue;
		get(row->path);
		ck_assert_msg(!schema_check(row->answer, answer, &e), "%s: %s", row->path, e.text);
	}
	json_decref(document);
}
END_TEST

START_TEST(processors_and_memory)
{
	get("/machine-config");
	ck_assert_int_eq(json_integer_value(json_object_get(answer, "vcpu_count")), 1);
	ck_assert_int_eq(json_integer_value(json_object_get(answer, "mem_size_mib")), 128);
	ask("PUT", "/machine-config",
	    "{\"vcpu_count\": 3, \"mem_size_mib\": 100, \"smt\": false, \"cpu_template\": null}",
	    "204");
	ck_assert_uint_eq(config.cpus, 3);
	ck_assert_uint_eq(config.memory, 100 << 20);
	ask("PATCH", "/machine-config", "{\"mem_size_mib\": 200}", "204");
	get("/machine-config");
	ck_assert_int_eq(json_integer_value(json_object_get(answer, "vcpu_count")), 3);
	ck_assert_int_eq(json_integer_value(json_object_get(answer, "mem_size_mib")), 200);

	/* All or nothing. */
	refuses("PUT", "/machine-config", "{\"vcpu_count\": 2, \"mem_size_mib\": 1}",
		"mem_size_mib");
	refuses("PUT", "/machine-config", "{\"vcpu_count\": 0, \"mem_size_mib\": 99}",
		"vcpu_count");
	refuses("PUT", "/machine-config", "{\"vcpu_count\": 2}", "mem_size_mib is missing");
	refuses("PUT", "/machine-config",
		"{\"vcpu_count\": 2, \"mem_size_mib\": 99, \"smt\": true}", "smt is not supported");
	refuses("PATCH", "/machine-config", "{\"cpu_template\": \"T2\"}", "None");
	refuses("PATCH", "/machine-config", "{\"ht\": 1}", "ht is unknown");
	refuses("PATCH", "/machine-config", "{\"vcpu_count\": -9223372036854775808}", "vcpu_count");
	refuses("PATCH", "/machine-config", "{\"mem_size_mib\": 9223372036854775807}",
		"mem_size_mib");
	refuses("PATCH", "/machine-config", "{}", "nothing");
	refuses("PATCH", "/machine-config", "{\"vcpu_count\": null}", "nothing");
	ck_assert_uint_eq(config.cpus, 3);
	ck_assert_uint_eq(config.memory, 200 << 20);
}
END_TEST

START_TEST(what_it_boots)
{
	refuses("PUT", "/actions", "{\"action_type\": \"InstanceStart\"}", "/boot-source");
	ask("PUT", "/boot-source",
	    "{\"kernel_image_path\": \"/k\", \"initrd_path\": \"/i\", \"boot_args\": \"a -- b\"}",
	    "204");
	ck_assert_str_eq(config.kernel, "/k");
	ck_assert_str_eq(config.initrd, "/i");
	refuses("PUT", "/boot-source", "{\"kernel_image_path\": \"\"}", "kernel_image_path");
	refuses("PUT", "/boot-source", "{\"kernel_image_path\": \"/x\", \"initrd_path\": \"\"}",
		"initrd_path");
	refuses("PUT", "/boot-source", "{\"initrd_path\": \"/x\"}", "kernel_image_path is missing");
	refuses("PUT", "/boot-source", "{\"kernel_image_path\": \"/x\\u0000y\"}", "u0000");
	ck_assert_str_eq(config.kernel, "/k");
	get("/vm/config");
	ck_assert_str_eq(json_string_value(json_object_get(json_object_get(answer, "boot-source"),
							   "boot_args")),
			 "a -- b");
	start();
	ck_assert_str_eq(config.cmdline, "a -- b");
}
END_TEST

/* What was said before, and not now, is not there any more. */
START_TEST(what_it_boots_instead)
{
	ask("PUT", "/boot-source",
	    "{\"kernel_image_path\": \"/k\", \"initrd_path\": \"/i\", \"boot_args\": \"a\"}",
	    "204");
	ask("PUT", "/boot-source", "{\"kernel_image_path\": \"/l\"}", "204");
	start();
	ck_assert_str_eq(config.kernel, "/l");
	ck_assert_ptr_null(config.initrd);
	ck_assert_str_eq(config.cmdline, "console=ttyS0");
}
END_TEST

START_TEST(root_devices)
{
	static const struct {
		const char *boot_args, *root, *cmdline;
	} roots[] = {
		{"quiet", "\"is_read_only\": false", "quiet root=/dev/vda rw"},
		{"quiet ", "\"is_read_only\": true", "quiet root=/dev/vda ro"},
		{"", "\"is_read_only\": null", "root=/dev/vda rw"},
		{"a -- b", "\"is_read_only\": true", "a root=/dev/vda ro -- b"},
		{"-- b", "\"is_read_only\": true", "root=/dev/vda ro -- b"},
		{"a--b --c", "\"is_read_only\": true", "a--b --c root=/dev/vda ro"},
		{"a", "\"partuuid\": \"0eaa-01\"", "a root=PARTUUID=0eaa-01 rw"},
	};
	char body[256];

	for (size_t i = 0; i < sizeof(roots) / sizeof(roots[0]); i++) {
		snprintf(body, sizeof(body),
			 "{\"kernel_image_path\": \"/k\", \"boot_args\": \"%s\"}",
			 roots[i].boot_args);
		ask("PUT", "/boot-source", body, "204");
		snprintf(body, sizeof(body), "\"is_root_device\": true, %s", roots[i].root);
		put_drive("r", body);
		start();
		ck_assert_str_eq(config.cmdline, roots[i].cmdline);
		state = STATE_CREATED;
		did[0] = '\0';
	}
}
END_TEST

START_TEST(drives)
{
	put_boot();
	put_drive("data", "\"is_root_device\": false, \"is_read_only\": true");
	put_drive("more", "\"is_root_device\": false, \"cache_type\": \"Writeback\"");
	put_drive("root",
		  "\"is_root_device\": true, \"io_engine\": \"Async\", \"rate_limiter\": null");
	/* The root device is the first, whenever it is said. */
	ck_assert_uint_eq(config.nr_disks, 3);
	ck_assert_str_eq(config.disk[0].path, "/root.img");
	ck_assert_str_eq(config.disk[1].item.id, "data");
	ck_assert(config.disk[1].readonly && !config.disk[2].readonly);
	/* One that is there is said anew. */
	put_drive("data", "\"is_root_device\": false");
	ck_assert_uint_eq(config.nr_disks, 3);
	ck_assert(!config.disk[1].readonly);
	ask("PATCH", "/drives/data", "{\"drive_id\": \"data\", \"path_on_host\": \"/other\"}",
	    "204");
	ck_assert_str_eq(config.disk[1].path, "/other");
	get("/vm/config");
	ck_assert_uint_eq(json_array_size(json_object_get(answer, "drives")), 3);

	refuses("PUT", "/drives/b",
		"{\"drive_id\": \"b\", \"path_on_host\": \"/b\", \"is_root_device\": true}",
		"a root device already: 'root'");
	refuses("PUT", "/drives/b",
		"{\"drive_id\": \"a\", \"path_on_host\": \"/b\", \"is_root_device\": false}",
		"not the 'b' of the path");
	refuses("PUT", "/drives/b", "{\"drive_id\": \"b\", \"is_root_device\": false}",
		"path_on_host is missing");
	refuses("PUT", "/drives/b",
		"{\"drive_id\": \"b\", \"path_on_host\": \"\", \"is_root_device\": false}",
		"path_on_host");
	refuses("PUT", "/drives/b!",
		"{\"drive_id\": \"b!\", \"path_on_host\": \"/b\", \"is_root_device\": false}",
		"drive_id");
	refuses("PUT", "/drives/root",
		"{\"drive_id\": \"root\", \"path_on_host\": \"/b\", \"is_root_device\": true, "
		"\"partuuid\": \"a b\"}",
		"partuuid");
	refuses("PUT", "/drives/b",
		"{\"drive_id\": \"b\", \"path_on_host\": \"/b\", \"is_root_device\": false, "
		"\"rate_limiter\": {\"ops\": {}}}",
		"rate_limiter is not supported");
	refuses("PATCH", "/drives/b", "{\"drive_id\": \"b\", \"path_on_host\": \"/b\"}",
		"no drive 'b'");
	refuses("PUT", "/drives/", "{}", "no request");
	refuses("PUT", "/drives/a/b", "{}", "no request");
	ck_assert_uint_eq(config.nr_disks, 3);
	start();
	ck_assert_uint_lt(config.disk[0].addr, config.disk[1].addr);
	ck_assert_uint_lt(config.disk[1].addr, config.disk[2].addr);
}
END_TEST

START_TEST(too_many_drives)
{
	char id[16];

	put_boot();
	for (unsigned int i = 0; i < CONFIG_MAX_DISKS; i++) {
		snprintf(id, sizeof(id), "d%u", i);
		put_drive(id, "\"is_root_device\": false");
	}
	refuses("PUT", "/drives/d99",
		"{\"drive_id\": \"d99\", \"path_on_host\": \"/b\", \"is_root_device\": false}",
		"24");
	/* The last place can be said anew, and become the first. */
	put_drive("d23", "\"is_root_device\": true");
	ck_assert_str_eq(config.disk[0].item.id, "d23");
	ck_assert_uint_eq(config.nr_disks, CONFIG_MAX_DISKS);
	start();
}
END_TEST

/* Clients that say so have disks that are not on PCI. */
START_TEST(without_pci)
{
	char id[16];

	ask("PUT", "/boot-source",
	    "{\"kernel_image_path\": \"/k\", \"boot_args\": \"console=ttyS0 pci=off\"}", "204");
	for (unsigned int i = 0; i < 6; i++) {
		snprintf(id, sizeof(id), "d%u", i);
		put_drive(id, "\"is_root_device\": false");
	}
	start();
	for (unsigned int i = 0; i < 6; i++) {
		ck_assert_uint_eq(config.disk[i].transport,
				  i < CONFIG_MAX_MMIO ? TRANSPORT_MMIO : TRANSPORT_PCI);
		ck_assert_int_eq(!config.disk[i].addr, i < CONFIG_MAX_MMIO);
	}
}
END_TEST

/* What is done in which order. */
START_TEST(order)
{
	static const char *const before[][3] = {
		{"PUT", "/machine-config", "{\"vcpu_count\": 2, \"mem_size_mib\": 64}"},
		{"PATCH", "/machine-config", "{\"vcpu_count\": 2}"},
		{"PUT", "/boot-source", "{\"kernel_image_path\": \"/x\"}"},
		{"PUT", "/drives/a",
		 "{\"drive_id\": \"a\", \"path_on_host\": \"/b\", \"is_root_device\": false}"},
		{"PATCH", "/drives/d", "{\"drive_id\": \"d\", \"path_on_host\": \"/b\"}"},
		{"PUT", "/logger", "{\"level\": \"Info\"}"},
		{"PUT", "/metrics", "{\"metrics_path\": \"/x\"}"},
		{"PUT", "/entropy", "{}"},
	};

	refuses("PATCH", "/vm", "{\"state\": \"Paused\"}", "not started");
	refuses("PATCH", "/vm", "{\"state\": \"Resumed\"}", "not started");
	refuses("PUT", "/actions", "{\"action_type\": \"SendCtrlAltDel\"}", "not started");
	ck_assert_str_eq(did, "");
	put_boot();
	put_drive("d", "\"is_root_device\": false");
	start();
	for (size_t i = 0; i < sizeof(before) / sizeof(before[0]); i++)
		refuses(before[i][0], before[i][1], before[i][2], "once the machine is started");
	refuses("PUT", "/actions", "{\"action_type\": \"InstanceStart\"}", "started already");
	ck_assert_uint_eq(config.cpus, 1);
	ck_assert_str_eq(config.kernel, "/k");
	ck_assert_uint_eq(config.nr_disks, 1);

	ask("PATCH", "/vm", "{\"state\": \"Paused\"}", "204");
	ck_assert_str_eq(did, "pause");
	get("/");
	ck_assert_str_eq(text_of("state"), "Paused");
	ask("PATCH", "/vm", "{\"state\": \"Resumed\"}", "204");
	ck_assert_str_eq(did, "resume");
	get("/");
	ck_assert_str_eq(text_of("state"), "Running");
	ask("PUT", "/actions", "{\"action_type\": \"SendCtrlAltDel\"}", "204");
	ck_assert_str_eq(did, "power-button");
	refuses("PATCH", "/vm", "{\"state\": \"Running\"}", "Paused, Resumed");
	failure = EBUSY;
	refuses("PATCH", "/vm", "{\"state\": \"Paused\"}", "it does not pause, ?");
}
END_TEST

/* It can be mended, and started again. */
START_TEST(start_that_fails)
{
	struct error why;
	int fd = client_open();

	put_boot();
	put_drive("d", "\"is_root_device\": true");
	error_set(&why, ENOENT, "there is no '/k'");
	send_request(fd, "PUT", "/actions", "{\"action_type\": \"InstanceStart\"}");
	while (strcmp(did, "start"))
		usleep(1000);
	on_loop(started, &why);
	take_answer(client_read_all(fd), "400");
	ck_assert_str_eq(text_of("fault_message"), "there is no '/k'");
	did[0] = '\0';
	put_drive("e", "\"is_root_device\": false");
	start();
	ck_assert_str_eq(config.cmdline, "quiet root=/dev/vda rw");
	ck_assert_uint_lt(config.disk[0].addr, config.disk[1].addr);
}
END_TEST

/* Whoever asked for it may be gone. */
START_TEST(start_of_nobody)
{
	int fd = client_open();

	put_boot();
	send_request(fd, "PUT", "/actions", "{\"action_type\": \"InstanceStart\"}");
	while (strcmp(did, "start"))
		usleep(1000);
	close(fd);
	on_loop(started, NULL);
	get("/");
	ck_assert_str_eq(text_of("state"), "Running");
}
END_TEST

START_TEST(bodies)
{
	ck_assert_status(client_ask("PUT /boot-source HTTP/1.1\r\nHost: a\r\n\r\n"), "411");
	ck_assert_contains(client_text, "fault_message");
	refuses("PUT", "/boot-source", "", "needs a body");
	refuses("PUT", "/boot-source", "{", "not JSON");
	refuses("PUT", "/boot-source", "[]", "an object");
	refuses("PUT", "/boot-source", "null", "not JSON");
	refuses("PUT", "/boot-source", "{\"kernel_image_path\": 1}", "a string");
	refuses("GET", "/version", "{\"a\": 1}", "a is unknown");
	ck_assert_status(
		client_ask("PUT /boot-source HTTP/1.1\r\nHost: a\r\nContent-Length: 65537\r\n\r\n"),
		"413");
	ck_assert_contains(client_text, "fault_message");
}
END_TEST

START_TEST(what_there_is_not)
{
	static const char *const others[] = {
		"/balloon",	    "/balloon/statistics",
		"/cpu-config",	    "/mmds",
		"/mmds/config",	    "/pmem/a",
		"/snapshot/create", "/snapshot/load",
		"/vsock",	    "/serial",
		"/hotplug/memory",  "/network-interfaces/eth0",
	};

	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		refuses("PUT", others[i], "{}", "not supported");
	refuses("PUT", "/vsocks", "{}", "no request");
	refuses("GET", "/boot-source", "", "no request");
	refuses("DELETE", "/drives/a", "", "no request");
}
END_TEST

static const char *contents(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = read(fd, client_text, sizeof(client_text) - 1);

	ck_assert_int_ge(n, 0);
	client_text[n] = '\0';
	close(fd);
	return client_text;
}

START_TEST(messages_and_metrics)
{
	char path[96], body[256];
	int old = dup(STDERR_FILENO);

	refuses("PUT", "/actions", "{\"action_type\": \"FlushMetrics\"}", "/metrics");
	refuses("PUT", "/metrics", "{\"metrics_path\": \"/nonexistent/m\"}", "/nonexistent/m");
	snprintf(path, sizeof(path), "%s/pipe", dir);
	ck_assert_int_eq(mkfifo(path, 0600), 0);
	snprintf(body, sizeof(body), "{\"log_path\": \"%s\", \"level\": \"Debug\"}", path);
	/* Nobody reads it, and nobody waits for that. */
	ask("PUT", "/logger", body, "204");
	refuses("PUT", "/logger", "{\"level\": \"Loud\"}", "level");
	dup2(old, STDERR_FILENO);
	close(old);

	snprintf(path, sizeof(path), "%s/metrics", dir);
	snprintf(body, sizeof(body), "{\"metrics_path\": \"%s\"}", path);
	ask("PUT", "/metrics", body, "204");
	refuses("PUT", "/metrics", body, "already");
	put_boot();
	start();
	ask("PUT", "/actions", "{\"action_type\": \"FlushMetrics\"}", "204");
	ask("PUT", "/actions", "{\"action_type\": \"FlushMetrics\"}", "204");
	ck_assert_uint_eq(count_of(contents(path), "\"pio\": 7"), 2);
	get("/vm/config");
	ck_assert(json_is_object(json_object_get(answer, "logger")));
	ck_assert_str_eq(json_string_value(json_object_get(json_object_get(answer, "metrics"),
							   "metrics_path")),
			 path);
}
END_TEST

/* A shortage is an error, never a crash or half of a change. */
START_TEST(no_memory)
{
	static const char *const requests[][3] = {
		{"PUT", "/drives/a",
		 "{\"drive_id\": \"a\", \"path_on_host\": \"/a\", \"is_root_device\": true, "
		 "\"partuuid\": \"ab-01\"}"},
		{"PUT", "/boot-source", "{\"kernel_image_path\": \"/k\", \"boot_args\": \"x\"}"},
		{"GET", "/vm/config", ""},
	};

	for (unsigned int n = 1; n < 180; n++) {
		const char *const *r = requests[n % 3];
		/* The test's own memory is not to be short. */
		int fd = client_open();

		allocation_to_fail = 1 + n / 3;
		send_request(fd, r[0], r[1], r[2]);
		client_read_all(fd);
		allocation_to_fail = 0;
	}
	get("/vm/config");
	ck_assert_uint_eq(json_array_size(json_object_get(answer, "drives")), 1);
	start();
	ck_assert_str_eq(config.cmdline, "x root=PARTUUID=ab-01 rw");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("firecracker");
	TCase *tc = tcase_create("firecracker");

	tcase_add_checked_fixture(tc, set_up, tear_down);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, what_answers);
	tcase_add_test(tc, every_row);
	tcase_add_test(tc, processors_and_memory);
	tcase_add_test(tc, what_it_boots);
	tcase_add_test(tc, what_it_boots_instead);
	tcase_add_test(tc, root_devices);
	tcase_add_test(tc, drives);
	tcase_add_test(tc, too_many_drives);
	tcase_add_test(tc, without_pci);
	tcase_add_test(tc, order);
	tcase_add_test(tc, start_that_fails);
	tcase_add_test(tc, start_of_nobody);
	tcase_add_test(tc, bodies);
	tcase_add_test(tc, what_there_is_not);
	tcase_add_test(tc, messages_and_metrics);
	tcase_add_test(tc, no_memory);
	suite_add_tcase(suite, tc);
	return suite_run(suite);
}
