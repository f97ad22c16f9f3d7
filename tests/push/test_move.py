"""A whole server moves to another machine: with what the README says, and nothing else."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from paas.daemon import ground
from paas.daemon.whereabouts import MARK
from paas.engine.engine import Engine
from paas.engine.userns import RANGE_SIZE
from paas.host.files import remove_tree
from paas.model.layout import DEFAULT_ROOT
from tests.push import apps
from tests.push.app import App, new_app
from tests.push.database import Database
from tests.push.outcome import eventually
from tests.push.server import CHECKOUT, Server

DOCKERFILE = f"{apps.STACK}COPY app.pl VERSION /\nCMD exec perl /app.pl\n"
"""Of what is in the stack anyway."""

PROGRAM = r"""
use strict; use IO::Socket::INET;
$| = 1;
sub kept { open(my $file, "<", shift) or return "lost\n"; local $/; return <$file> }
sub cached {
    my ($password, $host, $port) = $ENV{REDIS_URL} =~ m{//:(.*)@(.*):(\d+)$} or return "no link\n";
    my $redis = IO::Socket::INET->new("$host:$port") or return "no connection: $!\n";
    print $redis "AUTH $password\r\nGET key\r\nQUIT\r\n";
    return join "", grep !/^[+\$]/, <$redis>;
}
my $server = IO::Socket::INET->new(LocalPort => $ENV{PORT}, Listen => 5, ReuseAddr => 1) or die $!;
while (my $client = $server->accept) {
    while (<$client>) { last if /^\r?$/ }
    my $version = kept("/VERSION");
    print $client "HTTP/1.0 200 OK\r\n\r\n$version$ENV{GREETING}\n", kept("/data/file"), cached();
    close $client;
}
"""
"""Answers with what it was given: its version, a variable, a file of a volume, a key of Redis."""

ALL = "1\nhello\nin the volume\nin redis\n"

STRANGER = "paas-stranger"
"""Whom the new machine has given ids that were ours on the old one."""


@pytest.fixture
def server() -> Iterator[Server]:
    """One of its own: it is taken off the machine."""
    server = Server.start()
    yield server
    server.destroy()


@pytest.fixture
def stranger() -> Iterator[str]:
    yield STRANGER
    subprocess.run(["userdel", "--force", STRANGER], check=False)


def readme(server: Server, verb: str) -> list[str]:
    """The tar of the README that packs (`-c`) or unpacks (`-x`), of this server's root."""
    text = (CHECKOUT / "README.md").read_text()
    [line] = re.findall(rf"^    (tar -C \S+ -{verb}.*)$", text, re.MULTILINE)
    assert str(DEFAULT_ROOT.parent) in line
    words = line.replace("'", "").replace("/root/server.tar", str(archive(server))).split()
    words = [str(server.folder) if word == str(DEFAULT_ROOT.parent) else word for word in words]
    return [server.layout.root.name if word == DEFAULT_ROOT.name else word for word in words]


def archive(server: Server) -> Path:
    return server.folder / "server.tar"


def tar(words: list[str]) -> None:
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def bases(server: Server) -> dict[str, int]:
    """Whose ids begin where."""
    engine = Engine(server.layout)
    with contextlib.closing(engine.database):
        rows = engine.database.execute("SELECT owner, base FROM user_ranges")
        return {row["owner"]: row["base"] for row in rows}


def blocks(user: str, table: str) -> list[range]:
    lines = Path("/etc", table).read_text().splitlines()
    numbers = [line.split(":")[1:] for line in lines if line.startswith(f"{user}:")]
    return [range(int(start), int(start) + int(count)) for start, count in numbers]


def leave(server: Server) -> None:
    """Leave this machine as if the server had never been here."""
    engine = Engine(server.layout)
    engine.network.prefix.release()
    engine.ranges.unregister()
    engine.database.close()
    remove_tree(server.layout.root)
    ground.clear(server.layout)


def take_ids(old: int, first: int) -> None:
    """Give a stranger a user id, and subordinate ids as podman wants them."""
    words = ["useradd", "--system", "--uid", str(old), "--user-group", "--no-create-home"]
    subprocess.run([*words, STRANGER], check=True)
    span = f"{first}-{first + RANGE_SIZE - 1}"
    words = ["usermod", "--add-subuids", span, "--add-subgids", span, STRANGER]
    subprocess.run(words, check=True)


def strangers_files(server: Server, uid: int) -> str:
    """What of the data belongs to the stranger; containers' files have ids of their own."""
    fs = server.layout.engine_fs
    # What goes while it looks is no error.
    words = ["find", server.layout.root, "-ignore_readdir_race", "-path", fs, "-prune"]
    words += ["-o", "-uid", str(uid)]
    ended = subprocess.run([*words, "-print"], capture_output=True, text=True, check=True)
    return ended.stdout


def files(version: str) -> dict[str, str]:
    return {"Dockerfile": DOCKERFILE, "app.pl": PROGRAM, "VERSION": f"{version}\n"}


def page(app: App) -> str:
    return app.get().text.replace("\r", "")


def in_use(server: Server) -> bool:
    """Whether a copy that is made now would be refused on another machine."""
    return bool(json.loads(server.layout.machine.read_text())["running"])


def come_from_elsewhere(server: Server) -> None:
    """All that tells this machine from the one before is its id (machine-id(5))."""
    path = server.layout.machine
    text = path.read_text().replace(Path("/etc/machine-id").read_text().strip(), "0" * 32)
    path.write_text(text)
    os.setxattr(path, MARK, text.encode())


def stock(server: Server) -> App:
    """An app with config, a volume and a database, all of which have something in them."""
    app, cache = new_app(server, "moved"), Database.create(server, "redis", "cache")
    app.ssh("apps:create {}").ok()
    app.ssh("config:set {} GREETING=hello").ok()
    server.paas("redis:link", "cache", app.name).ok()
    server.paas("storage:create", "data", "--chown", "1234:4321").ok()
    app.ssh("storage:mount {} data:/data").ok()
    app.push(files("1")).ok()
    server.paas("git:public-key").ok()
    app.ssh("run {} dd of=/data/file", input=b"in the volume\n").ok()
    with redis.Redis.from_url(cache.url) as client:
        client.set("key", "in redis")
    assert page(app) == ALL
    return app


def test_a_server_is_moved_with_all_that_it_has(server: Server, stranger: str) -> None:
    app = stock(server)
    owner = (server.layout.repos / "1.git/objects").stat().st_uid
    first = bases(server)["build"]
    environment = app.ssh("config:export {}").ok().out
    assert in_use(server)
    server.down().ok()
    assert not in_use(server)
    come_from_elsewhere(server)
    tar(readme(server, "c"))

    leave(server)
    take_ids(owner, first)
    images = f"--exclude={server.layout.engine_fs.relative_to(server.folder)}"
    tar([word for word in readme(server, "x") if "xattrs" not in word] + [images])
    said = server.paas("up", "--no-stack").failed().err
    assert f"{server.layout.root} was copied without its extended attributes" in said
    assert not server.layout.run.exists()
    remove_tree(server.layout.root)
    tar(readme(server, "x"))
    assert "come from another machine" in server.up().err
    assert "come from another machine" not in server.up().err

    eventually(lambda: page(app) == ALL)
    assert app.ssh("config:export {}").ok().out == environment
    assert app.ssh("run {} stat -c %u:%g /data").ok().out == "1234:4321\n"

    server.paas("images:verify").ok()
    # Whose ids these were keeps none of the data, and nobody has two owners' ids.
    assert strangers_files(server, owner) == ""
    app.push(files("2")).ok()
    another = new_app(server, "new")
    another.push(files("1")).ok()
    assert page(another).startswith("1\n")
    for table in ("subuid", "subgid"):
        theirs, ours = blocks(stranger, table), blocks(server.layout.user, table)
        for base in bases(server).values():
            assert any(base in block and base + RANGE_SIZE - 1 in block for block in ours)
            assert not any(
                block.start < base + RANGE_SIZE and base < block.stop for block in theirs
            )
    said = [line for line in server.paas("doctor").out.splitlines() if " sshd " not in line]
    assert not [line for line in said if line.startswith("FAIL")]
