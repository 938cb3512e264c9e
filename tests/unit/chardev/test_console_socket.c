// SPDX-License-Identifier: GPL-2.0-or-later
/* The console on a socket (vmm/chardev/socket.c): clients that come late, leave or stall, and take turns. */
#define _GNU_SOURCE
#include <fcntl.h>

#include "console_bench.h"

START_TEST(unix_client)
{
	struct stat st;
	char c;
	int fd, other;

	open_kind("unix");
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_uint_eq(st.st_mode & 0777, 0600);
	/* A late client sees what was said before. */
	say("boot messages\r\n");
	fd = connect_client();
	expect(fd, "boot messages\r\n");
	say("more");
	expect(fd, "more");
	/* No keys here: all bytes are the guest's. */
	ck_assert_int_eq(write(fd, "a\001xb", 4), 4);
	expect_input("a\001xb");
	ck_assert_uint_eq(quits, 0);
	/* The second reads: what was before it came, and what comes. It is told so. */
	other = connect_client();
	expect(other, "[console: in use by another client; this one only reads]\r\n");
	expect(other, "boot messages\r\nmore");
	ck_assert_int_eq(write(other, "not heard", 9), 9);
	say("!");
	expect(fd, "!");
	expect(other, "!");
	/* When the first leaves, the next one writes. */
	close(fd);
	say("next");
	fd = connect_client();
	expect(fd, "boot messages\r\nmore!next");
	expect(other, "next");
	ck_assert_int_eq(write(fd, "c", 1), 1);
	expect_input("a\001xbc");
	stop();
	ck_assert_int_eq(read(fd, &c, 1), 0);
	close(fd);
	ck_assert_int_eq(read(other, &c, 1), 0);
	close(other);
	ck_assert_int_ne(stat(path, &st), 0);
}
END_TEST

/* One that leaves while the guest says nothing makes room for the next. */
START_TEST(unix_client_leaves_in_silence)
{
	int fd;

	open_kind("unix");
	for (unsigned int i = 0; i < 3; i++) {
		fd = connect_client();
		ck_assert_int_eq(write(fd, "a", 1), 1);
		expect_taken(i + 1);
		close(fd);
		usleep(100000);
	}
	fd = connect_client();
	say("yours");
	expect(fd, "yours");
	close(fd);
	stop();
}
END_TEST

/* More than is kept, to a guest that takes nothing: whoever sent it does not lock others out. */
START_TEST(unix_client_leaves_its_input)
{
	static char flood[12000];
	int fd;

	memset(flood, 'f', sizeof(flood));
	room = 0;
	open_kind("unix");
	for (int i = 0; i < 3; i++) {
		fd = connect_client();
		ck_assert_int_eq(write(fd, flood, sizeof(flood)), sizeof(flood));
		close(fd);
	}
	fd = connect_client();
	say("yours");
	expect(fd, "yours");
	close(fd);
	stop();
}
END_TEST

/* All of it comes, if it is not somebody else's turn. */
START_TEST(unix_client_sends_and_leaves)
{
	static char flood[12000];
	int fd;

	memset(flood, 'f', sizeof(flood));
	room = 0;
	open_kind("unix");
	fd = connect_client();
	ck_assert_int_eq(write(fd, flood, sizeof(flood)), sizeof(flood));
	close(fd);
	/* That nobody is there to read is noticed before the guest has taken it. */
	say("an echo");
	usleep(20000);
	say("an echo");
	make_room(5000);
	expect_taken(5000);
	make_room(10000);
	expect_taken(12000);
	stop();
}
END_TEST

/* No descriptor is free when one connects: it waits for one. */
START_TEST(unix_out_of_descriptors)
{
	struct rlimit old, few;
	int fd;

	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &old), 0);
	open_kind("unix");
	fd = connect_client();
	close(fd);
	usleep(20000);
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	few = (struct rlimit){.rlim_cur = 3, .rlim_max = old.rlim_max};
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &few), 0);
	attach(fd);
	say("at last");
	idle_for_a_while();
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &old), 0);
	expect(fd, "at last");
	close(fd);
	stop();
}
END_TEST

