"""Deploys without a push, and buildpacks of other people: first what is refused."""

from __future__ import annotations

import io
import os
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from paas.engine.engine import Engine
from paas.model.report import Silent
from paas.store.store import Store
from tests.push import apps
from tests.push.app import App
from tests.push.gitserver import publish, serving
from tests.push.server import Server

pytestmark = pytest.mark.turns(2)

PACK = {
    "bin/detect": "#!/bin/sh\n[ -f $1/word ] && echo Word\n",
    "bin/compile": "#!/bin/bash\n"
    'echo "-----> stack $STACK, cache $(cat $2/before 2>/dev/null || echo empty)"\n'
    "echo kept > $2/before; cat $3/SECRET 2>/dev/null; id -u\n"
    "mkdir -p .profile.d; echo 'export WORD=$(cat /app/word)' > .profile.d/word.sh\n"
    "echo 'export EXPORTED=yes' > \"$(dirname $0)/../export\"\n",
    "bin/release": "#!/bin/sh\n"
    "printf 'addons: [some-db]\\nconfig_vars: {GREETING: hello}\\n"
    "default_process_types:\\n  web: busybox\\n'\n",
    "bin/report": "#!/bin/sh\nexit 1\n",
}
"""A buildpack as Heroku documents them, which nobody here has seen before."""

SPY = {
    "bin/detect": "#!/bin/sh\necho Spy\n",
    "bin/compile": """#!/bin/bash
echo "uid $(id -u), $(find "$2" -type f | wc -l) files in the cache, $(ls "$3" | wc -l) vars"
ls -d /var/lib/paas* /root/.ssh /run/paas* /dev/vd* /dev/sd* 2>/dev/null | sed 's/^/SEEN /'
cat /proc/[0-9]*/environ 2>/dev/null | tr '\\0' '\\n' | grep -q ELSEWHERE && echo SEEN environment
gateway=$(ip route 2>/dev/null | awk '/default/{print $3}')
for address in 169.254.169.254/80 10.0.0.1/22 "$gateway/22"; do
    (exec 3<>"/dev/tcp/$address") 2>/dev/null && echo "SEEN $address"
done
mount -t tmpfs none /mnt 2>/dev/null && echo SEEN mount
ln -s /etc/passwd /tmp/paas-results/release.spy; mkfifo /tmp/paas-results/failed
exit 0
""",
}
"""One that looks for what is not its own, and lays traps where results are read."""


@pytest.fixture(scope="module")
def elsewhere(
    server: Server, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, Path]]:
    """A git server with an app and a buildpack, which the administrator allowed."""
    folder = tmp_path_factory.mktemp("git")
    publish(folder, "app.git", apps.plain("synced"), server.env)
    work = publish(folder, "pack.git", PACK, server.env)
    work.git("tag", "v1").ok()
    work.commit({"bin/compile": "#!/bin/sh\necho too new >&2\nexit 9\n"})
    work.push().ok()
    work.git("push", "paas", "v1").ok()
    publish(folder, "spy.git", SPY, server.env)
    server.paas("git:allow-host", "127.0.0.1").ok()
    with serving(folder) as url:
        yield url, folder


# -- what is refused -----------------------------------------------------------------------


def test_a_repository_that_is_not_there_is_named(
    server: Server, elsewhere: tuple[str, Path], app: App
) -> None:
    app.ssh("apps:create {}").ok()
    url, _ = elsewhere
    missing = app.ssh(f"git:sync {{}} {url}/none.git --build").failed()
    assert "could not be fetched" in missing.text
    assert "ERR " not in missing.text, "that is for git to read"
    assert "has no v9" in app.ssh(f"git:sync {{}} {url}/app.git v9 --build").failed().text
    for bad in ("file:///etc", "/var/lib", "ext::id"):
        assert "nor the URL of a git" in app.ssh(f"git:sync {{}} {bad}").failed().text


def test_an_image_that_is_not_there_is_named(app: App) -> None:
    app.ssh("apps:create {}").ok()
    failed = app.ssh("git:from-image {} 127.0.0.1:9/nothing").failed()
    assert "Cannot fetch 127.0.0.1:9/nothing" in failed.text


