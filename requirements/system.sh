#!/bin/sh
# Installs what the tests need beside Python: ffmpeg, ffprobe, redis-server, bubblewrap and a browser, chromium.
# Where they are, it does nothing.
#
#   system.sh BIN      BIN is the virtual environment's bin folder
#
# Debian's redis-server package starts a service that nobody asked for. Its redis-tools holds the same program under
# another name and no service, so that one is installed and linked into the virtual environment.
set -eu

bin=$1
PATH="$bin:$PATH"

there() { command -v "$1" >/dev/null 2>&1; }

link_redis() {
    if ! there redis-server && there redis-check-rdb; then
        ln -s "$(command -v redis-check-rdb)" "$bin/redis-server"
    fi
}

missing() {
    for tool in ffmpeg ffprobe redis-server bwrap chromium; do
        there "$tool" || printf '%s ' "$tool"
    done
}

apt() {
    if [ "$(id -u)" = 0 ]; then
        DEBIAN_FRONTEND=noninteractive apt-get -qq "$@" </dev/null
    else
        sudo env DEBIAN_FRONTEND=noninteractive apt-get -qq "$@"
    fi
}

give_up() {
    echo "The tests need programs that are missing here: $(missing)" >&2
    echo "$1" >&2
    exit 1
}

link_redis
[ -z "$(missing)" ] && exit 0
there apt-get || give_up 'Install them and try again (on macOS: brew install ffmpeg redis chromium).'
[ "$(id -u)" = 0 ] || there sudo || give_up 'As root: apt-get install ffmpeg redis-tools chromium. Then try again.'

echo "Installing with apt: $(missing)"
apt update
there ffmpeg && there ffprobe || apt install --yes --no-install-recommends ffmpeg
there redis-server || apt install --yes --no-install-recommends redis-tools
there bwrap || apt install --yes --no-install-recommends bubblewrap
there chromium || apt install --yes --no-install-recommends chromium
link_redis
[ -z "$(missing)" ] || give_up 'apt ran, and they are still missing. Install them by hand and try again.'
