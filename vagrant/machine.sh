# What nspawn.sh and qemu.sh have in common, sourced by them: they set NAME, PLACE, ROOT and
# CHECKOUT, and have a function clean_up.
# shellcheck shell=bash

# The program that was started and not waited for.
running=

step() { printf '\n=====> %s\n' "$*"; }
die() { printf ' !     %s\n' "$*" >&2; exit 1; }

usage() { sed -n '2,/^set -/{/^set -/d;s/^# \{0,1\}//;p}' "$0"; }

# -- processes: all end with this one --------------------------------------------------------------

# Starts a program that is killed with this one, and has no lock of it; its process is $running.
start() {
    setpriv --pdeathsig KILL "$@" 9>&- &
    running=$!
}

# Waits for its end. A signal ends a wait, and thus this script, at once.
finish() {
    local code=0
    wait "$running" || code=$?
    running=
    return $code
}

# Runs a program to its end.
run() {
    start "$@"
    finish
}

# Ends what runs, if anything does, by its own way, if it has one: mmdebstrap unmounts.
end_running() {
    trap '' INT TERM HUP
    if [ -n "$running" ]; then
        kill "$running" 2>/dev/null || true
        wait "$running" || true
    fi
}

# Goes on alone: removes what one that was killed has left, and what this one leaves at its end.
alone() {
    exec 9>"/run/lock/${PLACE##*/}.lock"
    flock -n 9 || die "Another one runs"
    clean_up
    trap clean_up EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
    mkdir -p "$PLACE"
}

# -- the machine's files ---------------------------------------------------------------------------

# Its name, the host's authorities and settings of pip, and this checkout.
furnish() {
    echo "$NAME" >"$ROOT/etc/hostname"
    printf '127.0.0.1 localhost\n127.0.1.1 %s\n' "$NAME" >"$ROOT/etc/hosts"
    find /usr/local/share/ca-certificates -name '*.crt' \
        -exec cp -t "$ROOT/usr/local/share/ca-certificates" {} +
    if [ -e /etc/pip.conf ]; then cp /etc/pip.conf "$ROOT/etc"; fi
    mkdir -p "$ROOT$CHECKOUT"
    tar -c --exclude=./.git --exclude=./.venv --exclude=.vagrant --exclude='.*_cache' \
        --exclude=__pycache__ . | tar -x --no-same-owner -C "$ROOT$CHECKOUT"
}
