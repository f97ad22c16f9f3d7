"""The commands that every datastore has, asked of one of them: the contract of the engine.

What needs the datastore's own client, or its dumps, the tests of each ask themselves.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from paas.host.content import content
from paas.plugin.catalog import Catalog
from tests.push.database import Database
from tests.push.server import Server


def linked_and_promoted(of: Database) -> None:
    """list, exists, report, info, link, links, linked, app-links, promote, unlink, destroy."""
    server, plugin, app = of.server, of.plugin, f"{of.plugin}-user"
    variable = Catalog(content("plugins")).get(plugin).manifest.link.variable
    assert of.name in server.paas(f"{plugin}:list").ok().out.split()
    of.paas("exists")
    report = json.loads(server.paas(f"{plugin}:report", "--format", "json").ok().out)
    assert report[of.name]["dsn"] == of.paas("info", "--dsn").strip()
    server.paas("apps:create", app).ok()
    try:
        for verb in ("unlink", "promote"):
            assert f"Not linked to app {app}" in of.refused(verb, app)
        of.refused("linked", app)
        server.paas("config:set", app, f"{variable}=taken", "--no-restart").ok()
        said = of.paas("link", app, "--no-restart")
        assert f"is linked to {app} as {plugin.upper()}_{of.name.upper()}_URL" in said
        assert "Already linked" in of.refused("link", app)
        of.paas("promote", app, "--no-restart")
        assert server.paas("config:get", app, variable).ok().out.strip() == of.fact("dsn")
        assert "is the first already" in of.refused("promote", app)
        assert of.paas("links") == f"{app}\n"
        assert server.paas(f"{plugin}:app-links", app).ok().out == f"{of.name}\n"
        of.paas("linked", app)
        assert f"It is linked to {app}" in of.refused("destroy", "--force")
        of.paas("unlink", app, "--no-restart")
        assert of.fact("dsn") not in server.paas("config:export", app).ok().out
        assert of.paas("links") == ""
    finally:
        server.paas("apps:destroy", app, "--force").ok()


def stopped_and_started(of: Database) -> None:
    """stop, restart, pause, start, set, enter, logs."""
    before = (of.fact("internal-ip"), of.fact("volume"))
    assert "cannot be set" in of.refused("set", "colour", "red")
    of.paas("set", "custom-env", "PROBE='it is set'")
    for ending, beginning in (("stop", "restart"), ("pause", "start")):
        of.paas(ending)
        status = {"stop": "stopped", "pause": "paused"}[ending]
        assert of.paas("info", "--status") == f"{status}\n"
        assert "is not running" in of.refused("enter", "true")
        of.paas(beginning)
        assert of.paas("info", "--status") == "running\n"
        told = "it is set\n" if ending == "stop" else "\n"
        assert of.paas("enter", "sh", "-c", "echo $PROBE") == told
        of.paas("set", "custom-env")
    assert (of.fact("internal-ip"), of.fact("volume")) == before
    of.paas("logs", "--num", "5")


def scheduled(of: Database) -> None:
    """backup:schedule, backup:unschedule, backup:adopt."""
    folder = str(of.server.folder)
    assert "is not a cron expression" in of.refused("backup:schedule", "now and then", folder)
    assert of.paas("backup:schedule") == ""
    of.paas("backup:schedule", "0 3 * * *", folder, "--keep", "2")
    assert f"0 3 * * *  {folder}  keep 2 and all days" in of.paas("backup:schedule")
    of.paas("backup:unschedule")
    assert of.paas("backup:schedule") == ""
    assert "absent" in of.refused("backup:adopt", f"{folder}/absent")


@contextmanager
def restored_under_another_name(
    server: Server, plugin: str, folder: Path, fill: Callable[[Database], object]
) -> Iterator[Database]:
    """What one service was filled with, restored into another whose linked app was told so."""
    prod, here = (Database.create(server, plugin, name) for name in ("prod", "here"))
    app = f"{plugin}-reader"
    server.paas("apps:create", app).ok()
    try:
        fill(prod)
        prod.paas("backup", str(folder))
        [file] = folder.iterdir()
        here.paas("link", app, "--no-restart")
        here.paas("backup:adopt", str(file))
        assert "Its database is prod from now on" in here.paas("restore", "--force")
        assert here.fact("dsn").endswith("/prod")
        assert here.fact("dsn") in server.paas("config:export", app).ok().out
        here.paas("restart")
        yield here
    finally:
        server.paas("apps:destroy", app, "--force").ok()
        prod.destroy()
        here.destroy()
