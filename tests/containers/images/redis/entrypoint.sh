#!/bin/sh
# As the official image does: options alone are the server's, root becomes `redis`, and other containers may connect.
set -e
case $1 in
    -* | *.conf) set -- redis-server "$@" ;;
esac
if [ "$1" = redis-server ]; then
    shift
    set -- redis-server "$@" --protected-mode no
    if [ "$(id -u)" = 0 ]; then
        chown -R redis /data
        set -- setpriv --reuid=redis --regid=redis --clear-groups "$@"
    fi
fi
exec "$@"