/* In the order in which they came, though the first has left. */
START_TEST(unix_clients_take_turns)
{
	static char flood[12000];
	int first, second;

	memset(flood, 'f', sizeof(flood));
	room = 0;
	open_kind("unix");
	first = connect_client();
	ck_assert_int_eq(write(first, flood, sizeof(flood)), sizeof(flood));
	close(first);
	second = connect_client();
	ck_assert_int_eq(write(second, "mine", 4), 4);
	say("to you");
	expect(second, "to you");
	make_room(sizeof(got));
	expect_taken(12004);
	ck_assert_mem_eq(got + 11999, "fmine", 5);
	close(second);
	stop();
}
END_TEST

/* One that does not read, and does not go: the next has its turn when what it sent is taken. */
START_TEST(unix_deaf_client)
{
	static char flood[12000];
	int deaf, next;
	char first;

	room = 0;
	open_kind("unix");
	deaf = connect_client();
	ck_assert_int_eq(write(deaf, flood, sizeof(flood)), sizeof(flood));
	ck_assert_int_eq(shutdown(deaf, SHUT_RD), 0);
	say("unheard");
	/* Until that is noticed, whoever comes is told that somebody writes. */
	for (int tries = 0;; tries++) {
		next = connect_client();
		read_exactly(next, &first, 1);
		if (first == 'u')
			break;
		ck_assert_int_lt(tries, 1000);
		close(next);
		usleep(10000);
	}
	expect(next, "nheard");
	ck_assert_int_eq(write(next, "next", 4), 4);
	make_room(sizeof(got));
	expect_taken(12004);
	idle_for_a_while();
	close(deaf);
	close(next);
	stop();
}
END_TEST

/* "echo command | nc -N": it has said all, and listens. */
START_TEST(unix_half_closed)
{
	int fd, next;

	open_kind("unix");
	fd = connect_client();
	ck_assert_int_eq(write(fd, "command", 7), 7);
	ck_assert_int_eq(shutdown(fd, SHUT_WR), 0);
	expect_input("command");
	say("answer");
	expect(fd, "answer");
	idle_for_a_while();
	/* So somebody else can write. */
	next = connect_client();
	ck_assert_int_eq(write(next, "!", 1), 1);
	expect_input("command!");
	say(".");
	expect(next, "answer.");
	expect(fd, ".");
	close(fd);
	close(next);
	stop();
}
END_TEST

/* One writes, seven read, one too many is told so; whoever reads does so for as long as it stays. */
START_TEST(unix_readers)
{
	int writer, reader[7], fd;
	char c;

	open_kind("unix");
	writer = connect_client();
	for (int i = 0; i < 7; i++) {
		reader[i] = connect_client();
		expect(reader[i], "[console: in use by another client; this one only reads]\r\n");
	}
	fd = connect_client();
	expect(fd, "The console is in use by too many clients.\r\n");
	ck_assert_int_eq(read(fd, &c, 1), 0);
	close(fd);
	say("to all");
	expect(writer, "to all");
	for (int i = 0; i < 7; i++)
		expect(reader[i], "to all");
	/* What a reader says is not kept, however much. */
	for (int i = 0; i < 100; i++)
		ck_assert_int_eq(write(reader[0], got, 10000), 10000);
	close(writer);
	ck_assert_int_eq(write(reader[1], "unheard", 7), 7);
	writer = connect_client();
	expect(writer, "to all");
	ck_assert_int_eq(write(writer, "heard", 5), 5);
	expect_input("heard");
	/* A place for each that leaves. */
	close(reader[3]);
	usleep(20000);
	reader[3] = connect_client();
	expect(reader[3], "[console: in use by another");
	close(writer);
	for (int i = 0; i < 7; i++)
		close(reader[i]);
	stop();
}
END_TEST

/* Many that leave much behind do not take the places for good. */
START_TEST(unix_places_are_taken_back)
{
	static char flood[12000];
	int fd;

	room = 0;
	open_kind("unix");
	for (int i = 0; i < 20; i++) {
		fd = connect_client();
		ck_assert_int_eq(write(fd, flood, sizeof(flood)), sizeof(flood));
		close(fd);
	}
	fd = connect_client();
	say("welcome");
	expect(fd, "welcome");
	close(fd);
	stop();
}
END_TEST

