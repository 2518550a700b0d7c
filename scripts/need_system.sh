#!/usr/bin/env sh
# The tests talk to a real Redis server. Installs Debian's where that is possible, else says how.
set -eu
command -v redis-server >/dev/null && exit 0
if command -v apt-get >/dev/null && [ "$(id -u)" = 0 ]; then
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends redis-server >/dev/null
    exit 0
fi
echo "The tests need redis-server: apt install redis-server, or brew install redis" >&2
exit 1
