/* The application of the measurements: it ends at once and says by its exit code who it is.
 * Told to wait, it says that it runs and waits for the end of its standard input. */
#include <unistd.h>

int main(int argc, char **argv)
{
	char byte = '\n';

	if (argc > 1 && argv[1][0] == 'w') {
		if (write(1, &byte, 1) != 1)
			return 1;
		while (read(0, &byte, 1) > 0)
			;
	}
	return getuid() == 0 ? 10 : 11;
}
