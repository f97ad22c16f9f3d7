# shellcheck shell=bash
# Sourced by bin/dependencies and bin/compile: the packages of composer.lock in vendor.
# A second call finds it done.

export COMPOSER_NO_INTERACTION=1 COMPOSER_NO_AUDIT=1 COMPOSER_ALLOW_SUPERUSER=0 NO_COLOR=1
export COMPOSER_MEMORY_LIMIT=-1

refuse() {
    printf ' !     %s\n' "$1" >&2
    shift
    [ $# -eq 0 ] || printf '       %s\n' "$@" >&2
    exit 1
}

# Usage: install_packages BUILD_DIR CACHE_DIR; the autoloader is left for bin/compile, which
# has the classes of the app.
install_packages() {
    local stamp
    cd "$1" || return
    export COMPOSER_HOME=$2/composer
    stamp=$(cat composer.json composer.lock 2>/dev/null | sha256sum)
    if [ ! -f composer.json ] || [ "$stamp" = "$(cat .heroku/php.installed 2>/dev/null || true)" ]; then
        return 0
    fi
    echo "-----> Using PHP $(php -r 'echo PHP_VERSION;')"
    [ -f composer.lock ] || grep -qE '"(ext-|php)' composer.json ||
        ! php -r 'exit(empty(json_decode(file_get_contents("composer.json"), true)["require"]) ? 1 : 0);' ||
        refuse "There is no composer.lock" "Run: composer update, commit it."
    echo "-----> Installing what composer.lock says"
    composer install --quiet --no-dev --prefer-dist --no-progress --no-autoloader --no-scripts ||
        composer install --no-dev --prefer-dist --no-progress --no-autoloader --no-scripts ||
        refuse "composer install failed" "Of the extensions of PHP this stack has:" \
            "$(php -m | grep -v '^\[' | paste -sd ' ' | fold -sw 64)"
    mkdir -p .heroku
    printf '%s' "$stamp" >.heroku/php.installed
}
