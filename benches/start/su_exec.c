/* A stand-in for su-exec, which Debian does not have: it makes the same calls of libc in the
 * same order, which is what such a program's time depends on, and is for measuring only.
 *
 *     su_exec USER|UID:GID COMMAND [ARG...]
 */
#define _GNU_SOURCE
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	struct passwd *user;
	gid_t *groups = NULL, gid;
	int count = 0;
	char *group;

	if (argc < 3)
		return 1;
	group = strchr(argv[1], ':');
	user = group ? getpwuid(strtol(argv[1], NULL, 10)) : getpwnam(argv[1]);
	if (!user)
		return 1;
	setenv("HOME", user->pw_dir, 1);
	gid = group ? (gid_t)strtol(group + 1, NULL, 10) : user->pw_gid;
	if (group) {
		groups = &gid;
		count = 1;
	} else {
		/* The first call tells how many there are. */
		while (getgrouplist(user->pw_name, gid, groups, &count) < 0)
			if (!(groups = realloc(groups, count * sizeof *groups)))
				return 1;
	}
	if (setgroups(count, groups) || setgid(gid) || setuid(user->pw_uid))
		return 1;
	execvp(argv[2], argv + 2);
	return 1;
}
