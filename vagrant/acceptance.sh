#!/usr/bin/env bash
# Acceptance of a fresh machine, on that machine: root, systemd, and a copy of the checkout.
#
#   vagrant/acceptance.sh before   from nothing to a served app; upgrades, good and bad; kill -9, a
#                                  refused push, new libraries
#   (reboot)
#   vagrant/acceptance.sh after    what came back by itself; uninstall, install again, purge
#
# One line for each thing that was shown; it ends at the first that was not. It ends in a purge:
# not for a machine whose apps somebody wants to keep.
set -Eeuo pipefail
cd "$(dirname "$(readlink -f "$0")")/.."

readonly DOMAIN=acceptance.test
readonly STATE=/var/tmp/acceptance
readonly UNITS=(paas-network paas-instances paas-proxy paasd)
if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
    readonly CGROUPS=2 GROUP=/sys/fs/cgroup/paas.slice/paas-instances.service
else
    # Of the hierarchies the one in which systemd leaves processes where they are.
    readonly CGROUPS=1 GROUP=/sys/fs/cgroup/systemd/paas
fi
readonly PATIENCE_S=300

step() { printf '\n== %s\n' "$*"; }
shown() { printf 'ok    %s\n' "$*"; }
fail() { printf 'FAIL  %s\n' "$*"; exit 1; }

# Runs a command until it succeeds.
eventually() {
    local deadline=$((SECONDS + PATIENCE_S))
    until "$@" >/dev/null 2>&1; do
        [ $SECONDS -lt $deadline ] || fail "not within $PATIENCE_S s: $*"
        sleep 0.2
    done
}

