#!/usr/bin/env bash
# Acceptance of a fresh machine in minutes, where a virtual machine without KVM takes an hour: a
# container of systemd-nspawn with a systemd, a network and control groups of its own.
#
#   sudo vagrant/nspawn.sh [SUITE]
#
#   SUITE    bookworm (Debian 12, the default), trixie (Debian 13) or noble (Ubuntu 24.04)
#
# Makes the machine from the mirror, copies this checkout into it, and has acceptance.sh run there,
# `before` and, after a reboot, `after`. Nothing of it stays on the host, however it ends; what a
# kill -9 left the next run removes. One runs at a time.
#
# The kernel is the host's, and so is the version of control groups.
set -Eeuo pipefail
cd "$(dirname "$(readlink -f "$0")")/.."

# Not ours: acceptance.sh would take it for something that was left behind.
readonly NAME=fresh
readonly PLACE=/var/tmp/$NAME-machine
readonly ROOT=$PLACE/root
readonly CHECKOUT=/srv/paas
readonly LINK=$NAME-host HOST_ADDRESS=172.31.77.1 ADDRESS=172.31.77.2
# Hardly anything: what else it takes install.sh has to bring.
readonly PACKAGES=systemd-sysv,dbus,ca-certificates,procps
readonly UBUNTU=http://archive.ubuntu.com/ubuntu
# Debian has no package of it.
readonly KEYRING=pool/main/u/ubuntu-keyring/ubuntu-keyring_2023.11.28.1_all.deb
readonly KEYRING_SHA256=36de43b15853ccae0028e9a767613770c704833f82586f28eb262f0311adb8a8
readonly PATIENCE_S=300
# systemd-nspawn(1): the machine asked for a reboot.
readonly REBOOTED=133

suite=
uplink=
machine=
init=

. vagrant/machine.sh

detail() { printf '       %s\n' "$*"; }

read_options() {
    suite=${1:-bookworm}
    case $suite in
        bookworm | trixie | noble) ;;
        --help | -h) usage; exit 0 ;;
        *) usage >&2; exit 2 ;;
    esac
}

