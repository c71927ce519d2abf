/* What any program costs that only executes another: exec_only COMMAND [ARG...] */
#include <unistd.h>

extern char **environ;

int main(int argc, char **argv)
{
	if (argc > 1)
		execve(argv[1], argv + 1, environ);
	return 1;
}