page() { curl -fsS --noproxy '*' --max-time 60 -H "Host: ${1:-hello}.$DOMAIN" http://127.0.0.1/; }
serves() { page "$1" | grep -qF "version $2"; }
invocation() { systemctl show --property InvocationID --value "$1.service"; }
main_pid() { systemctl show --property MainPID --value "$1.service"; }
boot_id() { cat /proc/sys/kernel/random/boot_id; }

holder() { pgrep -f '^[^ ]+ -I -m paas.engine.holder '; }

# Every process of every container, with what monitors it: an app that was touched has others.
instances() { find $GROUP/{instances,monitors} -name cgroup.procs -exec cat {} + | sort -n; }

# An instance of a release that was replaced ends after its last request.
only_live() { [ "$(find $GROUP/instances -mindepth 1 -maxdepth 1 -type d | wc -l)" = "$1" ]; }

same_instances() {
    local now
    now=$(instances)
    if [ "$now" != "$1" ]; then
        diff <(echo "$1") <(echo "$now") || true
        ps -ww -o pid=,lstart=,args= -p "$(paste -sd, <<<"$now")" || true
        fail "$2: other processes of apps than before"
    fi
    shown "$2: the same $(wc -l <<<"$1") processes of apps"
}

# Asks for the sample app's page while a command runs; no request may fail.
while_visited() {
    local visitor asked failed
    touch $STATE/visiting
    : >$STATE/visits
    while [ -e $STATE/visiting ]; do
        if page hello >/dev/null 2>>$STATE/refused; then echo served; else echo failed; fi
        sleep 0.05
    done >>$STATE/visits &
    visitor=$!
    "$@"
    rm $STATE/visiting
    wait $visitor
    asked=$(wc -l <$STATE/visits)
    failed=$(grep -c failed $STATE/visits || true)
    [ "$asked" -gt 0 ] || fail "nothing was asked meanwhile"
    [ "$failed" = 0 ] || fail "$failed of $asked requests failed; see $STATE/refused"
    shown "$asked requests meanwhile, none failed"
}

install() {
    local tree=$1
    shift
    "$tree/install.sh" "$@" 2>&1 | tee $STATE/install.log
}

# A push by somebody with a key of their own: the sample app, changed by a sed program.
push() {
    local work=$STATE/work
    if [ ! -e $STATE/id ]; then
        ssh-keygen -q -t ed25519 -N '' -C acceptance -f $STATE/id
        paas ssh-keys:add acceptance <$STATE/id.pub >/dev/null
    fi
    if [ ! -d $work ]; then
        cp -R tests/fixtures/apps/hello-flask $work
        git -C $work init -q -b main
        git -C $work config user.name acceptance
        git -C $work config user.email acceptance@localhost
        git -C $work remote add paas paas@localhost:pushed
    fi
    sed -i "$1" $work/app.py
    git -C $work add .
    git -C $work commit -q -m "$1"
    GIT_SSH_COMMAND="ssh -i $STATE/id -o IdentitiesOnly=yes -o BatchMode=yes -F none \
-o StrictHostKeyChecking=accept-new -o UserKnownHostsFile=$STATE/known_hosts" \
        git -C $work push paas main 2>&1 | tee $STATE/push.log
}

units_run() {
    local unit
    for unit in "${UNITS[@]}"; do
        [ "$(systemctl is-active "$unit.service")" = active ] || fail "$unit is not active"
        [ "$(systemctl is-enabled "$unit.service")" = enabled ] || fail "$unit is not enabled"
    done
    shown "the units run and start with the machine"
}

doctor() {
    paas doctor | tee $STATE/doctor.log || fail "paas doctor"
    grep -q "^ok .*cgroups.*version $CGROUPS" $STATE/doctor.log || fail "not cgroup v$CGROUPS"
    grep -q '^ok .*OCI runtime.*crun' $STATE/doctor.log || fail "not crun"
    shown "paas doctor: everything is well, with cgroup v$CGROUPS and crun"
}

# Whether a unit has a process, and another one than before.
has_another() { local now; now=$(main_pid "$1"); [ "$now" != 0 ] && [ "$now" != "$2" ]; }

# What the sample app reserves is asked for in every group up to the top, after a daemon-reload too.
reserves() {
    local group=$GROUP/instances
    paas resource:reserve hello --memory 64m
    systemctl daemon-reload
    until [ "$group" = /sys/fs/cgroup ]; do
        [ "$(cat "$group/memory.low")" = $((64 << 20)) ] || fail "$group/memory.low: $(cat "$group/memory.low")"
        group=$(dirname "$group")
    done
    shown "64 MiB that an app reserves are kept from all that runs beside it"
    paas resource:reserve-clear hello
}

# A copy of the checkout in which a sed program has changed a file.
changed() {
    local tree=$STATE/$1 file=$2
    cp -R . "$tree"
    sed -i "$3" "$tree/$file"
    ! cmp -s "$file" "$tree/$file" || fail "there is nothing to change in $file"
}

# What was in use before is in use, and so are the processes of apps that are told.
went_back() {
    [ "$(readlink /usr/lib/paas/current)" = "$2" ] || fail "the program is not the one from before"
    [ ! -e /var/lib/paas/upgrade ] || fail "an upgrade is still on its trial"
    eventually paas apps:list
    units_run
    same_instances "$running" "$1"
}

# A new version that cannot do its work: paasd ends, or only the supervisor.
gives_up() {
    local program name=$1
    program=$(readlink /usr/lib/paas/current)
    changed "$@"
    refused() { ! install "$STATE/$name" --no-demo; }
    while_visited refused
    grep -q 'the one before is in use again' $STATE/install.log || fail "nothing went back"
    went_back "$name" "$program"
}

# Its own way back dies with it: what starts next has to go it.
killed_upgrade() {
    local program upgrading
    program=$(readlink /usr/lib/paas/current)
    changed slow paas/daemon/doctor.py 's/^        checks: Mapping/        time.sleep(600)\n&/'
    setsid paas upgrade $STATE/slow &
    upgrading=$!
    eventually new_one_serves "$program"
    kill -9 -- -$upgrading
    wait $upgrading || true
    paas up --no-stack
    went_back "killed upgrade" "$program"
}

new_one_serves() {
    [ "$(readlink /usr/lib/paas/current)" != "$1" ] && [ "$(systemctl is-active paasd.service)" = active ]
}

# needrestart, which Ubuntu's servers have, restarts what uses libraries that were replaced: paasd
# shows that it does.
new_libraries() {
    local library unit
    local -A before
    export DEBIAN_FRONTEND=noninteractive NEEDRESTART_MODE=a
    apt-get install -qq needrestart >$STATE/apt.log 2>&1 || fail "$(cat $STATE/apt.log)"
    library=$(dpkg-query -W -f '${Package}\n' 'libssl3*' | head -n 1)
    for unit in "${UNITS[@]}"; do before[$unit]=$(invocation "$unit"); done
    replace_library() { apt-get install -qq --reinstall "$library" 2>&1 | tee $STATE/apt.log; }
    while_visited replace_library
    [ "$(invocation paasd)" != "${before[paasd]}" ] || fail "needrestart does nothing here"
    for unit in paas-network paas-instances paas-proxy; do
        [ "$(invocation $unit)" = "${before[$unit]}" ] || fail "$unit was restarted"
    done
    eventually runs_no_replaced_library paas-proxy
    units_run
    same_instances "$running" "new libraries"
}

runs_no_replaced_library() { ! grep -q '/lib\(ssl\|crypto\).* (deleted)$' "/proc/$(main_pid "$1")/maps"; }

before() {
    local running killed program
    [ ! -e /usr/local/bin/paas ] || fail "paas is installed here"
    mkdir -p $STATE
    trap 'rm -f $STATE/visiting' EXIT
    boot_id >$STATE/boot

    step "Install"
    install . --domain $DOMAIN
    grep -qF '=====> Application deployed:' $STATE/install.log || fail "no transcript of a push"
    [ "$(grep -cE '^       (git remote add|ssh) ' $STATE/install.log)" = 3 ] || fail "not three commands to try"
    serves hello 1
    shown "one command: installed, pushed, served"
    units_run
    doctor
    [ $CGROUPS = 1 ] || reserves
    [ "$(systemctl is-active nginx.service)" != active ] || fail "the system's nginx runs too"
    eventually only_live 1
    running=$(instances)

    step "Install again"
    while_visited install .
    grep -q 'left as it is' $STATE/install.log || fail "the sample app was pushed again"
    same_instances "$running" "second run"

    step "Upgrade to another version"
    program=$(readlink /usr/lib/paas/current)
    cp -R . $STATE/upgrade
    echo "# another version" >>$STATE/upgrade/paas/model/version.py
    while_visited install $STATE/upgrade --no-demo
    [ "$(readlink /usr/lib/paas/current)" != "$program" ] || fail "the program is the one from before"
    readlink "/proc/$(main_pid paasd)/exe" >/dev/null || fail "paasd does not run"
    same_instances "$running" "upgrade"

    step "Upgrade to a version whose paasd ends"
    gives_up dead paas/program.py 's/^    import_everything()$/    raise SystemExit(9)/'

    step "Upgrade to a version whose supervisor ends"
    gives_up idle paas/program.py 's/^    supervisor.main(layout)$/    raise SystemExit(9)/'

    step "kill -9 of an upgrade"
    while_visited killed_upgrade

    step "A push, and one that is refused"
    push 's/VERSION = "1"/VERSION = "2"/' || fail "git push"
    serves pushed 2
    # What listens here is gunicorn, which binds the port before it finds that out.
    # shellcheck disable=SC2016  # $ is sed's last line
    ! push '$a raise SystemExit("no database")' || fail "the app does not start, but its push went through"
    grep -q 'no database' $STATE/push.log || fail "the refusal does not say why"
    serves pushed 2
    shown "refused with the reason; the release before it serves"
    git -C $STATE/work reset -q --hard HEAD~

    step "kill -9 of paasd"
    running=$(instances)
    killed=$(main_pid paasd)
    kill_paasd() { kill -9 "$killed"; eventually has_another paasd "$killed"; eventually paas apps:list; }
    while_visited kill_paasd
    same_instances "$running" "kill -9 of paasd"

    step "kill -9 of the proxy's master"
    kill -9 "$(main_pid paas-proxy)"
    eventually serves hello 1
    eventually systemctl is-active paas-proxy.service
    same_instances "$running" "kill -9 of nginx"

    step "kill -9 of what holds the control groups"
    killed=$(holder)
    kill_holder() { kill -9 "$killed"; eventually [ ! -e "/proc/$killed" ]; eventually serves hello 1; }
    while_visited kill_holder
    # In version 1 the groups are outside of the unit's, which ends with its one process.
    [ $CGROUPS = 2 ] || eventually holder
    eventually paas apps:list
    same_instances "$running" "kill -9 of the holder"
    push 's/VERSION = "2"/VERSION = "3"/' || fail "git push"
    serves pushed 3
    units_run

    step "New libraries"
    eventually only_live 2
    running=$(instances)
    new_libraries
    [ -z "$(systemctl list-units --failed --no-legend 'paas*')" ] || fail "a unit has failed"
    printf '\nReboot the machine, then: %s after\n' "$0"
}

after() {
    local left
    [ "$(boot_id)" != "$(cat $STATE/boot)" ] || fail "the machine was not rebooted"
    step "After the reboot"
    eventually serves hello 1
    eventually serves pushed 3
    shown "both apps are back by themselves"
    units_run
    doctor
    push 's/VERSION = "3"/VERSION = "4"/' || fail "git push"
    serves pushed 4

    step "Uninstall"
    ./install.sh --uninstall
    [ -e /var/lib/paas/paas.db ] || fail "the data is gone"
    # One after the other: what is asked for would find the words of who filters it.
    left=$(leftovers)
    left=$(grep -v '^/var/lib/paas\|^/etc/\(passwd\|group\|shadow\|gshadow\|subuid\|subgid\)' <<<"$left" || true)
    [ -z "$left" ] || fail "left behind: $left"
    ! pgrep -f /usr/lib/paas || fail "processes are left"
    ! page hello || fail "something serves on"
    shown "the program is gone, the data is there"

    step "Install again"
    install . --no-demo
    eventually serves hello 1
    eventually serves pushed 4
    shown "everything is back"

    step "Purge"
    ./install.sh --purge
    left=$(leftovers)
    [ -z "$left" ] || fail "left behind: $left"
    shown "nothing is left"
    rm -rf $STATE
    printf '\nEverything was shown\n'
}

# Whatever on this machine has our name: files, users, mounts, networks, control groups. Not
# counted are the backups of /etc/passwd and its like (passwd(5)), and the directory in which all
# paas of a machine say which networks are taken, with its lock: it is in memory.
leftovers() {
    find / -xdev \( -path "$PWD" -o -path $STATE -o -path /var/log/journal -o -path /proc \) -prune \
        -o -name '*paas*' -print
    grep -rlw --exclude='*-' paas /etc 2>/dev/null || true
    grep paas /proc/self/mountinfo || true
    find /run /sys/fs/cgroup -path /run/paas-networks -prune -o -name '*paas*' -print 2>/dev/null || true
    ip -o link show | grep paas || true
    ip netns list | grep paas || true
    nft list tables | grep paas || true
    pgrep -af '/usr/lib/paas|/var/lib/paas' || true
}

[ "$(id -u)" = 0 ] || fail "run it as root"
case ${1:-} in
    before) before ;;
    after) after ;;
    *) sed -n '2,/^set -/{/^set -/d;s/^# \{0,1\}//;p}' "$0"; exit 2 ;;
esac
