#!/usr/bin/env bash
# Acceptance of a fresh machine of either architecture, whatever this host's is: a virtual machine
# in qemu with a kernel of its own, all of it emulated. That takes hours.
#
#   sudo vagrant/qemu.sh [SUITE] [ARCH]
#
#   SUITE    bookworm (Debian 12, the default) or trixie (Debian 13)
#   ARCH     arm64 (the default) or amd64
#
# Makes the machine from the mirror, copies this checkout into it, and has acceptance.sh run there,
# `before` and, after a reboot, `after`. Nothing of it stays on the host, however it ends; what a
# kill -9 left the next one of the same removes. One of each runs at a time.
set -Eeuo pipefail
cd "$(dirname "$(readlink -f "$0")")/.."

# Not ours: acceptance.sh would take it for something that was left behind.
readonly NAME=fresh
readonly CHECKOUT=/srv/paas
# Hardly anything: what else it takes install.sh has to bring.
readonly PACKAGES=systemd-sysv,dbus,ca-certificates,procps
# Qemu's own; it asks whom the host asks.
readonly NAME_SERVER=10.0.2.3
readonly PATIENCE_S=$((8 * 3600))

suite='' arch='' emulator='' PLACE='' ROOT=''
machine=()

. vagrant/machine.sh

read_options() {
    suite=${1:-bookworm} arch=${2:-arm64}
    case $suite-$arch in
        # Without what costs an emulator most: signed pointers, long vectors.
        bookworm-arm64 | trixie-arm64) emulator=aarch64 machine=(-machine virt -cpu neoverse-n1) ;;
        bookworm-amd64 | trixie-amd64) emulator=x86_64 machine=(-machine q35 -cpu max) ;;
        --help-* | -h-*) usage; exit 0 ;;
        *) usage >&2; exit 2 ;;
    esac
    PLACE=/var/tmp/$NAME-$suite-$arch ROOT=$PLACE/root
}

