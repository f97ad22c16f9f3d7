# shellcheck shell=bash
# Sourced by bin/dependencies and bin/compile: the packages of the Aptfile, unpacked below
# .apt. They are not installed: that takes root, and the app's processes are none.
# A second call finds it done.

refuse() {
    printf ' !     %s\n' "$1" >&2
    shift
    [ $# -eq 0 ] || printf '       %s\n' "$@" >&2
    exit 1
}

# Prints the lines of the Aptfile that begin with $1, without it; of '' the packages.
lines_of() {
    sed -e 's/\r$//' -e 's/[[:space:]]*#.*//' -e '/^[[:space:]]*$/d' Aptfile |
        if [ -n "$1" ]; then sed -n "s|^$1[[:space:]]*||p"; else grep -v '^:repo:' || true; fi
}

check_lines() {
    local line
    while IFS= read -r line; do
        [[ $line =~ ^(https?://[^[:space:]]+\.deb|[a-z0-9][a-z0-9+.:~-]+(=[A-Za-z0-9.+:~-]+)?)$ ]] ||
            refuse "Aptfile: '$line' is neither a package nor the URL of one" \
                "Write one name a line, name=version, or the URL of a .deb file."
    done < <(lines_of '')
}

# apt(8) with a state of its own, which knows what the image of apps has, not that of builds.
apt_here() {
    apt-get -qq -o Dir::State="$state" -o Dir::State::status=/opt/paas/stack.status \
        -o Dir::Cache="$state/cache" -o Dir::Etc::SourceList="$state/sources.list" \
        -o Debug::NoLocking=1 -o APT::Install-Recommends=false -o Dpkg::Use-Pty=0 "$@"
}

# Usage: install_packages BUILD_DIR
install_packages() {
    local stamp names=() urls=() line
    cd "$1" || return
    stamp=$(sha256sum Aptfile)
    if [ "$stamp" = "$(cat .apt/.installed 2>/dev/null || true)" ]; then return 0; fi
    check_lines
    state=$(mktemp -d)
    mkdir -p "$state"/{lists/partial,cache/archives/partial} .apt
    lines_of :repo: >"$state/sources.list"
    while IFS= read -r line; do
        case $line in http*) urls+=("$line") ;; *) names+=("$line") ;; esac
    done < <(lines_of '')
    if [ ${#names[@]} -gt 0 ]; then
        echo "-----> Fetching ${names[*]} and what they need"
        apt_here update || refuse "The package lists could not be fetched"
        apt_here install --download-only -y "${names[@]}" || refuse \
            "A package of the Aptfile cannot be had" "Its name has to be Debian's."
    fi
    for line in "${urls[@]}"; do
        echo "-----> Fetching $line"
        curl -fsSL --retry 2 -o "$state/cache/archives/$(printf %s "$line" | sha256sum | cut -c 1-16).deb" \
            "$line" || refuse "$line could not be fetched"
    done
    for line in "$state"/cache/archives/*.deb; do
        [ -f "$line" ] || continue
        dpkg-deb --extract "$line" .apt || refuse "${line##*/} is no package of Debian's"
    done
    # Absolute paths in pkg-config files lead to where it would have been installed.
    find .apt -name '*.pc' -exec sed -i "s|=/usr|=/app/.apt/usr|" {} +
    rm -rf "$state" .apt/usr/share/{doc,man,lintian}
    echo "       $(find .apt -type f | wc -l) files below .apt"
    printf '%s' "$stamp" >.apt/.installed
}
