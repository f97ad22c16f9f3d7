#!/usr/bin/env bash
# Makes a PaaS of this machine: a fresh Debian 12, Debian 13 or Ubuntu 24.04. Run it again to
# upgrade in place; that touches no running app.
#
#   sudo ./install.sh [OPTION...]
#
#   --domain DOMAIN    apps are served at <app>.DOMAIN; point *.DOMAIN at this machine.
#                      Without it: ADDRESS.sslip.io, names of a public DNS service that answers
#                      with the address in the name, so that they work with no set-up at all
#   --key FILE         the SSH public key to let in (default: the keys of who runs this)
#   --http-port PORT   where the proxy listens (default: 80)
#   --no-demo          do not push the sample app
#   --stage            only build the program beside the one in use; paas upgrade uses it
#   --allow-firewall   let this machine's firewall pass what apps send to the internet, from now
#                      on (paas up --no-allow-firewall takes it back)
#   --uninstall        remove the program; keep all data
#   --purge            remove everything, all data included
#   --root DIR         where the data is (default: /var/lib/paas); another one makes a second
#                      PaaS beside the first, with its program and its command in DIR.program
#   --packages         print the distribution packages it needs, and do nothing
set -Eeuo pipefail
umask 022
# Debian's su leaves its caller's, in which administration has no programs.
export PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
cd "$(dirname "$(readlink -f "$0")")"

# One a line. tini and catatonit: the first init of a container that is there is used.
readonly PACKAGES="ca-certificates catatonit conmon conntrack crun curl debian-archive-keyring
dnsmasq-base e2fsprogs git gpgv iproute2 kmod libnftables1 libnginx-mod-stream mmdebstrap nftables nginx
openssh-client openssh-server python3 python3-venv runc skopeo tini tzdata"
# What the program is built from; its versions are named after the digest of it.
readonly SOURCES=(paas buildpacks plugins proxy hooks pyproject.toml setup.py README.md)
readonly NEEDED_MIB=4096
readonly APT_PATIENCE_S=900
readonly DEFAULT_ROOT=/var/lib/paas
readonly DEMO_APP=hello
# Asked before a service of a new package is started (invoke-rc.d(8)); tests have one of their own.
readonly POLICY=${PAAS_POLICY_RC_D:-/usr/sbin/policy-rc.d}
readonly POLICY_MARK="# Of install.sh of paas: while packages are installed, no service is started."

root=$DEFAULT_ROOT
domain=
key=
http_port=
demo=yes
firewall=no
action=install
scratch=
unfinished=

step() { printf -- '-----> %s\n' "$*"; }
result() { printf -- '=====> %s\n' "$*"; }
detail() { printf -- '       %s\n' "$*"; }
warn() { printf -- ' !     %s\n' "$*" >&2; }
die() { warn "$@"; exit 1; }

# -- what was asked for -----------------------------------------------------------------------

usage() { sed -n '2,/^set -/{/^set -/d;s/^# \{0,1\}//;p}' "$0"; }

value() { [ -n "${2:-}" ] || die "$1 needs a value. See ./install.sh --help"; }

read_options() {
    while [ $# -gt 0 ]; do
        case $1 in
            --domain) value "$@"; domain=$2; shift ;;
            --key) value "$@"; key=$(readlink -f -- "$2"); shift ;;
            --http-port) value "$@"; http_port=$2; shift ;;
            --root) value "$@"; root=$(readlink -m -- "$2"); shift ;;
            --no-demo) demo=no ;;
            --stage) action=stage ;;
            --allow-firewall) firewall=yes ;;
            --uninstall) action=uninstall ;;
            --purge) action=purge ;;
            --packages) action=packages ;;
            --help | -h) usage; exit 0 ;;
            *) die "There is no option $1. See ./install.sh --help" ;;
        esac
        shift
    done
    if [ "$root" = "$DEFAULT_ROOT" ]; then
        program=/usr/lib/paas
        command=/usr/local/bin/paas
        paas=("$command")
    else
        program=$root.program
        command=$program/paas
        paas=("$command" --root "$root")
    fi
}

packages() { tr ' ' '\n' <<<"$PACKAGES"; }

# -- can this machine serve? Looks only; nothing is changed before all of it has passed ----------

