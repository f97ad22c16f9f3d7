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
    for file in package.json package-lock.json npm-shrinkwrap.json yarn.lock pnpm-lock.yaml \
        pnpm-workspace.yaml .yarnrc .yarnrc.yml .npmrc .node-version .nvmrc; do
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

# npm, yarn or pnpm: whose lock file there is.
package_manager() {
    if [ -f pnpm-lock.yaml ]; then echo pnpm
    elif [ -f yarn.lock ]; then echo yarn
    else echo npm; fi
}

# The version of $1 that packageManager of package.json says (corepack's field), else engines.
manager_version() {
    NAME=$1 node -p 'const p = require("./package.json"), name = process.env.NAME
        const [pinned, version] = (p.packageManager || "").split("@")
        pinned === name ? (version || "").split("+")[0] : (p.engines || {})[name] || ""'
}

# Puts yarn or pnpm beside npm, exactly the version that is asked for.
install_manager() {
    local name=$1 package=$1 version
    version=$(manager_version "$name")
    case $name in
        npm)
            [ -n "$version" ] && [ "$version" != "$(npm --version)" ] || return 0
            ;;
        yarn)
            # yarn's own lock files say which of the two it is.
            if ! grep -q '^# yarn lockfile v1' yarn.lock; then
                package=@yarnpkg/cli-dist version=${version:-4}
            else
                version=${version:-1}
            fi
            ;;
        pnpm)
            case $(sed -n "s/^lockfileVersion: *'\{0,1\}\([0-9]*\).*/\1/p" pnpm-lock.yaml) in
                5) version=${version:-7} ;;
                6) version=${version:-8} ;;
                *) version=${version:-10} ;;
            esac
            ;;
    esac
    npm install --silent --global --prefix "$PWD/.heroku/node" "$package@$version" || refuse \
        "There is no $name $version" "Correct packageManager or engines in package.json."
    hash -r
    echo "       With $name $("$name" --version)"
}

# Usage: install_locked MANAGER (all|production); without the packages' own scripts.
install_locked() {
    local manager=$1 which=$2 words=()
    case $manager in
        npm)
            words=(--omit=dev)
            if [ "$which" = all ]; then words=(--include=dev); fi
            npm ci --ignore-scripts "${words[@]}" || refuse "npm ci failed" \
                "If package-lock.json does not fit package.json, run: npm install, commit both."
            ;;
        pnpm)
            [ "$which" = all ] || words=(--prod)
            CI=1 pnpm install --frozen-lockfile --ignore-scripts --reporter=append-only \
                --store-dir "$store/pnpm" "${words[@]}" || refuse "pnpm install failed" \
                "If pnpm-lock.yaml does not fit package.json, run: pnpm install, commit both."
            ;;
        yarn)
            if is_modern_yarn; then
                yarn install --immutable --mode=skip-build || refuse "yarn install failed" \
                    "If yarn.lock does not fit package.json, run: yarn install, commit both."
                [ "$which" = all ] || yarn workspaces focus --all --production
            else
                [ "$which" = all ] || words=(--production)
                yarn install --frozen-lockfile --ignore-scripts --non-interactive --silent \
                    --production=false "${words[@]}" || refuse "yarn install failed" \
                    "If yarn.lock does not fit package.json, run: yarn install, commit both."
            fi
            ;;
    esac
}

is_modern_yarn() {
    ! grep -q '^# yarn lockfile v1' yarn.lock
}

# Usage: rebuild MANAGER; the packages' own scripts, which may compile.
rebuild() {
    case $1 in
        pnpm) pnpm rebuild ;;
        yarn) if is_modern_yarn; then yarn rebuild; else npm rebuild; fi ;;
        npm) npm rebuild ;;
    esac
}

# Usage: prune MANAGER; what only the build needed goes.
prune() {
    case $1 in
        pnpm) CI=1 pnpm prune --prod --ignore-scripts ;;
        yarn)
            if is_modern_yarn; then yarn workspaces focus --all --production
            else yarn install --production --frozen-lockfile --ignore-scripts --prefer-offline --silent; fi
            ;;
        npm) npm prune --omit=dev --ignore-scripts ;;
    esac
}

# Usage: install_node BUILD_DIR CACHE_DIR
install_node() {
    local stamp manager which=production
    cd "$1" || return
    stamp=$(fingerprint)
    manager=$(package_manager)
    store=$2
    export npm_config_cache=$2/npm YARN_CACHE_FOLDER=$2/yarn YARN_ENABLE_TELEMETRY=0
    export YARN_ENABLE_GLOBAL_CACHE=false YARN_ENABLE_PROGRESS_BARS=false YARN_NODE_LINKER
    # Programs find their packages in node_modules, unless the app says that they do not.
    YARN_NODE_LINKER=$(sed -n 's/^nodeLinker: *//p' .yarnrc.yml 2>/dev/null || true)
    YARN_NODE_LINKER=${YARN_NODE_LINKER:-node-modules}
    if [ -n "${NPM_CONFIG_REGISTRY:-}" ]; then export YARN_NPM_REGISTRY_SERVER=$NPM_CONFIG_REGISTRY; fi
    export PATH=$1/.heroku/node/bin:$1/node_modules/.bin:$PATH
    if [ "$stamp" = "$(cat .heroku/node.installed 2>/dev/null || true)" ]; then
        return 0
    fi
    install_runtime "$(wanted_node)"
    install_manager "$manager"
    # What builds the app is among the development dependencies.
    if has_build_script; then which=all; fi
    if [ -f package-lock.json ] || [ -f npm-shrinkwrap.json ] || [ "$manager" != npm ]; then
        case $manager in
            npm) echo "-----> Installing what package-lock.json says" ;;
            yarn) echo "-----> Installing what yarn.lock says" ;;
            pnpm) echo "-----> Installing what pnpm-lock.yaml says" ;;
        esac
        install_locked "$manager" "$which"
    else
        echo " !     There is no lock file: versions may differ from one build to the next"
        local omit=--omit=dev
        if [ "$which" = all ]; then omit=--include=dev; fi
        npm install --ignore-scripts --no-package-lock "$omit" || refuse "npm install failed"
    fi
    # The dependencies' own scripts; those of the app need the app, and come in bin/compile.
    if [ -d node_modules ]; then rebuild "$manager" || refuse "A package could not be built"; fi
    printf '%s' "$stamp" >.heroku/node.installed
}
