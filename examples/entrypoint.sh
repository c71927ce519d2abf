#!/bin/sh
# An entrypoint that prepares a volume as root and then becomes the application, with capshim
# where such scripts have gosu or su-exec. Granted: CHOWN for this script, and what capshim
# needs.
#
#   ENTRYPOINT ["/entrypoint.sh"]
#   CMD ["my-server"]
set -eu
chown 1000:1000 /data
exec /capshim "$@"
