// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The console on standard input and output (vmm/chardev/tty.c, terminal.c), with a pseudo-terminal in their place:
 * keys, job control, and what is left of the terminal afterwards.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pty.h>
#include <stdbool.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>

#include "chardev/terminal.h"
#include "console_bench.h"

static int master, slave;

static void on_pty(void)
{
	ck_assert_int_eq(openpty(&master, &slave, NULL, NULL, NULL), 0);
	ck_assert_int_eq(dup2(slave, STDIN_FILENO), STDIN_FILENO);
	ck_assert_int_eq(dup2(slave, STDOUT_FILENO), STDOUT_FILENO);
}

static bool is_raw(void)
{
	struct termios t;

	ck_assert_int_eq(tcgetattr(slave, &t), 0);
	return !(t.c_lflag & (ICANON | ISIG | ECHO)) && !(t.c_oflag & OPOST);
}

START_TEST(tty_raw_and_back)
{
	struct termios before, after;

	on_pty();
	ck_assert_int_eq(tcgetattr(slave, &before), 0);
	open_spec("tty");
	ck_assert(is_raw());
	/* What has nothing to do with it stays: the speed (0 hangs up), characters. */
	ck_assert_int_eq(tcgetattr(slave, &after), 0);
	ck_assert_uint_eq(cfgetospeed(&after), cfgetospeed(&before));
	ck_assert_uint_eq(after.c_cc[VINTR], before.c_cc[VINTR]);
	/* The description that the shell shares is not made non-blocking. */
	ck_assert(!(fcntl(STDOUT_FILENO, F_GETFL) & O_NONBLOCK));
	ck_assert(!(fcntl(STDIN_FILENO, F_GETFL) & O_NONBLOCK));
	say("login: ");
	expect(master, "login: ");
	/* Ctrl-C and Ctrl-Z are the guest's. */
	ck_assert_int_eq(write(master, "root\r\003\032", 7), 7);
	expect_input("root\r\003\032");
	stop();
	ck_assert_int_eq(tcgetattr(slave, &after), 0);
	ck_assert_uint_eq(before.c_lflag, after.c_lflag);
	ck_assert_uint_eq(before.c_oflag, after.c_oflag);
	ck_assert_uint_eq(before.c_iflag, after.c_iflag);
}
END_TEST

START_TEST(tty_keys)
{
	char buf[4096] = "";
	ssize_t n;

	on_pty();
	open_spec("tty");
	ck_assert_int_eq(write(master, "a\001\001b", 4), 4);
	expect_input("a\001b");
	ck_assert_uint_eq(quits, 0);
	ck_assert_int_eq(write(master, "\001h", 2), 2);
	usleep(100000);
	n = read(master, buf, sizeof(buf) - 1);
	ck_assert_int_gt(n, 0);
	ck_assert_ptr_nonnull(strstr(buf, "Ctrl-A x"));
	ck_assert_ptr_nonnull(strstr(buf, "Ctrl-A h"));
	/* A key that means nothing is swallowed; the two halves may come apart. */
	ck_assert_int_eq(write(master, "\001q\001", 3), 3);
	usleep(50000);
	ck_assert_uint_eq(quits, 0);
	ck_assert_int_eq(write(master, "x", 1), 1);
	for (int ms = 0; ms < 5000 && !quits; ms++)
		usleep(1000);
	ck_assert_uint_eq(quits, 1);
	expect_input("a\001b");
	stop();
}
END_TEST

