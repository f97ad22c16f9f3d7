"""What the other users of a server, a hostile push and a running app try, on a whole one.

Trees and object directories that no git makes: tests/unit/deploy/test_hostile_tree.py. What
a container is refused: tests/engine/test_isolation.py and tests/engine/network.
"""

from __future__ import annotations

import json
import os
import pwd
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from paas.deploy.repository import Repository as Bare
from paas.deploy.tree import PushRefused
from paas.engine.userns import RANGE_SIZE
from paas.store.store import Store
from tests.push import apps
from tests.push.app import App
from tests.push.server import DOMAIN, Server

SECRET = "hunter2-of-the-attacks"

PUBLIC = ("ssh", "network/resolver")
"""What every user may read: the keys that sshd lets in, and names of instances."""

INSIDES = ("fs", "rootfs", "idmap", "netns")

LOOK = """
import json, os, sys
paths = json.load(sys.stdin)
found = {mode: [path for path in paths if not os.path.islink(path) and os.access(path, bit)]
         for mode, bit in (("read", os.R_OK), ("write", os.W_OK))}
print(json.dumps(found))
"""


def as_user(user: str, code: str, *words: str, data: str = "") -> subprocess.CompletedProcess[str]:
    """Run Python as somebody else, with the groups that he has."""
    account = pwd.getpwnam(user)
    return subprocess.run(
        [sys.executable, "-I", "-S", "-c", code, *words],
        user=account.pw_uid, group=account.pw_gid,
        extra_groups=os.getgrouplist(user, account.pw_gid),
        input=data, capture_output=True, text=True, check=True, cwd="/", env={},
    )  # fmt: skip


def ours(server: Server) -> list[str]:
    """Every path of the server but the insides of images and containers."""
    found = []
    for top in (server.layout.root, server.layout.run):
        for folder, directories, files in os.walk(top):
            directories[:] = [name for name in directories if name not in INSIDES]
            found += [f"{folder}/{name}" for name in (*directories, *files)]
    return found


@pytest.fixture
def secretive(live: App) -> App:
    """An app whose config has a secret."""
    live.ssh(f"config:set {{}} PASSWORD={SECRET}").ok()
    return live


@pytest.mark.parametrize("kind", ["user", "git_user", "web_user", "daemon"])
def test_other_users_read_and_write_nothing_of_ours(
    server: Server, secretive: App, kind: str
) -> None:
    user = getattr(server.layout, kind, kind)
    found = json.loads(as_user(user, LOOK, data=json.dumps(ours(server))).stdout)
    allowed = [f"{server.layout.root}/{PUBLIC[0]}", f"{server.layout.run}/{PUBLIC[1]}"]
    writable = []
    if kind == "git_user":
        # What git unpacks, for apps and of buildpacks, is its own; it only ever runs in builds.
        allowed += [f"{server.layout.repos}/", f"{server.layout.root}/buildpacks/"]
        writable = [f"{server.layout.repos}/", f"{server.layout.root}/buildpacks/"]
    if kind == "user":
        allowed += [str(server.layout.socket)]
        writable = [str(server.layout.socket)]
    assert [path for path in found["read"] if not path.startswith(tuple(allowed))] == []
    assert [path for path in found["write"] if not path.startswith(tuple(writable) or "//")] == []
    assert all(SECRET.encode() not in content for _, content, _ in files_of(found["read"]))


def files_of(paths: list[str]) -> Iterator[tuple[Path, bytes, int]]:
    """Path, content and mode of each file; journals and bundles come and go."""
    for path in map(Path, paths):
        with suppress(FileNotFoundError, IsADirectoryError):
            if path.is_file():
                yield path, path.read_bytes(), path.stat().st_mode


