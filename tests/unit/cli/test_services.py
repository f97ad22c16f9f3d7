"""The commands of datastores: the same set for each, whatever its TOML holds."""

from __future__ import annotations

import pytest

from paas.cli.access import Access
from paas.cli.services import commands
from paas.host.content import content
from paas.plugin.catalog import Catalog

VERBS = {
    *("create", "destroy", "list", "exists", "info", "report", "set"),
    *("start", "stop", "restart", "pause", "connect", "enter", "logs", "export", "import"),
    *("link", "unlink", "links", "linked", "app-links", "promote"),
    *("expose", "unexpose", "certificate", "clone", "upgrade", "restore", "backup"),
    *("backup:list", "backup:verify", "backup:adopt"),
    *("backup:schedule", "backup:unschedule", "backup:auth"),
}

TABLE = {command.name: command for command in commands(Catalog(content("plugins")))}


@pytest.mark.parametrize("plugin", ["mariadb", "memcached", "postgres", "rabbitmq", "redis"])
def test_every_datastore_has_every_command(plugin: str) -> None:
    named = {name.partition(":")[2] for name in TABLE if name.partition(":")[0] == plugin}
    assert named >= VERBS
    own = {"postgres": {"databases", "extensions"}}.get(plugin, set())
    rotates = set() if plugin == "memcached" else {"rotate"}
    assert named - VERBS == own | rotates


@pytest.mark.parametrize("verb", ["link", "expose", "unexpose", "backup", "backup:adopt"])
def test_what_opens_a_service_to_others_is_for_administrators(verb: str) -> None:
    assert TABLE[f"postgres:{verb}"].access is Access.ADMIN