/* A guest that takes nothing, and more typed than is kept: the way out stays open. */
START_TEST(tty_keys_when_input_is_full)
{
	size_t written = 0;

	room = 0;
	on_pty();
	open_spec("tty");
	fcntl(master, F_SETFL, O_NONBLOCK);
	for (int ms = 0; ms < 20000 && written < 20000; ms++) {
		ssize_t n = write(master, "typed in vain.\r\r", 16);

		if (n > 0)
			written += (size_t)n;
		else
			usleep(1000);
	}
	ck_assert_uint_ge(written, 20000);
	ck_assert_uint_eq(quits, 0);
	ck_assert_int_eq(write(master, "\001x", 2), 2);
	for (int ms = 0; ms < 5000 && !quits; ms++)
		usleep(1000);
	ck_assert_uint_eq(quits, 1);
	/* What was kept is still in order. */
	make_room(48);
	expect_input("typed in vain.\r\rtyped in vain.\r\rtyped in vain.\r\r");
	stop();
}
END_TEST

START_TEST(tty_restored_from_outside)
{
	struct termios t;

	on_pty();
	open_spec("tty");
	terminal_restore();
	ck_assert(!is_raw());
	terminal_restore();
	/* Once restored it stays so, also over a continue. */
	raise(SIGCONT);
	ck_assert(!is_raw());
	stop();

	/* A shell changed the modes while we were stopped. */
	open_spec("tty");
	ck_assert_int_eq(tcgetattr(slave, &t), 0);
	t.c_lflag |= ICANON | ISIG | ECHO;
	ck_assert_int_eq(tcsetattr(slave, TCSANOW, &t), 0);
	raise(SIGCONT);
	ck_assert(is_raw());
	stop();
	ck_assert(!is_raw());
}
END_TEST

/* The shell's child in the foreground sets the modes, one in the background leaves them alone. */
static int judge_foreground(void)
{
	bool raw_in_front, raw_behind;
	pid_t other;

	if (setsid() < 0 || ioctl(STDIN_FILENO, TIOCSCTTY, 0))
		return 1;
	signal(SIGTTOU, SIG_IGN);
	terminal_start_raw();
	raw_in_front = is_raw();
	other = fork();
	if (!other) {
		setpgid(0, 0);
		pause();
		_exit(0);
	}
	setpgid(other, other);
	if (tcsetpgrp(STDIN_FILENO, other))
		return 2;
	terminal_restore();
	raw_behind = is_raw();
	kill(other, SIGKILL);
	return raw_in_front && raw_behind ? 0 : 3;
}

START_TEST(tty_in_the_background)
{
	int status;
	pid_t pid;

	on_pty();
	pid = fork();
	if (!pid)
		_exit(judge_foreground());
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
}
END_TEST

/*
 * A monitor for judge_job(): what the guest takes goes to out, what comes from in is said by
 * it; ends when in does.
 */
static int monitor(int in, int out)
{
	struct pollfd p = {.fd = in, .events = POLLIN};
	size_t told = 0;

	open_spec("tty");
	if (write(out, "!", 1) != 1)
		return 1;
	for (;;) {
		size_t len = taken();
		char c;

		if (poll(&p, 1, 1) == 1) {
			if (read(in, &c, 1) != 1)
				break;
			console_put(console, (uint8_t)c);
		}

		if (len > told && write(out, got + told, len - told) < 0)
			return 1;
		told = len;
	}
	stop();
	return 0;
}

static bool becomes_raw(bool raw)
{
	for (int ms = 0; ms < 10000 && is_raw() != raw; ms++)
		usleep(1000);
	return is_raw() == raw;
}

static bool comes(int fd, char want)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	char c;

	return poll(&p, 1, 10000) == 1 && read(fd, &c, 1) == 1 && c == want;
}

