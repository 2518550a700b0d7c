#!/usr/bin/env sh
# The tests talk to a real Redis server, to a llama-server that is built once, and run the widgets'
# code under node. Installs Debian's packages where that is possible, else says what is missing.
set -eu
missing=""
command -v redis-server >/dev/null || missing="$missing redis-server"
command -v cmake >/dev/null || missing="$missing cmake"
command -v c++ >/dev/null || missing="$missing g++"
command -v node >/dev/null || missing="$missing nodejs"
[ -n "$missing" ] || exit 0
if command -v apt-get >/dev/null && [ "$(id -u)" = 0 ]; then
    apt-get update -qq
    # shellcheck disable=SC2086
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
    exit 0
fi
echo "The tests need$missing: install them with apt, brew or the like" >&2
exit 1
