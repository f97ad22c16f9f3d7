# shellcheck shell=bash
# Sourced by bin/dependencies and bin/compile: Node in .heroku/node, packages in node_modules.
# A second call finds both done.

export npm_config_fund=false npm_config_audit=false npm_config_update_notifier=false
export npm_config_loglevel=error NO_COLOR=1

refuse() {
    printf ' !     %s\n' "$1" >&2
    shift
    [ $# -eq 0 ] || printf '       %s\n' "$@" >&2
    exit 1
}

fingerprint() {
    local file
    for file in package.json package-lock.json npm-shrinkwrap.json .npmrc .node-version .nvmrc; do
        if [ -f "$file" ]; then sha256sum "$file"; fi
    done | sha256sum
}

# The range of versions the app wants: engines.node, else .node-version or .nvmrc.
wanted_node() {
    local range
    range=$(/opt/node/bin/node -p '(require("./package.json").engines || {}).node || ""') ||
        refuse "package.json cannot be read"
    if [ -z "$range" ]; then
        range=$(cat .node-version .nvmrc 2>/dev/null | head -n 1 | sed 's/^v//' || true)
    fi
    case $range in lts/* | node | stable | current) range= ;; esac
    printf %s "${range:-*}"
}

# The wanted Node: the one that is here if it fits, else from npm's registry.
install_runtime() {
    local range=$1 home=$PWD/.heroku/node arch=x64 work major
    rm -rf "$home"
    mkdir -p "${home%/*}"
    cp -R /opt/node "$home"
    if ! SEMVER=/opt/node/lib/node_modules/npm/node_modules/semver RANGE=$range \
        /opt/node/bin/node -e '
            const semver = require(process.env.SEMVER)
            process.exit(semver.satisfies(process.version, process.env.RANGE) ? 0 : 1)'; then
        [ "$(uname -m)" = aarch64 ] && arch=arm64
        work=$(mktemp -d)
        PATH=/opt/node/bin:$PATH npm install --silent --no-save --prefix "$work" \
            "node-linux-$arch@$range" || refuse \
            "There is no Node that fits $range" "Correct engines.node in package.json."
        cp "$work/node_modules/node-linux-$arch/bin/node" "$home/bin/node"
        major=$("$home/bin/node" -p 'process.versions.node.split(".")[0]')
        if [ "$major" -lt 22 ]; then
            # Today's npm does not run on it.
            PATH=/opt/node/bin:$PATH npm install --silent --no-save --prefix "$work" \
                "npm@$([ "$major" -ge 18 ] && echo 10 || echo 8)"
            rm -rf "$home/lib/node_modules/npm"
            cp -R "$work/node_modules/npm" "$home/lib/node_modules/npm"
        fi
        rm -rf "$work"
    fi
    echo "-----> Using Node $("$home/bin/node" --version)"
}

has_build_script() {
    node -e 's = require("./package.json").scripts || {}
        process.exit(s.build || s["heroku-postbuild"] ? 0 : 1)'
}

# Usage: install_node BUILD_DIR CACHE_DIR
install_node() {
    local stamp omit=(--omit=dev)
    cd "$1" || return
    stamp=$(fingerprint)
    export npm_config_cache=$2/npm
    export PATH=$1/.heroku/node/bin:$1/node_modules/.bin:$PATH
    if [ "$stamp" = "$(cat .heroku/node.installed 2>/dev/null || true)" ]; then
        return 0
    fi
    install_runtime "$(wanted_node)"
    # What builds the app is among the development dependencies.
    if has_build_script; then omit=(--include=dev); fi
    if [ -f package-lock.json ] || [ -f npm-shrinkwrap.json ]; then
        echo "-----> Installing what package-lock.json says"
        npm ci --ignore-scripts "${omit[@]}" || refuse "npm ci failed" \
            "If package-lock.json does not fit package.json, run: npm install, commit both."
    elif [ -f yarn.lock ] || [ -f pnpm-lock.yaml ]; then
        refuse "Only npm's package-lock.json is supported so far" \
            "Run npm install and commit package-lock.json, or use a Dockerfile."
    else
        echo " !     There is no package-lock.json: versions may differ from one build to the next"
        npm install --ignore-scripts --no-package-lock "${omit[@]}" || refuse "npm install failed"
    fi
    # The dependencies' own scripts; those of the app need the app, and come in bin/compile.
    if [ -d node_modules ]; then npm rebuild || refuse "A package could not be built"; fi
    printf '%s' "$stamp" >.heroku/node.installed
}
