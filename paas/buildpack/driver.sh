#!/bin/bash
# Runs buildpacks inside of the build container, as Heroku's build system does.
# https://devcenter.heroku.com/articles/buildpack-api
#
#   driver dependencies NAME    bin/dependencies of one buildpack
#   driver build NAME...        bin/detect, bin/compile and export of each, then bin/release
#
# bin/report, which tells Heroku's statistics about a build, has nobody here to tell it to.
# Says which part failed, and how, in /tmp/paas-results/failed; exits with 1 then.
build=/app
packs=/opt/paas/buildpacks
results=/tmp/paas-results
config=/dev/shm/config

# Config vars are secrets: in memory only, and in no environment but Heroku's folder of files.
take_config() {
    local name
    mkdir -p "$config"
    for name in "${!PAAS_CONFIG_@}"; do
        printf %s "${!name}" >"$config/${name#PAAS_CONFIG_}"
        unset "$name"
    done
    # For a buildpack that knows no stack but Heroku's: config:set APP STACK=heroku-24.
    if [ -f "$config/STACK" ]; then
        STACK=$(cat "$config/STACK")
        export STACK
    fi
}

fail() {
    printf '%s %s %s\n' "$@" >"$results/failed"
    exit 1
}

compile_all() {
    local name found pack
    for name in "$@"; do
        pack=$packs/$name
        found=$("$pack/bin/detect" "$build") || fail detect "$name" $?
        printf -- '-----> %s app detected\n' "${found:-$name}"
        "$pack/bin/compile" "$build" "$cache" "$config" || fail compile "$name" $?
        if [ -f "$pack/export" ]; then
            # shellcheck source=/dev/null
            . "$pack/export" || fail export "$name" $?
        fi
    done
}

release_all() {
    local name
    for name in "$@"; do
        [ -f "$packs/$name/bin/release" ] || continue
        "$packs/$name/bin/release" "$build" >"$results/release.$name" || fail release "$name" $?
    done
}

what=$1
shift
rm -rf "$results"
mkdir -p "$results"
take_config
cd "$build" || exit 1
case $what in
    dependencies)
        "$packs/$1/bin/dependencies" "$build" "$(mktemp -d)" "$config"
        code=$?
        # What is left here would be in the layer.
        cd /tmp && find . -mindepth 1 -maxdepth 1 -user "$(id -u)" -exec rm -rf {} +
        exit "$code"
        ;;
    build)
        cache=/tmp/cache
        compile_all "$@"
        release_all "$@"
        ;;
esac