/* A shell with job control, and a monitor as its job. Returns which step failed. */
static int judge_job(void)
{
	struct pollfd p = {.fd = master, .events = POLLIN};
	int to[2], from[2], status;
	struct termios t;
	pid_t job;
	char c;

	if (setsid() < 0 || ioctl(STDIN_FILENO, TIOCSCTTY, 0) || pipe(to) || pipe(from))
		return 1;
	signal(SIGTTOU, SIG_IGN);
	job = fork();
	if (!job) {
		signal(SIGTTOU, SIG_DFL);
		setpgid(0, 0);
		close(to[1]);
		_exit(monitor(to[0], from[1]));
	}
	setpgid(job, job);
	close(to[0]);
	if (!comes(from[0], '!'))
		return 2;
	/* In the background: keys are not its own, nor are the modes. */
	if (write(master, "s\n", 2) != 2)
		return 3;
	usleep(400000);
	if (waitpid(job, &status, WUNTRACED | WNOHANG) || is_raw())
		return 4;
	if (read(STDIN_FILENO, &c, 1) != 1 || c != 's' || read(STDIN_FILENO, &c, 1) != 1)
		return 5;
	/* "fg" of a job that runs says nothing to it. */
	tcsetpgrp(STDIN_FILENO, job);
	if (!becomes_raw(true) || write(master, "f", 1) != 1 || !comes(from[0], 'f'))
		return 6;
	/* It is stopped: not before the terminal is as it was. */
	kill(job, SIGTSTP);
	if (waitpid(job, &status, WUNTRACED) != job || !WIFSTOPPED(status) || is_raw())
		return 7;
	/* "bg", and a key for the shell */
	tcsetpgrp(STDIN_FILENO, getpgrp());
	kill(job, SIGCONT);
	if (write(master, "b\n", 2) != 2)
		return 8;
	usleep(400000);
	if (waitpid(job, &status, WUNTRACED | WNOHANG) || is_raw())
		return 9;
	if (read(STDIN_FILENO, &c, 1) != 1 || c != 'b' || read(STDIN_FILENO, &c, 1) != 1)
		return 10;
	/* Who does not want to hear of it there does not. */
	tcgetattr(slave, &t);
	t.c_lflag = (t.c_lflag | TOSTOP) & ~ECHO;
	tcsetattr(slave, TCSANOW, &t);
	tcflush(master, TCIFLUSH);
	if (write(to[1], "o", 1) != 1 || poll(&p, 1, 300))
		return 20;
	t.c_lflag &= ~TOSTOP;
	tcsetattr(slave, TCSANOW, &t);
	if (!comes(master, 'o'))
		return 21;
	/* Stopped once more, as it is in the background, and "fg" */
	kill(job, SIGTSTP);
	if (waitpid(job, &status, WUNTRACED) != job || !WIFSTOPPED(status))
		return 11;
	tcsetpgrp(STDIN_FILENO, job);
	kill(job, SIGCONT);
	if (!becomes_raw(true) || write(master, "g", 1) != 1 || !comes(from[0], 'g'))
		return 12;
	close(to[1]);
	if (waitpid(job, &status, 0) != job || status || is_raw())
		return 13;
	return 0;
}

START_TEST(tty_job_control)
{
	int status;
	pid_t pid;

	on_pty();
	pid = fork();
	if (!pid)
		_exit(judge_job());
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
}
END_TEST

/* A group without a shell cannot be stopped from the terminal: it stays raw. */
static int judge_orphan(void)
{
	if (setsid() < 0 || ioctl(STDIN_FILENO, TIOCSCTTY, 0))
		return 1;
	terminal_start_raw();
	raise(SIGTSTP);
	if (!is_raw())
		return 2;
	/* As often as it comes. */
	raise(SIGTSTP);
	if (!is_raw())
		return 3;
	terminal_end();
	return is_raw() ? 4 : 0;
}

START_TEST(tty_stop_of_an_orphan)
{
	int status;
	pid_t pid;

	on_pty();
	pid = fork();
	if (!pid)
		_exit(judge_orphan());
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
}
END_TEST