check_host() {
    local each missing=()
    [ "$(id -u)" = 0 ] || die "Run it as root: sudo $0"
    for each in systemd-nspawn:systemd-container mmdebstrap:mmdebstrap nft:nftables ip:iproute2 \
        curl:curl ps:procps; do
        command -v "${each%:*}" >/dev/null || missing+=("${each#*:}")
    done
    [ ${#missing[@]} = 0 ] || die "Something is missing: apt-get install ${missing[*]}"
    uplink=$(ip -4 -o route get 192.0.2.1 2>/dev/null | sed -n 's/.* dev \([^ ]*\).*/\1/p') || true
    [ -n "$uplink" ] || die "This host has no way to the internet"
}

# Looks until a command succeeds.
eventually() {
    local deadline=$((SECONDS + PATIENCE_S))
    until "$@"; do
        [ $SECONDS -lt $deadline ] || die "Not within $PATIENCE_S s: $*"
        sleep 0.1
    done
}

# -- its control groups ------------------------------------------------------------------------------

# The machine's own control groups, one in each hierarchy: it sees none of the host's.
own_groups() { awk -v name=$NAME '$3 ~ /^cgroup2?$/ && $2 ~ "^/sys/fs/cgroup" { print $2 "/" name }' /proc/mounts; }

make_groups() {
    local group file
    for group in $(own_groups); do
        mkdir "$group"
        # In version 1 a new group has neither processors nor memory.
        for file in cpuset.cpus cpuset.mems; do
            [ ! -e "$group/../$file" ] || cat "$group/../$file" >"$group/$file"
        done
    done
}

# Ends all that runs in them.
remove_groups() {
    eventually killed
    # What was killed leaves a moment later.
    eventually removed
}

removed() {
    local group
    for group in $(own_groups); do
        [ ! -d "$group" ] || find "$group" -depth -type d -exec rmdir {} + 2>/dev/null || return 1
    done
}

killed() {
    local group pids=
    for group in $(own_groups); do
        [ -d "$group" ] || continue
        # In version 1 what is frozen takes no signal.
        find "$group" -name freezer.state | while read -r state; do echo THAWED >"$state"; done
        pids+=$(find "$group" -name cgroup.procs -exec cat {} + | sed 's/^/ /')
    done
    # One may have ended since.
    [ -z "$pids" ] || { xargs -n 1 kill -KILL <<<"$pids" 2>/dev/null || true; return 1; }
}

# -- making the machine ----------------------------------------------------------------------------

make_root() {
    local sources=() options=()
    if [ "$suite" = noble ]; then
        fetch_ubuntu_keyring
        options=(--keyring="$PLACE/keyring/usr/share/keyrings")
        sources=("deb $UBUNTU noble main universe" "deb $UBUNTU noble-updates main universe"
            "deb $UBUNTU noble-security main universe")
    fi
    run mmdebstrap --quiet --mode=root --variant=apt --include=$PACKAGES "${options[@]}" \
        "$suite" $ROOT "${sources[@]}"
    furnish
    fetch_as_the_host_does
    allow_control_groups
}

fetch_ubuntu_keyring() {
    run curl -fsS --max-time 60 -o $PLACE/keyring.deb $UBUNTU/$KEYRING
    echo "$KEYRING_SHA256  $PLACE/keyring.deb" | sha256sum --check --quiet
    dpkg-deb -x $PLACE/keyring.deb $PLACE/keyring
}

# By its name servers, and trusting its authorities.
fetch_as_the_host_does() {
    local file
    # A resolver on the host's loopback cannot be reached; systemd's says which others it asks.
    for file in /run/systemd/resolve/resolv.conf /etc/resolv.conf; do
        if [ -e $file ]; then
            rm -f $ROOT/etc/resolv.conf
            cp $file $ROOT/etc/resolv.conf
            break
        fi
    done
    chroot $ROOT update-ca-certificates >$PLACE/authorities.log 2>&1
}

# systemd-nspawn mounts hierarchies of version 1 for reading only, but for systemd's own.
allow_control_groups() {
    local unit=rw-cgroups.service
    [ ! -e /sys/fs/cgroup/cgroup.controllers ] || return 0
    cat >$ROOT/etc/systemd/system/$unit <<'UNIT'
[Unit]
DefaultDependencies=no
Before=sysinit.target

[Service]
Type=oneshot
ExecStart=/bin/sh -ec 'for each in /sys/fs/cgroup/*/; do mount -o remount,bind,rw "$$each"; done'

[Install]
WantedBy=sysinit.target
UNIT
    mkdir -p $ROOT/etc/systemd/system/sysinit.target.wants
    ln -s ../$unit $ROOT/etc/systemd/system/sysinit.target.wants/$unit
}

# -- its network -------------------------------------------------------------------------------------

make_network() {
    ip netns add $NAME
    ip link add $LINK type veth peer name eth0 netns $NAME
    ip address add $HOST_ADDRESS/30 dev $LINK
    ip link set $LINK up
    ip -n $NAME link set lo up
    ip -n $NAME address add $ADDRESS/30 dev eth0
    ip -n $NAME link set eth0 up
    ip -n $NAME route add default via $HOST_ADDRESS
    nft -f - <<RULES
table ip $NAME {
    chain postrouting {
        type nat hook postrouting priority srcnat
        ip saddr $ADDRESS masquerade
    }
}
RULES
    forward "$LINK"
    forward "$uplink"
}

# Has an interface forward; what it was before is kept.
forward() {
    local file=/proc/sys/net/ipv4/conf/$1/forwarding
    [ -e "$PLACE/forwarding-$1" ] || cp "$file" "$PLACE/forwarding-$1"
    echo 1 >"$file"
}

remove_network() {
    local kept
    if [ -e "/run/netns/$NAME" ]; then ip netns delete $NAME; fi
    # It goes with its peer, when the kernel has taken the namespace apart.
    if [ -e /sys/class/net/$LINK ]; then ip link delete $LINK 2>/dev/null || eventually [ ! -e /sys/class/net/$LINK ]; fi
    if nft list table ip $NAME >/dev/null 2>&1; then nft delete table ip $NAME; fi
    for kept in "$PLACE"/forwarding-*; do
        [ ! -e "/proc/sys/net/ipv4/conf/${kept##*/forwarding-}/forwarding" ] ||
            cat "$kept" >"/proc/sys/net/ipv4/conf/${kept##*/forwarding-}/forwarding"
        rm -f "$kept"
    done
}

# -- its life ----------------------------------------------------------------------------------------

boot() {
    make_groups
    make_network
    # The system calls of the containers in it are filtered by their own engine. On a kernel's
    # command line, which is init's here, newer versions of systemd want to be asked for control
    # groups of version 1.
    # shellcheck disable=SC2016  # for the sh that is started
    start sh -c 'groups=$1; shift; for group in $groups; do echo $$ >$group/cgroup.procs; done; exec "$@"' - \
        "$(own_groups)" env SYSTEMD_SECCOMP=0 SYSTEMD_NSPAWN_API_VFS_WRITABLE=yes \
        systemd-nspawn --quiet --directory=$ROOT --boot --machine=$NAME --register=no --keep-unit \
        --capability=all --network-namespace-path=/run/netns/$NAME --resolv-conf=off --timezone=off \
        --console=pipe SYSTEMD_CGROUP_ENABLE_LEGACY_FORCE=1 </dev/null >>$PLACE/console.log 2>&1
    machine=$running
    running=
    eventually booted
}

booted() {
    [ -e "/proc/$machine" ] || die "The machine does not boot: $(tail -n 5 $PLACE/console.log)"
    init=$(ps --ppid "$machine" -o pid= | tr -d ' ') || return 1
    # Its exit code says whether all units are well.
    { inside systemctl is-system-running 2>/dev/null || true; } | grep -qE 'running|degraded'
}

ended() { ! grep -qs '^State:.[^Z]' "/proc/$machine/status"; }

end_to_reboot() {
    local code=0
    inside systemctl --no-block reboot
    eventually ended
    wait "$machine" || code=$?
    machine=
    [ $code = $REBOOTED ] || die "The machine ended with $code instead of starting again"
    # What a kernel that starts has nothing of.
    remove_groups
    remove_network
}

inside() {
    nsenter --target "$init" --all env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "$@"
}

# By its systemd, as a service: in its control groups, with nothing of this process.
accept() {
    run nsenter --target "$init" --all env -i PATH=/usr/bin:/bin systemd-run --quiet --pipe --wait --collect \
        --property=User=root $CHECKOUT/vagrant/acceptance.sh "$1" && return
    detail "What the machine's journal says last:"
    inside journalctl --no-pager --lines=100
    die "Not all was shown on $suite: $1"
}

# -- all of it -----------------------------------------------------------------------------------------

clean_up() {
    end_running
    # Without a word of the shell's about who was killed.
    [ -z "$machine" ] || disown "$machine"
    remove_groups
    remove_network
    rm -rf --one-file-system $PLACE
}

# Does one thing and remembers how long it took.
timed() {
    local name=$1 began=$SECONDS
    shift
    step "$name"
    "$@"
    took+=("$(printf '%-9s %4d s' "$name" $((SECONDS - began)))")
}

main() {
    local took=()
    read_options "$@"
    check_host
    alone
    timed Making make_root
    timed Booting boot
    timed Before accept before
    timed Ending end_to_reboot
    timed Booting boot
    timed After accept after
    step "Everything was shown on $suite"
    printf '       %s\n' "${took[@]}"
}

main "$@"