def test_a_secret_is_seen_in_the_processes_of_its_app_alone(secretive: App) -> None:
    running = subprocess.Popen(
        ["ssh", "server", f"run {secretive.name} cat"],
        env=secretive.server.env, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    assert running.stdin is not None
    assert running.stdout is not None
    running.stdin.write(b"up\n")
    running.stdin.flush()
    assert running.stdout.readline() == b"up\n"
    try:
        holders = {uid for name in ("cmdline", "environ") for uid in who_shows(name)}
        assert who_shows("cmdline") == set()
        assert holders
        assert min(holders) >= RANGE_SIZE
    finally:
        running.communicate()


def who_shows(file: str) -> set[int]:
    """User ids of the processes that have the secret in a file of /proc."""
    found = set()
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            if SECRET.encode() in (entry / file).read_bytes():
                found.add(entry.stat().st_uid)
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue  # ended, or the machine's own and hidden from root itself
    return found


def test_no_file_but_databases_and_bundles_has_a_secret(secretive: App) -> None:
    layout = secretive.server.layout
    for path, content, mode in files_of(ours(secretive.server)):
        if SECRET.encode() in content:
            assert path.parent == layout.root or path.is_relative_to(layout.run), path
            assert mode & 0o077 == 0, path


SEIZE = """
import os, sys
os.chdir(sys.argv[1])
for name in ("HEAD", "config"):
    for attack in (lambda: os.unlink(name), lambda: os.rename(name, "x"),
                   lambda: open(name, "a"), lambda: os.chmod(name, 0o666)):
        try:
            attack()
        except PermissionError:
            continue
        print(name)
os.mkdir("hooks")
with open("hooks/pre-receive", "w") as hook:
    hook.write("#!/bin/sh\\nexit 0\\n")
os.chmod("hooks/pre-receive", 0o755)
"""


def bare(app: App) -> Bare:
    store = Store(app.server.layout)
    try:
        return Bare(app.server.layout, store.apps.get(app.name).id)
    finally:
        store.close()


def test_the_git_user_cannot_put_hooks_or_configuration_of_his_in_place(app: App) -> None:
    app.push(apps.plain()).ok()
    repository = bare(app).path
    assert as_user(app.server.layout.git_user, SEIZE, str(repository)).stdout == ""
    refused = app.push({"Dockerfile": "FROM nowhere/at-all:all\n"}).failed()
    assert "pre-receive hook declined" in refused.text
    assert app.serves("hello 1")


def test_links_of_the_git_user_lead_root_to_nothing_that_he_may_not_read(
    app: App, tmp_path: Path
) -> None:
    """Objects of root's own repositories, by a link and by `info/alternates`."""
    app.push(apps.plain()).ok()
    theirs = app.server.repository("private", {"secret": "x"})
    objects = theirs.folder / ".git/objects"
    git_user = app.server.layout.git_user
    repository = bare(app)
    secret = theirs.head()
    # Where the app has none: the link is to stand there.
    while (repository.path / "objects" / secret[:2]).exists():
        secret = theirs.commit()
    theirs.folder.chmod(0o700)
    alternates = "open(sys.argv[1] + '/info/alternates', 'w').write(sys.argv[2] + '\\n')"
    link = "os.symlink(sys.argv[2] + '/' + sys.argv[3], sys.argv[1] + '/' + sys.argv[3])"
    words = (str(repository.path / "objects"), str(objects), secret[:2])
    for attack in (alternates, link):
        as_user(git_user, f"import os, sys; {attack}", *words)
        with pytest.raises(PushRefused):
            repository.objects().get(secret.encode())
        assert repository.objects().get(app.repository.head().encode())


def test_the_git_and_the_web_user_have_no_say(server: Server) -> None:
    connect = "import socket, sys; socket.socket(socket.AF_UNIX).connect(sys.argv[1])"
    for user in (server.layout.git_user, server.layout.web_user, "nobody"):
        with pytest.raises(subprocess.CalledProcessError) as refused:
            as_user(user, connect, str(server.layout.socket))
        assert "PermissionError" in refused.value.stderr


def test_a_tree_that_climbs_out_of_the_image_is_refused(app: App) -> None:
    """It once opened the directory of mounted images to every user of the server."""
    app.repository.commit({"Dockerfile": f"{apps.STACK}COPY . /\nRUN true\nCMD true\n"})
    below = app.repository.git("rev-parse", "HEAD^{tree}").ok().out.strip()
    entries = (
        b"40000 ..\0" + bytes.fromhex(below),
        b"100644 Dockerfile\0"
        + bytes.fromhex(app.repository.git("rev-parse", "HEAD:Dockerfile").ok().out.strip()),
    )
    tree = app.repository.git(
        "hash-object", "--literally", "-w", "-t", "tree", "--stdin", input=b"".join(entries)
    )
    commit = app.repository.git("commit-tree", "-m", "x", tree.ok().out.strip()).ok().out.strip()
    pushed = app.repository.push(f"{commit}:refs/heads/main").failed()
    assert "named '..'" in pushed.text
    mounts = list((app.server.layout.run / "build-mounts").glob("*"))
    assert {path.stat().st_mode & 0o777 for path in mounts} <= {0o700}


def test_an_app_reaches_neither_the_server_nor_another_app(app: App, live: App) -> None:
    app.push(apps.plain()).ok()
    server = app.server
    store = Store(server.layout)
    other = store.instances.list(store.apps.get(live.name).id)[0]
    store.close()
    route = subprocess.run(
        ["ip", "-o", "-4", "address"], capture_output=True, text=True, check=True
    ).stdout
    host = [line.split()[3].split("/")[0] for line in route.splitlines()]
    targets = [f"{other.address}:{other.port}", "169.254.169.254:80"]
    targets += [f"{address}:{server.http_port}" for address in host]
    site = (server.layout.proxy / f"current/sites/{live.name}.conf").read_text()
    targets += [word for word in site.split() if word.endswith(":80")]
    assert len(targets) > len(host) + 2 + 7
    for target in targets:
        assert app.get(f"/connect/{target}").text != "open", target


def test_a_request_is_answered_by_the_app_of_its_host_alone(live: App) -> None:
    for host in (f"other.{DOMAIN}", f"{live.name}.{DOMAIN}.evil.example", "127.0.0.1", "_"):
        with pytest.raises(OSError):
            live.server.get(live.name, host=host)
