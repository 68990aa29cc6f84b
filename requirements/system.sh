#!/bin/sh
# Installs what the tests need beside Python: ffmpeg, ffprobe, redis-server, bubblewrap, two proxies, a browser, a
# clock that can be set, and the shells that complete commands.
# Where they are, it does nothing.
#
#   system.sh BIN      BIN is the virtual environment's bin folder
#
# Debian's packages of servers start services that nobody asked for. Meanwhile policy-rc.d forbids it. redis-tools
# holds the redis-server program under another name; that one is linked into the virtual environment.
set -eu

bin=$1
PATH="$bin:$PATH:/usr/sbin"
policy=/usr/sbin/policy-rc.d

there() { command -v "$1" >/dev/null 2>&1; }

link_redis() {
    if ! there redis-server && there redis-check-rdb; then
        ln -s "$(command -v redis-check-rdb)" "$bin/redis-server"
    fi
}

missing() {
    for tool in ffmpeg ffprobe redis-server bwrap haproxy nginx chromium faketime zsh fish; do
        there "$tool" || printf '%s ' "$tool"
    done
}

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

apt() {
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq "$@" </dev/null
}

get() { # get PROGRAM PACKAGE
    there "$1" || apt install --yes --no-install-recommends "$2"
}

give_up() {
    echo "The tests need programs that are missing here: $(missing)" >&2
    echo "$1" >&2
    exit 1
}

link_redis
[ -z "$(missing)" ] && exit 0
packages='ffmpeg redis-tools bubblewrap haproxy nginx-light chromium faketime zsh fish'
there apt-get || give_up "Install them and try again (Debian calls them: $packages)."
[ "$(id -u)" = 0 ] || there sudo || give_up "As root: apt-get install $packages. Then try again."

echo "Installing with apt: $(missing)"
if [ ! -e $policy ]; then
    trap 'as_root rm -f $policy' EXIT
    printf '#!/bin/sh\nexit 101\n' | as_root tee $policy >/dev/null
    as_root chmod +x $policy
fi
apt update
get ffmpeg ffmpeg
get ffprobe ffmpeg
get redis-server redis-tools
get bwrap bubblewrap
get haproxy haproxy
get nginx nginx-light
get chromium chromium
get faketime faketime
get zsh zsh
get fish fish
link_redis
[ -z "$(missing)" ] || give_up 'apt ran, and they are still missing. Install them by hand and try again.'