check_host() {
    local missing=()
    local -A package=([arm64]=qemu-system-arm [amd64]=qemu-system-x86)
    [ "$(id -u)" = 0 ] || die "Run it as root: sudo $0"
    command -v mmdebstrap >/dev/null || missing+=(mmdebstrap)
    command -v mke2fs >/dev/null || missing+=(e2fsprogs)
    command -v qemu-system-$emulator >/dev/null || missing+=("${package[$arch]}")
    if foreign; then
        command -v arch-test >/dev/null || missing+=(arch-test)
        [ -e "$(interpreter)" ] || missing+=(qemu-user-static)
    fi
    [ ${#missing[@]} = 0 ] || die "Something is missing: apt-get install ${missing[*]}"
}

foreign() { [ "$(dpkg --print-architecture)" != "$arch" ]; }
interpreter() { echo /usr/lib/binfmt.d/qemu-$emulator.conf; }

# Starts a command for which qemu runs what is of the other architecture: in a user namespace with a
# binfmt_misc of its own (Linux 6.7), so that the host's stays as it is.
start_emulated() {
    # shellcheck disable=SC2016  # for the sh that is started
    start unshare --user --mount sh -c '
        until read -r _ </proc/self/gid_map; do sleep 0.1; done
        exec setpriv --pdeathsig KILL sh -ec "
            mount -t binfmt_misc none /proc/sys/fs/binfmt_misc
            cat \"\$0\" >/proc/sys/fs/binfmt_misc/register
            exec \"\$@\"" "$@"' - "$(interpreter)" "$@"
    while [ "/proc/$running/ns/user" -ef /proc/self/ns/user ]; do sleep 0.1; done
    # Who is root in it is root of all.
    echo 0 0 4294967295 >"/proc/$running/uid_map"
    echo 0 0 4294967295 >"/proc/$running/gid_map"
}

# -- making the machine ----------------------------------------------------------------------------

make_disk() {
    local how=start
    ! foreign || how=start_emulated
    $how mmdebstrap --quiet --mode=root --variant=apt --architectures="$arch" \
        --include="$PACKAGES,linux-image-cloud-$arch" "$suite" "$ROOT" >"$PLACE/making.log" 2>&1
    finish || die "mmdebstrap failed: $(tail -n 5 "$PLACE/making.log")"
    furnish
    echo '/dev/vda / ext4 defaults 0 1' >"$ROOT/etc/fstab"
    printf '[Match]\nName=e*\n[Network]\nDHCP=yes\n' >"$ROOT/etc/systemd/network/$NAME.network"
    rm -f "$ROOT/etc/resolv.conf"
    echo "nameserver $NAME_SERVER" >"$ROOT/etc/resolv.conf"
    have_it_accepted
    cp -L "$ROOT/vmlinuz" "$ROOT/initrd.img" "$PLACE"
    truncate -s 16G "$PLACE/disk"
    run mke2fs -q -t ext4 -d "$ROOT" "$PLACE/disk"
    rm -rf --one-file-system "$ROOT"
}

# By the machine itself, once it has booted: what it shows goes to the host by a port of qemu's, and
# at the end it turns itself off.
have_it_accepted() {
    printf '%s\n' '[Unit]' Wants=network-online.target After=network-online.target \
        '[Service]' User=root ExecStart=/usr/local/sbin/$NAME '[Install]' WantedBy=multi-user.target \
        >"$ROOT/etc/systemd/system/$NAME.service"
    systemctl --quiet --root="$ROOT" enable systemd-networkd.service $NAME.service
    # Not in /etc, where acceptance.sh looks for our name.
    cat >"$ROOT/usr/local/sbin/$NAME" <<SCRIPT
#!/bin/sh
until [ -e /dev/virtio-ports/$NAME ]; do sleep 0.1; done
exec >/dev/virtio-ports/$NAME 2>&1
echo "Booted: \$(systemctl is-system-running --wait), \$(uname -srm)"
update-ca-certificates >/dev/null 2>&1
stage=before next=reboot
if [ -e /var/tmp/$NAME ]; then stage=after next=poweroff; fi
if $CHECKOUT/vagrant/acceptance.sh \$stage; then
    echo "\$stage: \$(cut -d. -f1 /proc/uptime) s after the boot"
    touch /var/tmp/$NAME
else
    echo "What the machine's journal says last:"
    journalctl --no-pager --lines=100
    next=poweroff
fi
systemctl --no-block \$next
SCRIPT
    chmod 755 "$ROOT/usr/local/sbin/$NAME"
}

accept() {
    local deadline=$((SECONDS + PATIENCE_S)) console=$PLACE/console.log
    # Its time goes by with what its processor does (1 ns an instruction), so that slowness alone
    # runs into no time limit.
    # And what it reads from has no end: at one, qemu takes the reader of what is shown for gone.
    mkfifo "$PLACE/nothing"
    # Opened there, since a program that is started in the background has no other input.
    # shellcheck disable=SC2016  # for the sh that is started
    start sh -c 'exec "$@" <>"$0"' "$PLACE/nothing" \
        qemu-system-$emulator -accel tcg -icount shift=0 "${machine[@]}" -m 4096 \
        -nodefaults -no-user-config -display none -serial "file:$console" \
        -kernel "$PLACE/vmlinuz" -initrd "$PLACE/initrd.img" \
        -append "root=/dev/vda rw console=ttyAMA0 console=ttyS0" \
        -drive "file=$PLACE/disk,format=raw,if=virtio,cache=unsafe" \
        -netdev user,id=net -device virtio-net-pci,netdev=net,romfile= -device virtio-rng-pci \
        -device virtio-serial-pci -device virtserialport,chardev=shown,name=$NAME \
        -chardev "stdio,id=shown,signal=off,logfile=$PLACE/shown.log"
    while grep -qs '^State:.[^Z]' "/proc/$running/status"; do
        [ $SECONDS -lt $deadline ] || die "Not within $PATIENCE_S s. On its console: $(tail -n 5 "$console")"
        sleep 1
    done
    finish || die "The machine does not run. On its console: $(tail -n 5 "$console")"
    grep -qx 'Everything was shown' "$PLACE/shown.log" || die "Not all was shown on $suite, $arch"
}

# -- all of it -------------------------------------------------------------------------------------

clean_up() {
    end_running
    rm -rf --one-file-system "$PLACE"
}

main() {
    read_options "$@"
    check_host
    alone
    step "Making $suite, $arch"
    make_disk
    step "Showing everything, $SECONDS s later"
    accept
    step "Everything was shown on $suite, $arch, in $SECONDS s"
}

main "$@"
