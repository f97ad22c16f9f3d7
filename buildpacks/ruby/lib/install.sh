# shellcheck shell=bash
# Sourced by bin/dependencies and bin/compile: the gems of Gemfile.lock in vendor/bundle.
# A second call finds it done.

refuse() {
    printf ' !     %s\n' "$1" >&2
    shift
    [ $# -eq 0 ] || printf '       %s\n' "$@" >&2
    exit 1
}

fingerprint() {
    local file
    for file in Gemfile Gemfile.lock .ruby-version; do
        if [ -f "$file" ]; then sha256sum "$file"; fi
    done | sha256sum
}

# The version the app wants, of Gemfile.lock, the Gemfile or .ruby-version.
wanted_ruby() {
    local wanted
    wanted=$(sed -n '/^RUBY VERSION/{n;s/^ *ruby \([0-9.]*\).*/\1/p}' Gemfile.lock 2>/dev/null | sed 's/p$//')
    if [ -z "$wanted" ]; then
        wanted=$(sed -n "s/^ruby ['\"]\([0-9.]*\)['\"].*/\1/p" Gemfile | head -n 1)
    fi
    if [ -z "$wanted" ] && [ -f .ruby-version ]; then
        wanted=$(sed -n '1s/^ruby-//;1p' .ruby-version | tr -d '[:space:]')
    fi
    printf %s "$wanted"
}

# Usage: install_gems BUILD_DIR CACHE_DIR
install_gems() {
    local stamp wanted here
    cd "$1" || return
    stamp=$(fingerprint)
    export BUNDLE_APP_CONFIG=$1/.bundle BUNDLE_PATH=$1/vendor/bundle BUNDLE_USER_HOME=$2/bundle
    export BUNDLE_WITHOUT=${BUNDLE_WITHOUT-development:test} BUNDLE_DEPLOYMENT=1 BUNDLE_JOBS=4
    export BUNDLE_SILENCE_ROOT_WARNING=1 BUNDLE_IGNORE_MESSAGES=1 LANG=C.UTF-8
    if [ "$stamp" = "$(cat vendor/bundle/.installed 2>/dev/null || true)" ]; then return 0; fi
    here=$(ruby -e 'print RUBY_VERSION')
    wanted=$(wanted_ruby)
    case $here. in
        "${wanted:-$here}".*) echo "-----> Using Ruby $here" ;;
        *) refuse "Ruby $wanted cannot be had" "This stack has Ruby $here. Ask for ${here%.*} in" \
            "the Gemfile, or use a Dockerfile that starts from an image of the version you need." ;;
    esac
    [ -f Gemfile.lock ] || refuse "There is no Gemfile.lock" "Run: bundle install, commit it."
    echo "-----> Installing what Gemfile.lock says"
    set -- --quiet
    [ ! -d vendor/cache ] || set -- --quiet --local
    bundle install "$@" || refuse "bundle install failed" \
        "If Gemfile.lock does not fit the Gemfile or this platform, run: bundle lock" \
        "--add-platform $(uname -m)-linux, commit and push again."
    rm -rf vendor/bundle/ruby/*/cache
    mkdir -p vendor/bundle
    printf '%s' "$stamp" >vendor/bundle/.installed
}
