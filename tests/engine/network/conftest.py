"""A world for each test, and the thread that runs it on the world's host."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from importlib.resources import files
from pathlib import Path

import pytest

from paas.engine.network.network import Network
from paas.host import netlink
from paas.host.database import Database
from paas.model.layout import Layout
from tests.engine.network.world import World, connect_host, namespace


@pytest.fixture
def bare_world(tmp_path: Path) -> Iterator[World]:
    """A host on which no network was made yet."""
    with ExitStack() as cleanup:
        host = cleanup.enter_context(namespace(tmp_path / "host"))
        outside = cleanup.enter_context(namespace(tmp_path / "outside"))
        connect_host(host, outside)
        cleanup.enter_context(netlink.inside(host))
        yield World(make_network(tmp_path / "root", cleanup), host, outside, cleanup)


@pytest.fixture
def world(bare_world: World) -> World:
    bare_world.network.ensure()
    return bare_world


def make_network(
    root: Path, cleanup: ExitStack, egress: tuple[str, ...] = (), nameserver: str = "192.0.2.53"
) -> Network:
    """A network below `root` that leaves nothing behind."""
    root.mkdir()
    resolv_conf = root / "resolv.conf"
    resolv_conf.write_text(f"nameserver {nameserver}\n")
    layout = Layout.at(root)
    db = Database(layout.engine_database, files("paas.engine.migrations"))
    network = Network(layout, db, allowed_egress=egress, resolv_conf=resolv_conf)
    cleanup.callback(shutil.rmtree, layout.run, ignore_errors=True)
    cleanup.callback(db.close)
    cleanup.callback(network.prefix.release)
    cleanup.callback(network.teardown)
    return network