check_machine() {
    [ "$(id -u)" = 0 ] || die "Run it as root: sudo ./install.sh"
    check_distribution
    check_kernel
    check_file_system
    check_options
    check_port
}

check_distribution() {
    local id version
    id=$(os_release ID)
    version=$(os_release VERSION_ID)
    case $id-$version in
        debian-12 | debian-13 | ubuntu-24.04) ;;
        *) die "This is ${id:-an unknown system} $version; Debian 12, Debian 13 and Ubuntu 24.04 are supported" ;;
    esac
    case $(uname -m) in
        x86_64 | aarch64) ;;
        *) die "This is a $(uname -m) machine; x86-64 and arm64 are supported" ;;
    esac
}

# os-release(5): NAME=value, perhaps quoted.
os_release() { sed -n "s/^$1=//p" /etc/os-release 2>/dev/null | tr -d "\"'" || true; }

check_kernel() {
    local release major minor
    release=$(uname -r)
    IFS=.- read -r major minor _ <<<"$release"
    [ $((major * 1000 + minor)) -ge 5019 ] ||
        die "The kernel is $release; 5.19 or newer is needed (overlayfs over idmapped mounts)"
    # Where nothing loads modules yet, it is looked for behind the packages.
    ! command -v modprobe >/dev/null || check_overlay
    [ "$(cat /proc/sys/user/max_user_namespaces 2>/dev/null || echo 0)" != 0 ] ||
        die "The kernel has user namespaces switched off (sysctl user.max_user_namespaces)"
}

check_overlay() {
    grep -qw overlay /proc/filesystems || modprobe -q overlay ||
        die "The kernel has no overlayfs, which images are made of"
}

check_file_system() {
    local place=$root kind free
    while [ ! -d "$place" ]; do place=$(dirname "$place"); done
    kind=$(stat -f -c %T "$place")
    case $kind in
        ext2/ext3 | xfs | btrfs | f2fs | tmpfs) ;;
        *) die "$place is on $kind, which has no idmapped mounts; use --root on ext4, xfs or btrfs" ;;
    esac
    free=$(df -Pm "$place" | awk 'NR == 2 { print $4 }')
    [ -d "$root" ] || [ "$free" -ge $NEEDED_MIB ] ||
        die "$free MiB are free at $place; $NEEDED_MIB MiB are needed for the stack and a build"
}

check_options() {
    [ -z "$http_port" ] || { [[ $http_port =~ ^[0-9]{1,5}$ ]] && [ "$http_port" -ge 1 ] && [ "$http_port" -le 65535 ]; } ||
        die "$http_port is not a port"
    [[ $root =~ ^[A-Za-z0-9_./-]+$ ]] || die "A root may have letters, digits and . _ - / in it"
    [ -z "$key" ] || { [ -r "$key" ] && grep -qE '^(ssh|ecdsa|sk)-[a-z0-9@.-]+ ' "$key"; } ||
        die "$key is no SSH public key"
}

# The inode of a socket that listens on the TCP port $1 on any address (proc(5), /proc/net/tcp).
listener() {
    local port
    port=$(printf '%04X' "$1")
    cat /proc/net/tcp /proc/net/tcp6 2>/dev/null |
        awk -v port="$port" '$4 == "0A" && $2 ~ ":" port "$" { inode = $10 } END { print inode }'
}

check_port() {
    local port=${http_port:-80} inode holder
    # An installed one keeps the port it has.
    [ -n "$http_port" ] || [ ! -e "$root/paas.db" ] || return 0
    inode=$(listener "$port")
    [ -n "$inode" ] || return 0
    holder=$(find /proc/[0-9]*/fd -lname "socket:\[$inode\]" 2>/dev/null | sed -n '1s|/proc/||;1s|/.*||p') || true
    if [ -n "$holder" ] && tr '\0' ' ' <"/proc/$holder/cmdline" | grep -qF "$root/proxy/current"; then
        return 0
    fi
    [ -z "$holder" ] || holder=" by $(cat "/proc/$holder/comm") (process $holder)"
    die "Port $port is taken$holder; stop that, or choose another port with --http-port"
}

# -- installing -----------------------------------------------------------------------------------

installed() { [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]; }

