"""The commands of datastores: the same set for each, whatever its TOML holds."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from paas.cli.access import Access
from paas.cli.services import commands
from paas.host.content import content
from paas.model.backup import Schedule
from paas.model.service import Service
from paas.plugin.catalog import Catalog
from paas.plugin.declaration import SERVICE_VERBS
from paas.plugin.service_runner import Answer
from tests.unit.cli.caller import Paas

TABLE = {command.name: command for command in commands(Catalog(content("plugins")))}


@pytest.mark.parametrize("plugin", ["mariadb", "memcached", "postgres", "rabbitmq", "redis"])
def test_every_datastore_has_every_command(plugin: str) -> None:
    named = {name.partition(":")[2] for name in TABLE if name.partition(":")[0] == plugin}
    own = {"postgres": {"databases", "extensions"}}.get(plugin, set())
    lacks = {"rotate"} if plugin == "memcached" else set()
    assert named == (SERVICE_VERBS | own) - lacks


@pytest.mark.parametrize("verb", ["link", "expose", "unexpose", "backup", "backup:adopt"])
def test_what_opens_a_service_to_others_is_for_administrators(verb: str) -> None:
    assert TABLE[f"postgres:{verb}"].access is Access.ADMIN


@dataclass
class Talk:
    """A server that says what it is told to say."""

    answer_: Answer
    asked: list[tuple[str, str, Sequence[str]]] = field(default_factory=list)

    def answer(self, service: Service, command: str, words: Sequence[str]) -> Answer:
        self.asked.append((service.name, command, tuple(words)))
        return self.answer_


@pytest.fixture
def db(paas: Paas) -> Paas:
    paas.store.services.create("postgres", "db", version="17", memory=1, credentials={})
    return paas


@pytest.mark.parametrize("said", ["plpgsql\n", "plpgsql\t1.0\tmore\n"])
def test_a_list_that_is_none_is_the_plugin_s_mistake(db: Paas, said: str) -> None:
    db.platform.service_talk = Talk(Answer(0, said, ""))
    answer = db("postgres:extensions", "db")
    assert answer.code == 1
    assert "is not name and version, parted by a tab" in answer.err


def test_what_only_a_plugin_lists_is_a_table_and_json(db: Paas) -> None:
    talk = db.platform.service_talk = Talk(Answer(0, "pg_trgm\t1.6\nplpgsql\t1.0\n", ""))
    assert db("postgres:extensions", "db").lines == ["pg_trgm  1.6", "plpgsql  1.0"]
    said = db("postgres:extensions", "db", "pg_trgm", "--format", "json")
    assert json.loads(said.out) == [
        {"name": "pg_trgm", "version": "1.6"}, {"name": "plpgsql", "version": "1.0"},
    ]  # fmt: skip
    assert talk.asked == [("db", "extensions", ()), ("db", "extensions", ("pg_trgm",))]
    talk.answer_ = Answer(0, "a b\ndb\n", "")
    assert db("postgres:databases", "db").lines == ["a b", "db"]
    assert json.loads(db("postgres:databases", "--format", "json", "db").out) == ["a b", "db"]


def test_what_it_cannot_make_is_said_with_its_code(db: Paas) -> None:
    db.platform.service_talk = Talk(Answer(3, "", "createdb: error: it exists\n"))
    said = db("postgres:databases", "db", "db")
    assert (said.code, said.out, said.err) == (3, "", " !     createdb: error: it exists\n")


def test_a_schedule_is_shown_for_programs(db: Paas) -> None:
    assert json.loads(db("postgres:backup:schedule", "db", "--format", "json").out) == []
    service = db.store.services.get("postgres", "db")
    db.store.backups.schedule(
        Schedule(service.id, "0 3 * * *", "/b", 7, 0, verify=True, next_at=0.0)
    )
    [plan] = json.loads(db("postgres:backup:schedule", "db", "--format", "json").out)
    assert plan == {
        "cron": "0 3 * * *", "target": "/b", "keep": 7, "keep_days": 0, "verify": True,
        "next": "1970-01-01 00:00:00 UTC",
    }  # fmt: skip


@pytest.mark.parametrize("verb", ["limit", "reserve"])
def test_resources_are_shown_for_programs(paas: Paas, verb: str) -> None:
    assert paas(f"resource:{verb}", "--global", "--memory", "64m").code == 0
    found = json.loads(paas(f"resource:{verb}", "--global", "--format", "json").out)
    assert (found["memory"], found["cpu"]) == ("64m", None)


def test_hooks_are_told_to_programs(paas: Paas) -> None:
    hooks = json.loads(paas("plugin:hooks", "--format", "json").out)
    assert {"name": "pre-build", "asked": True} in [
        {key: one[key] for key in ("name", "asked")} for one in hooks
    ]
