#!/usr/bin/env bash
# Installs what the tests need on this machine, then runs them: all rings, or what the
# arguments say (they go to pytest).
#
#   sudo ./test.sh                        all rings; of what takes turns (tests/turns.py) some
#   sudo ./test.sh --all                  everything
#   sudo ./test.sh tests/push -k rollback
#   sudo ./test.sh --no-install tests/unit
#   sudo ./test.sh --bench [NAME]         the measurements in tests/bench instead
#   sudo ./test.sh --buildah SUITE        unpack another buildah to compare images with
#   sudo ./test.sh --docker               compare images with those of docker too
#
# The checkout stays as it is: the Python environment and all caches are in /var/cache (of a
# user who is not root: ~/.cache).
set -euo pipefail
cd "$(dirname "$0")"

if [ "$(id -u)" = 0 ]; then cache=/var/cache/paas-test; else cache=${XDG_CACHE_HOME:-$HOME/.cache}/paas-test; fi
readonly CACHE=${PAAS_TEST_CACHE:-$cache}
# Debian's own Python: the one the server runs, not what a version manager puts on PATH.
readonly PYTHON=/usr/bin/python3

say() { printf -- '-----> %s\n' "$*"; }
die() { printf ' !     %s\n' "$*" >&2; exit 1; }

# The names of packages that are not installed, of those given.
missing() {
    local name
    for name in "$@"; do
        [ "$(dpkg-query -W -f '${db:Status-Status}' "$name" 2>/dev/null)" = installed ] ||
            printf '%s\n' "$name"
    done
}

# Of the packages given, those that this release of the distribution has.
available() {
    apt-cache madison "$@" 2>/dev/null | awk '{ print $1 }' | sort -u
}

# Services of test packages stay down: a test starts its own, with its own configuration.
with_services_down() {
    local policy=/usr/sbin/policy-rc.d
    if [ -e "$policy" ]; then "$@"; return; fi
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
    trap 'rm -f /usr/sbin/policy-rc.d' EXIT
    "$@"
    rm -f "$policy"
    trap - EXIT
}

install_packages() {
    local wanted
    mapfile -t wanted < <(
        ./install.sh --packages
        grep -v '^#' tests/packages.txt
    )
    mapfile -t wanted < <(missing "${wanted[@]}")
    [ ${#wanted[@]} -gt 0 ] || return 0
    apt-get update -qq
    mapfile -t wanted < <(available "${wanted[@]}")
    [ ${#wanted[@]} -gt 0 ] || return 0
    say "Installing ${wanted[*]}"
    DEBIAN_FRONTEND=noninteractive with_services_down \
        apt-get install -y -qq --no-install-recommends "${wanted[@]}" </dev/null >"$CACHE/apt.log" 2>&1 ||
        { tail -n 30 "$CACHE/apt.log" >&2; die "apt-get failed; all of it is in $CACHE/apt.log"; }
}

# Docker is only unpacked: its daemon, once installed, would start with the machine and change
# the firewall. The tests run one of their own.
unpack_docker() {
    local folder=$CACHE/docker wanted
    [ ! -e "$folder/complete" ] || return 0
    mapfile -t wanted < <(available docker.io containerd docker-cli docker-buildx)
    say "Unpacking ${wanted[*]}"
    rm -rf "$folder"
    mkdir -p "$folder/packages"
    (cd "$folder/packages" && apt-get download -qq -o APT::Sandbox::User=root "${wanted[@]}")
    for package in "$folder"/packages/*.deb; do dpkg-deb -x "$package" "$folder"; done
    rm -rf "$folder/packages"
    touch "$folder/complete"
}

# The buildah of Debian 13 knows more of the Dockerfile than that of an older host: unpacked with
# all that it needs, to be run in a chroot. The suite can be a newer one, for a comparison by hand.
unpack_buildah() {
    local folder=$CACHE/buildah-$1 name
    [ ! -e "$folder/complete" ] || return 0
    say "Unpacking the buildah of $1"
    rm -rf "$folder"
    # The index of a suite that is not frozen may be older than it says it may be.
    mmdebstrap --quiet --variant=extract --mode=root --include=buildah,netavark \
        --aptopt='Acquire::Check-Valid-Until "false"' "$1" "$folder"
    for name in bin sbin lib lib64; do
        [ -e "$folder/$name" ] || ln -s "usr/$name" "$folder/$name"
    done
    mkdir -p "$folder"/{proc,sys,dev,tmp,var/tmp}
    printf 'root:x:0:0:root:/root:/bin/sh\n' >"$folder/etc/passwd"
    printf 'root:x:0:\n' >"$folder/etc/group"
    touch "$folder/complete"
}

# One environment per lock and Python. A venv cannot be renamed into place, so its last file
# says that it is whole.
environment() {
    local key venv pip
    key=$({ "$PYTHON" --version; cat requirements-*.lock; } | sha256sum | cut -c1-12)
    venv=$CACHE/venv-$key
    if [ ! -e "$venv/complete" ]; then
        say "Making the Python environment $venv" >&2
        rm -rf "$venv"
        "$PYTHON" -m venv "$venv" >&2
        pip=("$venv/bin/pip" -q --disable-pip-version-check --no-input install --require-hashes)
        # Without build isolation, as in install.sh: what pip makes for itself knows no hashes.
        "${pip[@]}" -r requirements-build.lock >&2
        "${pip[@]}" --no-build-isolation -r requirements-dev.lock >&2
        touch "$venv/complete"
    fi
    printf '%s\n' "$venv"
}

# The number of commits, as far as they are here; without any, all take part.
turn() {
    local commits
    commits=$(git -c safe.directory='*' rev-list --count HEAD 2>/dev/null) || return 0
    export PAAS_TEST_TURN=$commits
}

main() {
    local install=yes
    if [ "${1:-}" = --no-install ]; then install=no; shift; fi
    if [ "$(id -u)" != 0 ]; then
        [ "$install" = no ] || die "Run it as root: sudo ./test.sh (or --no-install tests/unit)"
    fi
    mkdir -p "$CACHE"
    if [ "$install" = yes ]; then install_packages; unpack_docker; unpack_buildah trixie; fi
    if [ "${1:-}" = --buildah ]; then unpack_buildah "$2"; return; fi
    local venv
    venv=$(environment)
    # Caches of tools would be root's in a checkout that is somebody else's.
    export PYTHONDONTWRITEBYTECODE=1 RUFF_CACHE_DIR=$CACHE/ruff MYPY_CACHE_DIR=$CACHE/mypy
    export PAAS_TEST_CACHE=$CACHE PATH=$venv/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
    if [ "${1:-}" = --bench ]; then
        shift
        exec "$venv/bin/python" -m tests.bench "$@"
    fi
    if [ "${1:-}" = --docker ]; then
        shift
        export PAAS_TEST_DOCKER=yes
        set -- -q tests/engine/build/test_build_differential.py "$@"
    fi
    # Most of a push is waiting: three files at a time keep two processors busy. In the order of
    # the folders: the unit tests, of which none is long, fill what is left at the end.
    local rings=(-n 3 --dist loadfile --no-loadscope-reorder)
    case ${1:-} in
        '') turn; set -- "${rings[@]}" ;;
        --all) shift; set -- "${rings[@]}" "$@" ;;
    esac
    exec "$venv/bin/python" -m pytest -o cache_dir="$CACHE/pytest" "$@"
}

main "$@"