/* Each is undone once, and an error of the caller's stays. */
START_TEST(tty_undone_once)
{
	int flags, null = open("/dev/null", O_RDWR);

	on_pty();
	flags = fcntl(STDOUT_FILENO, F_GETFL) | O_APPEND;
	fcntl(STDOUT_FILENO, F_SETFL, flags);
	signal(SIGCONT, SIG_IGN);
	terminal_set_nonblocking();
	ck_assert_int_eq(fcntl(STDOUT_FILENO, F_GETFL), flags | O_NONBLOCK);
	terminal_restore();
	ck_assert_int_eq(fcntl(STDOUT_FILENO, F_GETFL), flags);
	fcntl(STDOUT_FILENO, F_SETFL, flags | O_NONBLOCK);
	terminal_restore();
	ck_assert(fcntl(STDOUT_FILENO, F_GETFL) & O_NONBLOCK);
	terminal_start_raw();
	ck_assert(is_raw());
	/* Standard input that is gone meanwhile makes an error that nobody sees. */
	dup2(null, STDIN_FILENO);
	errno = EXDEV;
	raise(SIGCONT);
	ck_assert_int_eq(errno, EXDEV);
	terminal_end();
	ck_assert_int_eq(errno, EXDEV);
	ck_assert(signal(SIGCONT, SIG_IGN) == SIG_IGN);
	/* Where there is no terminal, nothing is done, to signals either. */
	signal(SIGCONT, SIG_IGN);
	terminal_start_raw();
	ck_assert(signal(SIGCONT, SIG_IGN) == SIG_IGN);
}
END_TEST

static void on_finish(void *arg)
{
	(void)arg;
	loop_stop(loop);
}

static void *read_late(void *arg)
{
	static char buf[65536 + 10];

	usleep(600000);
	read_exactly(*(int *)arg, buf, 65536 + 9);
	return memcmp(buf + 65536, "last line", 9) ? "lost" : NULL;
}

/* As much as the pipe holds, no faster than the console takes it, which keeps no more of it. */
static void fill_pipe(int fd)
{
	for (int said = 1; said <= 65536; said++) {
		int there = 0;

		console_put(console, 'x');
		while (said % 4096 == 0 && there < said) {
			ck_assert_int_eq(ioctl(fd, FIONREAD, &there), 0);
			usleep(1000);
		}
	}
}

/* The machine has ended, and its reader is late. */
START_TEST(stdout_is_waited_for)
{
	pthread_t reader;
	void *verdict;
	int fds[2];

	ck_assert_int_eq(pipe(fds), 0);
	dup2(fds[1], STDOUT_FILENO);
	dup2(open("/dev/null", O_RDONLY), STDIN_FILENO);
	open_spec("tty");
	fill_pipe(fds[0]);
	say("last line");
	loop_stop(loop);
	pthread_join(thread, NULL);
	pthread_create(&reader, NULL, read_late, &fds[0]);
	ck_assert(console_finish(console, on_finish, NULL));
	ck_assert_int_eq(loop_run(loop), 0);
	ck_assert(!console_finish(console, on_finish, NULL));
	console_close(console);
	pthread_join(reader, &verdict);
	ck_assert_ptr_null(verdict);
}
END_TEST

/* One that leaves is not. */
START_TEST(stdout_goes_while_waited_for)
{
	int fds[2];

	ck_assert_int_eq(pipe(fds), 0);
	dup2(fds[1], STDOUT_FILENO);
	close(fds[1]);
	dup2(open("/dev/null", O_RDONLY), STDIN_FILENO);
	open_spec("tty");
	for (int i = 0; i < 65536 + 10; i++)
		console_put(console, 'x');
	loop_stop(loop);
	pthread_join(thread, NULL);
	ck_assert(console_finish(console, on_finish, NULL));
	close(fds[0]);
	ck_assert_int_eq(loop_run(loop), 0);
	console_close(console);
}
END_TEST

/* Nobody reads the terminal; closing it does not hang, nor does putting. */
START_TEST(tty_stalled)
{
	on_pty();
	open_spec("tty");
	for (int i = 0; i < 200000; i++)
		console_put(console, 'x');
	stop();
	ck_assert(!is_raw());
}
END_TEST

START_TEST(tty_hangs_up)
{
	on_pty();
	signal(SIGHUP, SIG_IGN);
	open_spec("tty");
	dup2(open("/dev/null", O_RDWR), slave);
	close(master);
	usleep(20000);
	say("into the void");
	idle_for_a_while();
	stop();
}
END_TEST

