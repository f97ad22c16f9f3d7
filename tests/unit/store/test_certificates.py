"""Certificates and renewals belong to an app and go with it."""

from __future__ import annotations

from paas.model.certificate import Certificate, Source
from paas.store.store import Store


def known(fingerprint: str, *names: str) -> Certificate:
    return Certificate(fingerprint, Source.GIVEN, names, "CA", "1f", 1.0, 2.0, self_signed=False)


def test_a_certificate_comes_back_as_it_was(store: Store) -> None:
    app = store.apps.create("app")
    given = known("f1", "a.example", "*.b.example")
    store.certificates.add(app.id, given)
    assert store.certificates.list(app.id) == [given]


def test_the_newest_is_last_also_when_it_was_there_before(store: Store) -> None:
    app = store.apps.create("app")
    for fingerprint in ("f1", "f2", "f1"):
        store.certificates.add(app.id, known(fingerprint, "a.example"))
    assert [each.fingerprint for each in store.certificates.list(app.id)] == ["f2", "f1"]


def test_two_apps_may_share_one_and_the_last_takes_it_away(store: Store) -> None:
    apps = [store.apps.create(name) for name in ("one", "two")]
    for app in apps:
        store.certificates.add(app.id, known("f1", "*.example"))
    store.certificates.remove(apps[0].id, "f1")
    assert store.certificates.fingerprints() == {"f1"}
    store.apps.destroy(apps[1])
    assert store.certificates.fingerprints() == set()


def test_failures_are_counted_until_it_works_again(store: Store) -> None:
    app = store.apps.create("app")
    store.renewals.failed(app.id, not_before=5, error="not enabled: nothing is noted")
    assert store.renewals.find(app.id) is None
    store.renewals.enable(app.id)
    store.renewals.failed(app.id, not_before=5, error="no")
    store.renewals.failed(app.id, not_before=9, error="still no")
    found = store.renewals.find(app.id)
    assert found is not None
    assert (found.failures, found.not_before, found.error) == (2, 9, "still no")
    store.renewals.enable(app.id)
    assert [each.failures for each in store.renewals.list()] == [0]
    store.apps.destroy(app)
    assert store.renewals.list() == []