install_packages() {
    local wanted=() name nginx_was_here=yes
    for name in $(packages); do
        installed "$name" || wanted+=("$name")
    done
    [ ${#wanted[@]} -gt 0 ] || { detail "All packages are installed"; return 0; }
    installed nginx || nginx_was_here=no
    fold -s -w 72 <<<"${wanted[*]}" | while read -r name; do detail "$name"; done
    keep_services_down
    export DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1
    # Both indices and packages have locks of their own.
    apt_get update -q
    apt_get install -y -q --no-install-recommends "${wanted[@]}"
    let_services_start
    # The system's own nginx would take port 80 with the next start of the machine.
    if [ $nginx_was_here = no ] && systemd; then systemctl -q disable --now nginx.service; fi
}

# What a new machine does by itself in its first minutes is waited for: apt-get gives up at once.
apt_get() {
    local log=$scratch/apt.log deadline=$((SECONDS + APT_PATIENCE_S)) waiting=no
    until apt-get "$@" </dev/null >"$log" 2>&1; do
        if ! grep -q 'Could not get lock' "$log" || [ $SECONDS -ge $deadline ]; then
            tail -n 20 "$log" >&2
            die "apt-get failed; its last lines are above"
        fi
        [ $waiting = yes ] || detail "Waiting for another apt-get: $(grep -m 1 -o 'held by process.*' "$log")"
        waiting=yes
        sleep 1
    done
}

# While packages are installed, none of their services is started. There is a whole policy at any
# moment: one that is killed is told by the mark in ours.
keep_services_down() {
    local theirs=$POLICY.before-paas
    if [ -e "$POLICY" ]; then
        [ ! -e "$theirs" ] || die "$theirs is there, beside $POLICY; remove the one that is not wanted"
        ln -T "$POLICY" "$theirs"
    fi
    printf '#!/bin/sh\n%s\nexit 101\n' "$POLICY_MARK" >"$POLICY.paas"
    chmod 755 "$POLICY.paas"
    mv -fT "$POLICY.paas" "$POLICY"
}

# Behind the packages, and behind an install.sh that was killed.
let_services_start() {
    local theirs=$POLICY.before-paas
    rm -f "$POLICY.paas"
    if [ "$theirs" -ef "$POLICY" ]; then
        rm -f "$theirs"
    elif [ ! -e "$POLICY" ] || grep -qxF "$POLICY_MARK" "$POLICY"; then
        if [ -e "$theirs" ]; then mv -fT "$theirs" "$POLICY"; else rm -f "$POLICY"; fi
    fi
}

systemd() { [ -d /run/systemd/system ]; }

version_id() {
    {
        find "${SOURCES[@]}" requirements.lock requirements-build.lock -type f \
            ! -name '*.pyc' ! -path '*/__pycache__/*' -print0 | sort -z | xargs -0 sha256sum
        /usr/bin/python3 --version
    } | sha256sum | cut -c1-12
}

# Beside the versions that run. What is in use is not touched.
stage_program() {
    local id directory
    id=$(version_id)
    directory=$program/versions/$id
    if [ -e "$directory/complete" ]; then
        detail "Version $id is there already"
    else
        rm -rf "$directory"
        build_program "$directory"
    fi
    ln -sfn "versions/$id" "$program/next"
    mv -T "$program/next" "$program/staged"
    prune_versions
}

# The first version is simply used; a later one has to prove itself, or the earlier one stays.
use_program() {
    if [ -x "$program/current/paas" ] && [ -e "$root/paas.db" ]; then
        "$program/current/paas" --root "$root" upgrade ||
            die "The upgrade was given up; what ran before runs on"
    else
        ln -sfn "$(readlink "$program/staged")" "$program/next"
        mv -T "$program/next" "$program/current"
    fi
    ln -sfn "$program/current/paas" "$command.new"
    mv -T "$command.new" "$command"
}

build_program() {
    local directory=$1 earlier
    unfinished=$directory
    mkdir -p "$scratch/source" "$program/versions"
    # setuptools leaves a build directory behind, which is not wanted in the checkout.
    cp -a "${SOURCES[@]}" "$scratch/source"
    earlier=$(with_our_libraries)
    if [ -n "$earlier" ]; then
        copy_libraries "$earlier" "$directory"
    else
        install_libraries "$directory"
    fi
    pip "$directory" --no-deps --no-build-isolation --no-index "$scratch/source"
    libraries_id >"$directory/libraries"
    ln -s "$(cd "$directory" && echo lib/python3.*/site-packages/paas/daemon)" "$directory/client"
    sed "s|@PROGRAM@|$program/current|" hooks/paas >"$directory/paas"
    chmod 755 "$directory/paas"
    touch "$directory/complete"
    unfinished=
}

# Without build isolation: the environments that pip makes know no hashes.
install_libraries() {
    /usr/bin/python3 -m venv "$1"
    pip "$1" --require-hashes -r requirements-build.lock
    pip "$1" --require-hashes --no-build-isolation -r requirements.lock
}

libraries_id() {
    { cat requirements.lock requirements-build.lock; /usr/bin/python3 --version; } | sha256sum |
        cut -c1-12
}

# A version with the same locks, whose hashes pip has checked: an upgrade that brings no other
# libraries waits for no network.
with_our_libraries() {
    local version
    for version in "$program/versions"/*; do
        [ -e "$version/complete" ] || continue
        [ "$(cat "$version/libraries" 2>/dev/null)" != "$(libraries_id)" ] || { echo "$version"; break; }
    done
}

copy_libraries() {
    local packages
    /usr/bin/python3 -m venv --without-pip "$2"
    packages=$(echo "$2"/lib/python3.*/site-packages)
    cp -a "$1"/lib/python3.*/site-packages/. "$packages"
    rm -rf "$packages"/paas "$packages"/paas-*.dist-info
}

pip() {
    local directory=$1 options
    shift
    options=(-q --disable-pip-version-check --no-input)
    "$directory/bin/python" -m pip "${options[@]}" install "$@" >"$scratch/pip.log" 2>&1 ||
        { tail -n 20 "$scratch/pip.log" >&2; die "pip failed; its last lines are above"; }
}

# What still runs from an older version has loaded all of it; three are kept all the same.
prune_versions() {
    local path
    find "$program/versions" -mindepth 1 -maxdepth 1 -printf '%T@ %p\n' | sort -rn | tail -n +4 |
        while read -r _ path; do
            [ "$path" -ef "$program/current" ] || [ "$path" -ef "$program/staged" ] || rm -rf "$path"
        done
}

start_services() {
    local options=() fresh=yes
    [ ! -e "$root/paas.db" ] || fresh=no
    [ -z "$http_port" ] || options+=(--http-port "$http_port")
    if [ -n "$domain" ]; then
        options+=(--domain "$domain")
    elif [ $fresh = yes ]; then
        options+=(--domain "$(address).sslip.io")
    fi
    [ $firewall = no ] || options+=(--allow-firewall)
    "${paas[@]}" up "${options[@]}"
}

# The address this machine has towards the internet (which nothing is sent to).
address() {
    local found
    found=$(ip -4 -o route get 192.0.2.1 2>/dev/null | sed -n 's/.* src \([0-9.]*\).*/\1/p') || true
    echo "${found:-127.0.0.1}"
}

# Whether only this machine's own network knows an address (RFC 1918, 6598, 1122).
private() {
    [[ $1 =~ ^(10|127|192\.168|172\.(1[6-9]|2[0-9]|3[01])|100\.(6[4-9]|[7-9][0-9]|1[01][0-9]|12[0-7]))\. ]]
}

# The address to reach it at: the one it was told, or else its own.
server_address() {
    local names
    names=$(reported Domain)
    if [[ $names =~ ^([0-9.]+)\.sslip\.io$ ]]; then echo "${BASH_REMATCH[1]}"; else address; fi
}

# Clouds give machines a private address, and translate.
tell_private() {
    local known
    known=$(server_address)
    if [ "$(reported Domain)" = "$known.sslip.io" ] && private "$known"; then
        warn "Only the machine's own network reaches $known. If another address leads to it:"
        warn "  sudo ./install.sh --domain ADDRESS.sslip.io"
    fi
}

start_sshd() {
    if [ -n "$(listener "$(sshd_port)")" ]; then return 0; fi
    if systemd; then
        # Ubuntu starts it by its socket.
        systemctl -q enable --now ssh.socket 2>/dev/null || systemctl -q enable --now ssh.service
    else
        ssh-keygen -A >/dev/null
        mkdir -p /run/sshd
        /usr/sbin/sshd
    fi
}

sshd_port() {
    mkdir -p /run/sshd
    ssh-keygen -A >/dev/null
    /usr/sbin/sshd -T 2>/dev/null | awk '$1 == "port" { port = $2 } END { print port }'
}

# -- whom to let in ---------------------------------------------------------------------------------

# Public keys of who runs this: their own, and those they logged in with.
callers_keys() {
    local home
    if [ -n "$key" ]; then cat "$key"; return; fi
    home=$(getent passwd "${SUDO_USER:-root}" | cut -d: -f6)
    # Lines with options (command="...") were given for something else.
    cat "$home"/.ssh/id_*.pub "$home"/.ssh/authorized_keys 2>/dev/null |
        grep -E '^(ssh|ecdsa|sk)-[a-z0-9@.-]+ ' || true
}

let_in() {
    local line name print known count=0
    known=$("${paas[@]}" ssh-keys:list --quiet)
    while IFS= read -r line; do
        print=$(ssh-keygen -lf - <<<"$line" | awk '{ print $2 }') || continue
        count=$((count + 1))
        if grep -qF -- "$print" <<<"$known"; then continue; fi
        name=$(key_name "$line" "$print")
        "${paas[@]}" ssh-keys:add "$name" <<<"$line" >/dev/null
        detail "$name, $print"
        known+=$'\n'$print
    done < <(callers_keys)
    if [ $count = 0 ] && [ -z "$known" ]; then
        local login=root as=
        case ${SUDO_USER:-root} in root) ;; *) login=$SUDO_USER as='sudo ' ;; esac
        warn "No SSH public key of yours was found here, so nobody can push yet. From your machine:"
        warn "  ssh $login@$(server_address) $as$command ssh-keys:add me < ~/.ssh/id_ed25519.pub"
        warn "or here, with the key in a file: sudo ./install.sh --key FILE"
    fi
}

