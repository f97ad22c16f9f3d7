"""Services as they are stored: what is yet to be revoked is as secret as what is valid."""

from __future__ import annotations

from pathlib import Path

from paas.model.env import Secret
from paas.store.store import Store
from tests.unit.store.test_sealed import NEEDLE, at_rest


def test_outdated_credentials_are_kept_sealed_and_in_their_order(
    store: Store, tmp_path: Path
) -> None:
    # The key is made with the database, which is made when it is first asked.
    assert store.services.list() == []
    old, older = ({"user": Secret(user), "password": Secret(NEEDLE)} for user in ("b", "a"))
    service = store.services.create("redis", "db", version="8", memory=1, credentials=old)
    assert service.outdated == ()
    store.services.set_outdated(service, (older, old))
    assert store.services.get("redis", "db").outdated == (older, old)
    assert NEEDLE.encode() not in at_rest(tmp_path)
    store.services.set_outdated(service, ())
    assert store.services.get("redis", "db").outdated == ()
