"""Every clause of Heroku's buildpack API, by buildpacks written in the style of its own.

https://devcenter.heroku.com/articles/buildpack-api, and of the articles "Using multiple
buildpacks", ".profile.d" and "Slug compiler" what buildpacks rely on. The buildpacks say
facts, a line each; nothing but the engine is between them and these tests. How one fails:
test_buildpack_images.py; fetched over git and pushed to: test_deliveries.py.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from paas.deploy.buildpacks import Built
from paas.engine.build.context import DirectoryContext
from paas.engine.engine import Engine
from paas.engine.spec import ContainerSpec, command_of
from paas.model.procfile import InvalidProcfile
from paas.model.report import Silent
from tests.push.server import Server
from tests.push.verified import COMMIT, Output, Tree, build_with

LIBRARY = """\
topic() { echo "-----> $*"; }
fact() { echo "fact $1=$2"; }
# As the article has it: each file of ENV_DIR is a variable, but for what would break a build.
export_env_dir() {
    local file name
    for file in "$1"/*; do
        name=$(basename "$file")
        case $name in PATH | GIT_DIR | CPATH | CPPATH | LD_PRELOAD | LIBRARY_PATH) continue ;; esac
        export "$name=$(cat "$file")"
    done
}
"""

FIRST = {
    "lib/common.sh": LIBRARY,
    "opt/tool": "#!/bin/sh\necho tool-of-the-first\n",
    "bin/detect": """\
#!/usr/bin/env bash
[ $# = 1 ] && [ -f "$1/app.txt" ] && echo "First/One ($(basename "$(pwd)"))"
""",
    "bin/compile": """\
#!/usr/bin/env bash
# bin/compile <build-dir> <cache-dir> <env-dir>
set -euo pipefail
BUILD_DIR=$1 CACHE_DIR=$2 ENV_DIR=$3
BP_DIR=$(cd "$(dirname "$0")/.." && pwd)
. "$BP_DIR/lib/common.sh"
topic "Compiling"
fact arguments $#
fact build_dir "$BUILD_DIR"
fact home "$HOME"
fact umask "$(umask)"
fact user "$(id -u)"
fact stack "$STACK"
fact source_version "$SOURCE_VERSION"
fact stdin "$(cat | wc -c)"
fact files "$(cd "$BUILD_DIR" && stat -c '%n:%a' app.txt run.sh | paste -sd,)"
fact link "$(readlink "$BUILD_DIR/to-app")"
fact cache "$(cd "$CACHE_DIR" && find . -mindepth 1 -printf '%P:%y%m:%l,\\n' |
    LC_ALL=C sort | tr -d '\\n')"
mkdir -p "$CACHE_DIR/deps" && echo x >"$CACHE_DIR/deps/kept" && chmod 750 "$CACHE_DIR/deps/kept"
ln -sfn deps/kept "$CACHE_DIR/link"
fact env_dir "$(ls "$ENV_DIR" | LC_ALL=C sort | paste -sd,)"
for name in $(ls "$ENV_DIR"); do
    fact "value_$name" "$(od -An -v -tx1 "$ENV_DIR/$name" | tr -d ' \\n')"
done
fact environment "${GREETING-unset}"
fact bash_env "$(env | grep -c '^BASH_ENV=' || true)"
(export_env_dir "$ENV_DIR" && fact exported_by_itself "$GREETING")
fact scratch "$(mktemp -d >/dev/null && echo writable)"
echo "       to standard error" >&2
printf '\\033[31mred\\033[0m\\n'
mkdir -p "$BUILD_DIR/vendor/bin" "$BUILD_DIR/.profile.d"
cp "$BP_DIR/opt/tool" "$BUILD_DIR/vendor/bin/" && chmod 755 "$BUILD_DIR/vendor/bin/tool"
echo "export PATH=$BUILD_DIR/vendor/bin:\\$PATH ORDER=a" >"$BUILD_DIR/.profile.d/a.sh"
echo 'export ORDER=${ORDER}b GREETING=${GREETING:-default} OTHER=${OTHER:-default}' \\
    >"$BUILD_DIR/.profile.d/b.sh"
echo 'export ORDER=broken' >"$BUILD_DIR/.profile.d/not-shell"
ln -sf /app/Procfile.web "$BUILD_DIR/Procfile"
echo "export PATH=$BUILD_DIR/vendor/bin:\\$PATH" >"$BP_DIR/export"
echo "export SPACED='two words'" >>"$BP_DIR/export"
echo "NOT_EXPORTED=1" >>"$BP_DIR/export"
echo left >/tmp/left-behind
""",
    "bin/release": """\
#!/usr/bin/env bash
cat <<YAML
---
addons:
  - heroku-postgresql:standard-0
  - one
config_vars:
  FROM_FIRST: "1.10"
  BOTH: first
default_process_types:
  web: never used, the last one's are
YAML
""",
    "bin/report": "#!/bin/sh\nexit 1\n",
    "bin/test-compile": "#!/bin/sh\nexit 1\n",
}
SECOND = {
    "bin/detect": "#!/bin/sh\n[ -x $1/vendor/bin/tool ] && echo Second\n",
    "bin/compile": """\
#!/bin/sh
echo "fact tool=$(tool)"
echo "fact spaced=$SPACED"
echo "fact not_exported=${NOT_EXPORTED-unset}"
echo "fact shared_cache=$(cat "$2/link")"
echo "fact files_of_the_first=$(ls "$1/.profile.d" | paste -sd,)"
""",
    "bin/release": """\
#!/bin/sh
echo '{"addons": ["one", "two"], "config_vars": {"BOTH": "second"},'
echo ' "default_process_types": {"web": "replaced", "worker": "echo $GREETING | tr a-z A-Z"}}'
""",
}

CONFIG = {
    "GREETING": "hello",
    "EMPTY": "",
    "LINES": "one\ntwo\n\n",
    "QUOTES": "'\" \\ $(id) `id` $HOME %s\t",
    "ÜNICODE".replace("Ü", "U"): "ß€😀",
    "lower_case": "-n",
    "_": "underscore",
    "PATH": "/nowhere",
    "BASH_ENV": "/nowhere",
    "IFS": "x",
    "STACK_": "s",
    "PAAS_CONFIG_X": "twice",
    "A" * 200: "long",
}
"""Names and values that are someone's; every name that an app may have is a file."""

APP = {
    "app.txt": "app\n",
    "run.sh": "#!/bin/sh\n",
    # The command of a process type is bash's.
    "Procfile.web": "web: [[ -x run.sh ]] && tool;"
    ' echo "$ORDER" "$PROFILE" "$GREETING" "$OTHER" "$FROM_FIRST"\n',
    ".profile": 'export PROFILE="$ORDER+profile"\n',
}


@pytest.fixture(scope="module")
def engine(server: Server) -> Iterator[Engine]:
    engine = Engine(server.layout)
    yield engine
    engine.database.close()


def folder(path: Path, files: Mapping[str, str]) -> Path:
    for name, text in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_text(text)
    return path


def pack(path: Path, files: Mapping[str, str]) -> DirectoryContext:
    return DirectoryContext(folder(path, files), Silent())


def app(path: Path, files: Mapping[str, str]) -> Tree:
    folder(path, files)
    (path / "run.sh").chmod(0o755)
    (path / "to-app").symlink_to("app.txt")
    return Tree(path)


def facts(output: Output) -> dict[str, str]:
    lines = [line[5:] for line in output.text.splitlines() if line.startswith("fact ")]
    return {name: value for name, _, value in (line.partition("=") for line in lines)}


def run(engine: Engine, built: Built, command: str, env: Mapping[str, str]) -> str:
    """What a process of the app prints, started as an instance is."""
    output = Output()
    spec = ContainerSpec(
        id=f"api-{secrets.token_hex(6)}",
        image=built.image.id,
        owner="verify",
        args=command_of(built.image.config, shell_command=command),
        env={"PORT": "5000", **env},
    )
    assert engine.foreground.run_reported(spec, output.add, 30.0) == 0, output.text
    return output.text


def test_a_procfile_that_cannot_be_read_is_refused_after_the_compile(
    engine: Engine, tmp_path: Path
) -> None:
    def left(command: str) -> Built:
        files = {"bin/detect": "#!/bin/sh\n", "bin/compile": f"#!/bin/sh\ncd $1; {command}\n"}
        packs = [pack(tmp_path / "pack", files)]
        return build_with(engine, packs, Tree(tmp_path / "app"), Output(), cache="api")

    app(tmp_path / "app", APP)
    with pytest.raises(InvalidProcfile, match="Procfile:1: 'nonsense' is not of the form"):
        left("echo nonsense >Procfile")
    # A link to what is not the app's leads to nothing, and never to a file of the server.
    assert left("ln -s /etc/passwd Procfile").processes == {}
    assert left("mkfifo Procfile").processes == {}


def test_what_is_not_exported_reaches_no_other_and_what_is_dropped_no_app(
    engine: Engine, tmp_path: Path
) -> None:
    packs = [pack(tmp_path / "1", FIRST), pack(tmp_path / "2", SECOND)]
    output = Output()
    built = build_with(
        engine, packs, app(tmp_path / "app", APP), output, CONFIG, cache=secrets.token_hex(4)
    )
    found = facts(output)

    # bin/detect, and what is shown.
    assert "-----> First/One (app) app detected\n-----> Compiling\n" in output.text
    assert "-----> Second app detected\n" in output.text
    assert "       to standard error\n\x1b[31mred\x1b[0m\n" in output.text

    # bin/compile BUILD_DIR CACHE_DIR ENV_DIR
    assert found["arguments"] == "3"
    assert found["build_dir"] == found["home"] == "/app"
    assert (found["umask"], found["user"], found["stdin"]) == ("0022", "1000", "0")
    assert (found["stack"], found["source_version"]) == ("paas-13", COMMIT)
    assert found["files"] == "app.txt:644,run.sh:755"
    assert found["link"] == "app.txt"
    assert found["cache"] == ""
    assert found["scratch"] == "writable"

    # ENV_DIR: a file each, byte by byte, and nothing in the environment.
    assert found["env_dir"].split(",") == sorted(CONFIG)
    for name, value in CONFIG.items():
        assert found[f"value_{name}"] == value.encode().hex(), name
    assert (found["environment"], found["exported_by_itself"]) == ("unset", "hello")
    assert found["bash_env"] == "0"

    # export, and the same CACHE_DIR and BUILD_DIR for the next one.
    assert (found["tool"], found["spaced"]) == ("tool-of-the-first", "two words")
    assert (found["not_exported"], found["shared_cache"]) == ("unset", "x")
    assert found["files_of_the_first"] == "a.sh,b.sh,not-shell"

    # bin/release: add-ons of all, the process types of the last, under the Procfile's.
    assert "Add-ons it asks for: heroku-postgresql:standard-0, one, two" in output.text
    assert built.processes == {
        "web": APP["Procfile.web"].removeprefix("web: ").rstrip(),
        "worker": "echo $GREETING | tr a-z A-Z",
    }
    config = built.image.config.env
    assert (config["FROM_FIRST"], config["BOTH"]) == ("1.10", "second")

    # The app: .profile.d in its order, then .profile, over the config it is started with.
    said = run(engine, built, built.processes["web"], {"GREETING": "bonjour"})
    assert said == "tool-of-the-first\nab ab+profile bonjour default 1.10\n"
    assert run(engine, built, built.processes["worker"], {}) == "DEFAULT\n"
    left = "ls /tmp /opt/paas; ls -d /dev/shm/config /tmp/cache; printenv LINES; stat -c %a run.sh"
    assert run(engine, built, f"({left}) 2>/dev/null", {}) == "/opt/paas:\nlaunch\n\n/tmp:\n755\n"


def test_the_cache_is_kept_with_modes_and_links(engine: Engine, tmp_path: Path) -> None:
    packs = [pack(tmp_path / "1", FIRST), pack(tmp_path / "2", SECOND)]
    tree, cache = app(tmp_path / "app", APP), secrets.token_hex(4)
    build_with(engine, packs, tree, Output(), CONFIG, cache)
    again, other = Output(), Output()
    build_with(engine, packs, tree, again, CONFIG, cache)
    assert facts(again)["cache"] == "deps/kept:f750:,deps:d755:,link:l777:deps/kept,"
    build_with(engine, packs, tree, other, CONFIG, f"{cache}-other")
    assert facts(other)["cache"] == ""


def test_a_stack_of_herokus_can_be_named(engine: Engine, tmp_path: Path) -> None:
    output = Output()
    packs = [pack(tmp_path / "1", FIRST)]
    config = {"GREETING": "x", "STACK": "heroku-24"}
    build_with(engine, packs, app(tmp_path / "app", APP), output, config, "api")
    assert facts(output)["stack"] == "heroku-24"
