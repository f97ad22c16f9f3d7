"""What is left of a service that was released while somebody switched it."""

from __future__ import annotations

from importlib.resources import files
from ipaddress import IPv4Network
from pathlib import Path

from paas.engine.network.addresses import Backend, Plan
from paas.engine.network.services import Services
from paas.host.database import Database


def test_a_switch_behind_a_release_keeps_no_other_service_from_being_published(
    tmp_path: Path,
) -> None:
    desired = Database(tmp_path / "engine.db", files("paas.engine") / "migrations")
    observed = Database(tmp_path / "network.db", files("paas.engine.network.observed"))
    desired.execute("INSERT INTO network (id, prefix) VALUES (1, '10.200.0.0/16')")
    services = Services(desired, observed, Plan(IPv4Network("10.200.0.0/16")))
    backend = Backend(services.ensure("app:1/web").vip, 5000)
    services.ensure("app:2/web")
    services.release("app:1/web")
    for key in ("app:1/web", "app:2/web"):
        services.record(key, [backend])
    assert list(services.all()) == [services.get("app:2/web")]
    assert services.backends("app:1/web") == ()
    for database in (desired, observed):
        database.close()
