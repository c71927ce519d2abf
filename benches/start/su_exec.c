/* A stand-in for su-exec, which Debian does not have: it makes the same calls of libc in the
 * same order, which is what such a program's time depends on, and is for measuring only.
 *
 *     su_exec USER COMMAND [ARG...]
 */
#define _GNU_SOURCE
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	struct passwd *user;
	gid_t *groups = NULL;
	int count = 0;

	if (argc < 3 || !(user = getpwnam(argv[1])))
		return 1;
	setenv("HOME", user->pw_dir, 1);
	/* The first call tells how many there are. */
	while (getgrouplist(user->pw_name, user->pw_gid, groups, &count) < 0)
		if (!(groups = realloc(groups, count * sizeof *groups)))
			return 1;
	if (setgroups(count, groups) || setgid(user->pw_gid) || setuid(user->pw_uid))
		return 1;
	execvp(argv[2], argv + 2);
	return 1;
}
