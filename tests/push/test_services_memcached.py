"""Memcached: a TOML and a Dockerfile, of a datastore that keeps nothing."""

from __future__ import annotations

import socket
import ssl
from urllib.parse import quote

from tests.push import common
from tests.push.database import Database
from tests.push.server import Server


def test_memcached_keeps_nothing_and_says_so(server: Server) -> None:
    cache = Database.create(server, "memcached", "x")
    common.linked_and_promoted(cache)
    common.stopped_and_started(cache)
    said = cache.paas("connect", input=b"set a 0 0 1\r\n5\r\nget a\r\n")
    assert said.splitlines()[:3] == ["STORED", "VALUE a 0 1", "5"]
    for verb, words, what in (
        ("export", (), "export"),
        ("import", (), "import"),
        ("clone", ("y",), "clone"),
        ("backup", (), "back up"),
        ("backup:schedule", ("@daily",), "back up"),
        ("restore", ("--force",), "restore"),
        ("backup:verify", (), "check"),
    ):
        assert f"Memcached has nothing to {what}" in cache.refused(verb, *words)
    assert cache.backups() == []
    assert "asks nobody for a password" in cache.refused("expose")
    cache.paas("expose", "--allow", "127.0.0.1")
    trusted = ssl.create_default_context(cadata=cache.paas("certificate"))
    with (
        socket.create_connection(("127.0.0.1", int(cache.fact("exposed").split()[1]))) as plain,
        trusted.wrap_socket(plain, server_hostname="cache.test.example") as secure,
    ):
        secure.sendall(b"version\r\n")
        assert secure.recv(100).startswith(b"VERSION 1.6")
    cache.paas("unexpose")
    before = cache.container()
    cache.paas("upgrade")
    assert cache.container() != before
    assert cache.fact("status") == "running"
    assert quote(cache.fact("dsn"), safe="/:") == "memcached://memcached-x.internal:11211"
    cache.destroy()


def test_an_image_keeps_nothing_of_what_apt_needed_to_make_it(server: Server) -> None:
    Database.create(server, "memcached", "y").destroy()
    layers = list((server.layout.engine_fs / "l").iterdir())
    assert any((layer / "usr/bin/memcached").exists() for layer in layers)
    caches = [path for layer in layers for path in (layer / "var/cache/apt").rglob("*")]
    # Its lock stays, an empty file.
    assert [path for path in caches if path.is_file() and path.stat().st_size] == []