/* The machine has ended: whoever reads gets all, and who does not is not waited for. */
START_TEST(unix_at_the_end)
{
	static char buf[300000];
	size_t total = 0;
	int fd, idle;
	ssize_t n;

	open_kind("unix");
	fd = connect_client();
	idle = connect_client();
	expect(idle, "[console: ");
	loop_stop(loop);
	pthread_join(thread, NULL);
	for (int i = 0; i < 65533; i++)
		console_put(console, 'x');
	say("end");
	ck_assert(console_finish(console, on_socket_finish, NULL));
	ck_assert_int_eq(loop_run(loop), 0);
	console_close(console);
	while ((n = read(fd, buf + total, sizeof(buf) - total)) > 0)
		total += (size_t)n;
	ck_assert_uint_eq(total, 65536);
	ck_assert_mem_eq(buf + 65533, "end", 3);
	close(fd);
	close(idle);
}
END_TEST

START_TEST(unix_without_client_keeps_the_last)
{
	char buf[128];
	int fd;

	open_kind("unix");
	for (int i = 0; i < 100000; i++)
		console_put(console, i < 99990 ? 'x' : (uint8_t)('0' + i % 10));
	usleep(50000);
	fd = connect_client();
	expect(fd, "\r\n[console: 34464 bytes of output lost]\r\n");
	for (int i = 0; i < 65526; i++)
		read_exactly(fd, buf, 1);
	expect(fd, "0123456789");
	close(fd);
	stop();
}
END_TEST

START_TEST(unix_path_in_use)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	struct stat st;
	char c;
	int fd;

	snprintf(spec, sizeof(spec), "unix=%s", path);
	/* A plain file is never replaced. */
	fd = open(path, O_CREAT | O_WRONLY, 0600);
	close(fd);
	expect_refused(spec, "in use");
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert(S_ISREG(st.st_mode));
	unlink(path);

	/* A socket that somebody listens on neither. */
	strcpy(addr.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	ck_assert_int_eq(listen(fd, 1), 0);
	expect_refused(spec, "in use");

	/* One that is left over is. */
	close(fd);
	open_spec(spec);
	fd = connect_client();
	say("hello");
	expect(fd, "hello");

	/* What others put in its place is not removed. */
	unlink(path);
	ck_assert_int_eq(close(open(path, O_CREAT | O_WRONLY, 0600)), 0);
	stop();
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_int_eq(read(fd, &c, 1), 0);
	close(fd);
}
END_TEST

START_TEST(unix_input_waits)
{
	char flood[20000];
	int fd;

	room = 10;
	open_kind("unix");
	fd = connect_client();
	memset(flood, 'f', sizeof(flood));
	fcntl(fd, F_SETFL, O_NONBLOCK);
	ck_assert_int_eq(write(fd, flood, 12000), 12000);
	expect_taken(10);
	/* Room for some more, and for all */
	make_room(100);
	expect_taken(110);
	make_room(15000);
	expect_taken(12000);
	close(fd);
	stop();
}
END_TEST

int main(void)
{
	Suite *s = suite_create("console_socket");
	TCase *t = tcase_create("socket");

	tcase_set_timeout(t, 60);
	tcase_add_checked_fixture(t, set_up, tear_down);
	tcase_add_test(t, unix_client);
	tcase_add_test(t, unix_client_leaves_in_silence);
	tcase_add_test(t, unix_client_leaves_its_input);
	tcase_add_test(t, unix_client_sends_and_leaves);
	tcase_add_test(t, unix_out_of_descriptors);
	tcase_add_test(t, unix_clients_take_turns);
	tcase_add_test(t, unix_deaf_client);
	tcase_add_test(t, unix_half_closed);
	tcase_add_test(t, unix_readers);
	tcase_add_test(t, unix_places_are_taken_back);
	tcase_add_test(t, unix_at_the_end);
	tcase_add_test(t, unix_without_client_keeps_the_last);
	tcase_add_test(t, unix_path_in_use);
	tcase_add_test(t, unix_input_waits);
	suite_add_tcase(s, t);
	return suite_run(s);
}
