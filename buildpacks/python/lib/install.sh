# shellcheck shell=bash
# Sourced by bin/dependencies and bin/compile: a virtual environment below .heroku/python
# that holds exactly what the app asks for. A second call finds it done.

refuse() {
    printf ' !     %s\n' "$1" >&2
    shift
    [ $# -eq 0 ] || printf '       %s\n' "$@" >&2
    exit 1
}

# The files that say what to install, and their digest.
fingerprint() {
    local file
    for file in requirements*.txt requirements/*.txt constraints*.txt pyproject.toml uv.lock \
        .python-version; do
        if [ -f "$file" ]; then sha256sum "$file"; fi
    done | sha256sum
}

# Sets $python to the interpreter that .python-version wants, or the stack's.
choose_python() {
    local wanted stack
    python=/usr/bin/python3
    stack=$("$python" -c 'import platform; print(platform.python_version())')
    wanted=$(sed -e 's/#.*//' -e 's/^python-//' .python-version 2>/dev/null | tr -d '[:space:]' || true)
    case $stack. in
        "${wanted:-$stack}".*) ;;
        *)
            echo "-----> Installing Python $wanted"
            export UV_PYTHON_INSTALL_DIR=$PWD/.heroku/python-versions
            uv python install --quiet --no-bin "$wanted" || refuse \
                "Python $wanted, of .python-version, cannot be had" \
                "This stack has Python $stack. Write ${stack%.*} into .python-version, or use a" \
                "Dockerfile that starts from an image of the version you need."
            python=$(uv python find --managed-python "$wanted")
            stack=$wanted
            ;;
    esac
    echo "-----> Using Python $stack"
}

install_python() {
    local build=$1 cache=$2 venv=$1/.heroku/python stamp
    cd "$build" || return
    stamp=$(fingerprint)
    if [ "$stamp" = "$(cat "$venv/.installed" 2>/dev/null || true)" ]; then
        return 0
    fi
    export UV_CACHE_DIR=$cache/uv UV_NO_PROGRESS=1 UV_LINK_MODE=copy UV_COMPILE_BYTECODE=1
    export UV_PYTHON_DOWNLOADS=manual
    choose_python
    rm -rf "$venv"
    uv venv --quiet --python "$python" "$venv"
    if [ -f uv.lock ]; then
        echo "-----> Installing what uv.lock says"
        UV_PROJECT_ENVIRONMENT=$venv uv sync --quiet --locked --no-dev --no-install-project \
            --python "$venv/bin/python" || refuse \
            "uv could not install what uv.lock says" \
            "If it does not fit pyproject.toml, run: uv lock, commit and push again."
    elif [ -f requirements.txt ]; then
        echo "-----> Installing requirements.txt with uv"
        uv pip install --quiet --python "$venv/bin/python" -r requirements.txt || refuse \
            "uv could not install requirements.txt"
    else
        refuse "There is neither requirements.txt nor uv.lock" \
            "Lock what pyproject.toml asks for: uv lock. Of another tool, export it:" \
            "poetry export > requirements.txt, or pipenv requirements > requirements.txt."
    fi
    printf '%s' "$stamp" >"$venv/.installed"
    echo "       $(find "$venv"/lib/python*/site-packages -maxdepth 1 -name '*.dist-info' | wc -l) packages"
}