/* Standard input that cannot be polled, that ends, that is a pipe: no busy loop. */
static void idle_with_stdin(int fd)
{
	dup2(fd, STDIN_FILENO);
	dup2(open(path, O_CREAT | O_WRONLY | O_APPEND, 0600), STDOUT_FILENO);
	open_spec("tty");
	say("out");
	usleep(50000);
	idle_for_a_while();
}

START_TEST(stdin_is_dev_null)
{
	idle_with_stdin(open("/dev/null", O_RDONLY));
	ck_assert_uint_eq(taken(), 0);
	stop();
}
END_TEST

START_TEST(stdin_is_a_file)
{
	char name[64];
	int fd;

	snprintf(name, sizeof(name), "%s/in", dir);
	fd = open(name, O_CREAT | O_RDWR, 0600);
	ck_assert_int_eq(write(fd, "\001x commands\n", 12), 12);
	lseek(fd, 0, SEEK_SET);
	room = 3;
	idle_with_stdin(fd);
	unlink(name);
	/* Not typed: no key in it. It waits for room as all input does. */
	ck_assert_uint_eq(taken(), 3);
	ck_assert_uint_eq(quits, 0);
	make_room(100);
	expect_input("\001x commands\n");
	stop();
}
END_TEST

START_TEST(stdin_is_a_pipe)
{
	struct stat st;
	int fds[2];

	ck_assert_int_eq(pipe(fds), 0);
	ck_assert_int_eq(write(fds[1], "hello", 5), 5);
	close(fds[1]);
	idle_with_stdin(fds[0]);
	expect_input("hello");
	stop();
	/* Output was appended to the file that was already open, not written over it. */
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_int_eq(st.st_size, 3);
}
END_TEST

START_TEST(stdout_is_an_open_file)
{
	char buf[64];
	int fd = open(path, O_CREAT | O_RDWR, 0600);

	ck_assert_int_eq(write(fd, "before ", 7), 7);
	dup2(open("/dev/null", O_RDONLY), STDIN_FILENO);
	dup2(fd, STDOUT_FILENO);
	open_spec("tty");
	say("after");
	stop();
	ck_assert_int_eq(pread(fd, buf, sizeof(buf), 0), 12);
	ck_assert_mem_eq(buf, "before after", 12);
	close(fd);
}
END_TEST

START_TEST(standard_descriptors_closed)
{
	dup2(open("/dev/null", O_WRONLY), STDOUT_FILENO);
	close(STDIN_FILENO);
	open_spec("tty");
	say("x");
	stop();
	close(STDOUT_FILENO);
	open_spec("tty");
	say("x");
	stop();
}
END_TEST

int main(void)
{
	Suite *s = suite_create("console_tty");
	TCase *t = tcase_create("tty");

	tcase_set_timeout(t, 60);
	tcase_add_checked_fixture(t, set_up, tear_down);
	tcase_add_test(t, tty_raw_and_back);
	tcase_add_test(t, tty_keys);
	tcase_add_test(t, tty_keys_when_input_is_full);
	tcase_add_test(t, tty_restored_from_outside);
	tcase_add_test(t, tty_in_the_background);
	tcase_add_test(t, tty_job_control);
	tcase_add_test(t, tty_stop_of_an_orphan);
	tcase_add_test(t, tty_undone_once);
	tcase_add_test(t, tty_stalled);
	tcase_add_test(t, tty_hangs_up);
	tcase_add_test(t, stdin_is_dev_null);
	tcase_add_test(t, stdin_is_a_file);
	tcase_add_test(t, stdin_is_a_pipe);
	tcase_add_test(t, stdout_is_an_open_file);
	tcase_add_test(t, standard_descriptors_closed);
	tcase_add_test(t, stdout_is_waited_for);
	tcase_add_test(t, stdout_goes_while_waited_for);
	suite_add_tcase(s, t);
	return suite_run(s);
}