def test_what_is_no_archive_changes_nothing(app: App) -> None:
    app.ssh("apps:create {}").ok()
    failed = app.ssh("git:from-archive {} --archive-type zip", input=b"nothing").failed()
    assert "This is no whole zip archive" in failed.text
    assert app.ssh("releases {} --format json").ok().out.strip() == "[]"


def hostile(how: str) -> bytes:
    """A tar with a Dockerfile and something else in it."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as packed:
        packed.addfile(tarfile.TarInfo("Dockerfile"))
        info = tarfile.TarInfo(os.fsdecode(b"\xff0"))
        info.type, info.linkname = HOSTILE[how][0], "nowhere"
        header = info.tobuf(tarfile.USTAR_FORMAT, errors="surrogateescape")
        data.write(header * (100_000 if how == "many" else 1))
    return data.getvalue()


HOSTILE = {
    "device": (tarfile.CHRTYPE, b"\xff0 in the archive is neither a file nor a link"),
    "disk": (tarfile.BLKTYPE, b"\xff0 in the archive is neither a file nor a link"),
    "fifo": (tarfile.FIFOTYPE, b"\xff0 in the archive is neither a file nor a link"),
    "hard link to nothing": (tarfile.LNKTYPE, b"This is no whole tar archive"),
    "many": (tarfile.REGTYPE, b"The archive has more than 10000 files"),
}


def test_what_no_archive_of_an_app_has_changes_nothing(app: App) -> None:
    app.ssh("apps:create {}").ok()
    for how, (_, said) in HOSTILE.items():
        failed = app.ssh("git:from-archive {}", input=hostile(how)).failed()
        assert said in failed.stderr, failed.text
    assert app.ssh("releases {} --format json").ok().out.strip() == "[]"


def test_a_buildpack_that_fails_is_called_by_its_url(elsewhere: tuple[str, Path], app: App) -> None:
    url, _ = elsewhere
    pushed = app.push({"word": "x", ".buildpacks": f"{url}/pack.git\n"}).failed()
    assert f"The {url}/pack.git buildpack failed: bin/compile: exit code 9" in pushed.text
    assert "too new" in pushed.text


def test_what_is_no_buildpack_is_refused(elsewhere: tuple[str, Path], app: App) -> None:
    url, _ = elsewhere
    pushed = app.push({"word": "x", ".buildpacks": f"{url}/app.git\n"}).failed()
    assert f"{url}/app.git is no buildpack: it has no bin/detect" in pushed.text


def test_a_malicious_one_finds_nothing_of_others_and_of_the_host(
    server: Server, elsewhere: tuple[str, Path], app: App
) -> None:
    other = f"{app.name}-other"
    server.ssh(f"apps:create {other}").ok()
    server.ssh(f"config:set {other} ELSEWHERE=secret").ok()
    url, _ = elsewhere
    pushed = app.push({"word": "x", "Procfile": "web: x\n", ".buildpacks": f"{url}/spy.git\n"})
    server.paas("apps:destroy", other, "--force").ok()
    pushed.failed()
    assert "uid 1000, 0 files in the cache, 0 vars" in pushed.text
    assert "SEEN" not in pushed.text


# -- what is served ------------------------------------------------------------------------


def test_a_foreign_buildpack_of_a_tag_is_run_as_on_heroku(
    elsewhere: tuple[str, Path], app: App
) -> None:
    """Its config, cache, export, profile and release; beside one that is bundled."""
    url, _ = elsewhere
    app.ssh("apps:create {}").ok()
    app.ssh("config:set {} SECRET=in-a-file").ok()
    app.ssh(f"buildpacks:add {{}} {url}/pack.git#v1").ok()
    app.ssh("buildpacks:add {} static").ok()
    files = {"word": "word\n", "index.html": "two buildpacks"}
    pushed = app.push(files).ok()
    assert "-----> stack paas-13, cache empty" in pushed.text
    assert "in-a-file" in pushed.text
    assert "Add-ons it asks for: some-db" in pushed.text
    assert app.serves("two buildpacks")
    said = app.ssh("run {} sh -c 'echo $WORD $GREETING'").ok()
    assert said.out.strip() == "word hello"
    again = app.push(files | {"word": "other\n"}).ok()
    assert "-----> stack paas-13, cache kept" in again.text


def test_another_servers_commit_is_synced_and_deployed(
    server: Server, elsewhere: tuple[str, Path], app: App
) -> None:
    app.ssh("apps:create {}").ok()
    url, _ = elsewhere
    app.ssh(f"git:sync {{}} {url}/app.git --build").ok()
    assert server.status(app.name)["version"] == "synced"
    again = app.ssh(f"git:sync {{}} {url}/app.git main --build-if-changes").ok()
    assert "nothing to deploy" in again.text


def test_a_repository_is_fetched_over_ssh_with_the_servers_own_key(
    server: Server, elsewhere: tuple[str, Path], app: App
) -> None:
    app.ssh("apps:create {}").ok()
    _, folder = elsewhere
    assert server.sshd is not None
    keys = server.folder / "root_keys"
    keys.write_text(server.paas("git:public-key").ok().out)
    keys.chmod(0o600)
    url = f"ssh://root@127.0.0.1:{server.sshd.port}{folder}/app.git"
    server.paas("git:allow-host", f"127.0.0.1:{server.sshd.port}").ok()
    app.ssh(f"git:sync {{}} {url} main --build").ok()
    keys.unlink()
    assert server.status(app.name)["version"] == "synced"


def archive(kind: str, files: dict[str, str]) -> bytes:
    data = io.BytesIO()
    if kind == "zip":
        with zipfile.ZipFile(data, "w") as made:
            for name, text in files.items():
                made.writestr(f"app-1/{name}", text)
        return data.getvalue()
    with tarfile.open(fileobj=data, mode="w" if kind == "tar" else "w:gz") as packed:
        for name, text in files.items():
            info = tarfile.TarInfo(f"app-1/{name}")
            info.size = len(text)
            packed.addfile(info, io.BytesIO(text.encode()))
    return data.getvalue()


def test_an_archive_has_files_of_any_mode_and_name(server: Server, app: App) -> None:
    """Git knows two modes: what nobody may read in an archive, an app may."""
    app.ssh("apps:create {}").ok()
    data = io.BytesIO()
    files = apps.plain("odd", Dockerfile=apps.fixture("plain")["Dockerfile"] + "RUN cat caf*\n")
    with tarfile.open(fileobj=data, mode="w") as packed:
        for name, text in (files | {os.fsdecode(b"caf\xe9 \n"): "of any bytes"}).items():
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(text), 0
            packed.addfile(info, io.BytesIO(text.encode()))
    built = app.ssh("git:from-archive {}", input=data.getvalue()).ok()
    assert "of any bytes" in built.text
    assert server.status(app.name)["version"] == "odd"


def test_archives_of_each_kind_are_deployed(
    server: Server, elsewhere: tuple[str, Path], app: App
) -> None:
    app.ssh("apps:create {}").ok()
    for kind in ("tar", "tar.gz", "zip"):
        data = archive(kind, apps.plain(kind))
        app.ssh(f"git:from-archive {{}} --archive-type {kind}", input=data).ok()
        assert server.status(app.name)["version"] == kind
    url, folder = elsewhere
    (folder / "app.tar.gz").write_bytes(archive("tar.gz", apps.plain("fetched")))
    app.ssh(f"git:from-archive {{}} --archive-type tar.gz {url}/app.tar.gz").ok()
    assert server.status(app.name)["version"] == "fetched"
    gone = app.ssh(f"git:from-archive {{}} --archive-type tar.gz {url}/gone.tar.gz").failed()
    assert "gone.tar.gz" in gone.text
    assert server.status(app.name)["version"] == "fetched"


def test_an_image_out_of_an_archive_is_deployed(server: Server, app: App, tmp_path: Path) -> None:
    """Made of another app's image by this server's own export."""
    other = App(server, f"{app.name}-source", server.repository(f"{app.name}-source"))
    other.push(apps.plain("imaged")).ok()
    store = Store(server.layout)
    found = store.apps.get(other.name)
    image = store.releases.get(found.id, found.live or 0).image
    store.close()
    engine = Engine(server.layout)
    engine.registry.save(
        engine.images.get(image), "example.org/made:1", tmp_path / "image.tar", Silent()
    )
    engine.database.close()
    server.paas("apps:destroy", other.name, "--force").ok()
    app.ssh("apps:create {}").ok()
    data = (tmp_path / "image.tar").read_bytes()
    app.ssh("git:load-image {} example.org/made:1", input=data).ok()
    assert server.status(app.name)["version"] == "imaged"
