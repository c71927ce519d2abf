/* Every system call that capshim makes in the benchmark's starts, in the same order and with the same
 * arguments, and nothing else: what a start would take if capshim's own code took no time.
 *
 *     own_calls root|user|init COMMAND [ARG...]
 *
 * It is no shim: the ids and capabilities are those of the benchmark, and no error is looked at. The
 * benchmark compares the calls of both programs before it measures.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

enum { ID = 1000, CHOWN = 0, SETGID = 6, SETUID = 7, IPC_LOCK = 14 };

/* The sets as capset(2) takes them. */
#define ASKED (1u << IPC_LOCK)
#define GRANTED (ASKED | 1u << SETGID | 1u << SETUID)

struct data { uint32_t effective, permitted, inheritable; };
/* struct __user_cap_header_struct and struct open_how, which musl does not have. */
struct header { uint32_t version; int pid; };
struct how { uint64_t flags, mode, resolve; };
/* A signal set of the kernel's. */
static const uint64_t ALL = ~0ull;

static struct header header(void)
{
	return (struct header){ 0x20080522, 0 };
}

static void capset(uint32_t effective, uint32_t permitted, uint32_t inheritable)
{
	struct header version_3 = header();
	struct data data[2] = { { effective, permitted, inheritable } };

	syscall(SYS_capset, &version_3, data);
}

static void observe(unsigned long ambient)
{
	struct header version_3 = header();
	struct data data[2];
	uid_t ids[3];
	gid_t groups[64];

	syscall(SYS_capget, &version_3, data);
	prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, ambient, 0, 0);
	getresuid(ids, ids + 1, ids + 2);
	getresgid(ids, ids + 1, ids + 2);
	getgroups(64, groups);
	prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0);
	prctl(PR_GET_SECUREBITS, 0, 0, 0, 0);
}

static void read_accounts(const char *path)
{
	struct how how = { O_RDONLY | O_NOCTTY | O_NONBLOCK | O_CLOEXEC, 0, 1 /* RESOLVE_NO_XDEV */ };
	int file = syscall(SYS_openat2, AT_FDCWD, path, &how, sizeof how);
	struct stat status;
	char text[2048];

	fstat(file, &status);
	while (read(file, text, sizeof text) > 0)
		;
	close(file);
}

static void share_pipe(int fd)
{
	struct stat status;
	struct statfs system;

	fstat(fd, &status);
	/* Started by hand, it must not change a terminal or /dev/null. */
	if (!S_ISFIFO(status.st_mode))
		return;
	fstatfs(fd, &system);
	fcntl(fd, F_GETFL);
	fchown(fd, -1, ID);
	fchmod(fd, 0620);
}

static void change_ids(void)
{
	gid_t groups[] = { 29, ID, 2000 };
	struct stat status;

	prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0);
	syscall(SYS_setgroups, 3, groups);
	syscall(SYS_setresgid, ID, ID, ID);
	fstat(0, &status);
	share_pipe(1);
	share_pipe(2);
	syscall(SYS_setresuid, ID, ID, ID);
}

static void set_capabilities(void)
{
	capset(ASKED, ASKED, ASKED);
	prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, IPC_LOCK, 0, 0);
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	observe(IPC_LOCK);
}

static void look_at(const char *command)
{
	struct stat status;
	char head[256], value[64];
	int file;

	syscall(SYS_faccessat2, AT_FDCWD, command, X_OK, AT_EACCESS);
	stat(command, &status);
	file = openat(AT_FDCWD, command, O_RDONLY | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
	read(file, head, sizeof head);
	close(file);
	stat(command, &status);
	getxattr(command, "security.capability", value, sizeof value);
}

static void close_and_look(int fd)
{
	close(fd);
	fcntl(fd, F_GETFD);
}

static void block(int how, const uint64_t *set, uint64_t *before)
{
	syscall(SYS_rt_sigprocmask, how, set, before, sizeof ALL);
}

/* The end of init mode's parent, which keeps the pipes' ends 3 and 6. */
static int wait_for(pid_t child)
{
	static const uint64_t none;
	struct timespec at_once = { 0, 0 };
	struct stat status;
	siginfo_t info;
	char byte;
	pid_t group;

	close_and_look(4);
	close_and_look(5);
	read(3, &byte, 1);
	close_and_look(3);
	capset(0, 0, 0);
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	observe(CHOWN);
	prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
	prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
	syscall(SYS_rt_sigtimedwait, &none, &info, &at_once, sizeof none);
	syscall(SYS_waitid, P_PID, child, &info, WNOHANG | WEXITED | WNOWAIT, 0);
	setpgid(child, child);
	fstat(0, &status);
	getpgid(0);
	ioctl(0, TIOCGPGRP, &group);
	getpgid(0);
	chdir("/");
	syscall(SYS_close_range, 3, 5, 0);
	syscall(SYS_close_range, 7, INT_MAX, 0);
	write(6, "G", 1);
	close_and_look(6);
	syscall(SYS_rt_sigtimedwait, &ALL, &info, 0, sizeof ALL);
	syscall(SYS_waitid, P_ALL, 0, &info, WNOHANG | WEXITED | WSTOPPED, 0);
	getpgid(0);
	fstat(0, &status);
	ioctl(0, TIOCGPGRP, &group);
	openat(AT_FDCWD, "/dev/tty", O_RDONLY | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
	return info.si_status;
}

int main(int argc, char **argv)
{
	int user = argv[1][0] == 'u', init = argv[1][0] == 'i';
	char **command = argv + 2, byte;
	uint64_t before;
	int ends[2];
	pid_t child;

	if (init)
		block(SIG_BLOCK, &ALL, &before);
	observe(CHOWN);
	read_accounts("/etc/passwd");
	if (!user)
		read_accounts("/etc/group");
	pipe2(ends, O_CLOEXEC);
	fchown(ends[0], UINT_MAX - 1, -1);
	close(ends[0]);
	close(ends[1]);
	if (init)
		getpid();
	if (user) {
		capset(ASKED, ASKED, 0);
	} else {
		capset(GRANTED, GRANTED, 0);
		change_ids();
	}
	if (init) {
		pipe2(ends, O_CLOEXEC);
		pipe2(ends, O_CLOEXEC);
		signal(SIGCHLD, SIG_DFL);
		getpid();
		child = fork();
		if (child)
			return wait_for(child);
		close_and_look(3);
		close_and_look(6);
	}
	set_capabilities();
	if (init)
		getpid();
	look_at(command[0]);
	if (init) {
		write(4, "R", 1);
		close_and_look(4);
		read(5, &byte, 1);
		read(5, &byte, 1);
		close_and_look(5);
		block(SIG_SETMASK, &before, &before);
	}
	/* The application does not get capshim's own variables, which are the last ones here. */
	for (char **entry = environ; *entry; entry++)
		if (!strncmp(*entry, "CAPSHIM_", 8))
			*entry = 0;
	execve(command[0], command, environ);
	return argc;
}