# The comment of a key as a name, with the end of its fingerprint so that no two are the same.
key_name() {
    local comment
    comment=$(cut -d' ' -f3- <<<"$1" | tr -c 'A-Za-z0-9_.@\n-' - | sed 's/^[^A-Za-z0-9_]*//' | cut -c1-40)
    printf '%s-%s\n' "${comment:-key}" "$(tr -dc A-Za-z0-9 <<<"${2#SHA256:}" | tail -c 6)"
}

# -- the sample app -----------------------------------------------------------------------------------

deploy_demo() {
    local login port url
    login=$("$program/current/bin/python" -I -c \
        'import sys; from paas.model.layout import Layout; print(Layout.at(sys.argv[1]).user)' "$root")
    port=$(sshd_port)
    if "${paas[@]}" apps:exists $DEMO_APP 2>/dev/null; then
        detail "The app $DEMO_APP exists already: left as it is"
        result "Ready"
        return 0
    fi
    ssh-keygen -q -t ed25519 -N '' -C install-demo -f "$scratch/demo"
    "${paas[@]}" ssh-keys:add install-demo <"$scratch/demo.pub" >/dev/null
    detail "With a key of its own, which is let in for this push only"
    push_demo "$login" "$port" || { "${paas[@]}" ssh-keys:remove install-demo >/dev/null; die \
        "The sample app could not be deployed. The reason is above; paas doctor may say more"; }
    "${paas[@]}" ssh-keys:remove install-demo >/dev/null
    url=$(demo_url)
    step "Fetching $url"
    fetch_demo "$url"
    farewell "$login" "$port" "$url"
}

push_demo() {
    local login=$1 port=$2 work=$scratch/$DEMO_APP
    cp -R tests/fixtures/apps/hello-flask "$work"
    export GIT_SSH_COMMAND="ssh -p $port -i $scratch/demo -o IdentitiesOnly=yes -o BatchMode=yes \
-o StrictHostKeyChecking=accept-new -o UserKnownHostsFile=$scratch/known_hosts -o LogLevel=ERROR -F none"
    git_here() { git -C "$work" -c user.name=paas -c user.email=paas@localhost "$@"; }
    git_here init -q -b main
    git_here add .
    git_here commit -q -m "Say hello"
    git_here remote add paas "$login@localhost:$DEMO_APP"
    printf '       $ git push paas main\n'
    git_here push paas main
}

# One line of `paas report`.
reported() { "${paas[@]}" report | sed -n "s/^ *$1: *//p"; }

demo_url() {
    local port
    port=$(reported "HTTP port")
    if [ "$port" = 80 ]; then port=; else port=:$port; fi
    echo "http://$DEMO_APP.$(reported Domain)$port/"
}

# Through the proxy by name, whatever DNS says yet.
fetch_demo() {
    local url=$1 host port
    host=${url#http://}
    host=${host%%[:/]*}
    port=$(reported "HTTP port")
    curl -fsS --noproxy '*' --max-time 20 --resolve "$host:$port:127.0.0.1" "$url" | sed 's/^/       /' ||
        die "The sample app was deployed, but the proxy does not serve it. See: paas doctor"
}

farewell() {
    local login=$1 port=$2 url=$3 server remote
    server=$login@$(server_address)
    remote=$server:myapp
    if [ "$port" != 22 ]; then
        remote=ssh://$server:$port/myapp
        server="-p $port $server"
    fi
    result "Your first app is live:"
    detail "$url"
    result "Try next, from your machine:"
    detail "git remote add paas $remote && git push paas main"
    detail "ssh $server config:set $DEMO_APP NAME=you"
    detail "ssh $server logs $DEMO_APP -t"
}

# -- removing -----------------------------------------------------------------------------------------

remove() {
    [ "$(id -u)" = 0 ] || die "Run it as root: sudo ./install.sh --$action"
    let_services_start
    if [ ! -x "$command" ] && [ $action = purge ] && [ -e "$root/paas.db" ]; then
        step "Installing the program again: it knows what to remove"
        prepare_to_install
        install_packages
        stage_program
        use_program
    fi
    if [ -x "$command" ]; then
        if [ $action = purge ]; then "${paas[@]}" down --purge --force; else "${paas[@]}" down; fi
    fi
    if systemd && [ "$root" = "$DEFAULT_ROOT" ]; then
        systemctl -q disable paasd.service paas-{proxy,instances,network}.service 2>/dev/null || true
        rm -f /etc/systemd/system/paas{d,-proxy,-instances,-network}.service
        # What the instances reserve of the memory was told to systemd, for this run of it.
        systemctl -q stop paas.slice 2>/dev/null || true
        rm -rf /run/systemd/system.control/paas{.slice,d.service,-proxy.service,-instances.service,-network.service}.d
        rm -f /etc/needrestart/conf.d/paas.conf
        # Where needrestart is not installed, it was ours.
        rmdir /etc/needrestart/conf.d /etc/needrestart 2>/dev/null || true
        systemctl daemon-reload
    fi
    rm -rf "$command" "$program"
    if [ $action = purge ]; then
        result "Removed, data included. The distribution's packages stay"
    else
        result "Removed. The data is in $root; ./install.sh brings everything back"
    fi
}

prepare_to_install() {
    scratch=$(mktemp -d)
    trap clean_up EXIT
    trap 'warn "install.sh failed in line $LINENO: $BASH_COMMAND"' ERR
    let_services_start
}

clean_up() {
    let_services_start
    if [ -n "$unfinished" ]; then
        rm -rf "$unfinished"
        rmdir --ignore-fail-on-non-empty "$program/versions" "$program"
    fi
    [ -z "$scratch" ] || rm -rf "$scratch"
}

main() {
    read_options "$@"
    case $action in
        packages) packages; exit 0 ;;
        uninstall | purge) remove; exit 0 ;;
    esac
    step "Checking this machine"
    check_machine
    prepare_to_install
    step "Installing packages"
    install_packages
    check_overlay
    step "Installing the program"
    stage_program
    [ $action != stage ] || return 0
    use_program
    step "Starting the services"
    start_services
    start_sshd
    step "Letting your SSH keys in"
    let_in
    step "Checking everything"
    "${paas[@]}" doctor || die "Something is missing. Each line above that fails says what to do"
    if [ $demo = yes ]; then
        step "Pushing the sample app"
        deploy_demo
    else
        result "Ready"
    fi
    tell_private
}

main "$@"
