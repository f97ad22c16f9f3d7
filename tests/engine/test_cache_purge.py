"""Purging the cache of an app while a build has it."""

from __future__ import annotations

import threading

from paas.deploy.buildpacks import cache_volume
from paas.deploy.compile import Compiler
from paas.deploy.parts import Parts
from paas.engine.userns import BUILD_OWNER
from paas.host.waiting import wait_until
from paas.model.app import App
from paas.model.report import Lines, Silent
from tests.engine.machine import SECONDS
from tests.engine.world import World


def test_a_cache_is_purged_behind_the_build_that_has_it(world: World, app: App) -> None:
    said: list[bytes] = []
    freed: list[int] = []

    def purge() -> None:
        lifecycle = Parts(world.layout).lifecycle
        freed.append(lifecycle.purge_cache(app, actor="ann", report=Lines(said.append)))

    engine, name = world.parts.engine, cache_volume(app.id)
    caches = Compiler(engine)._caches
    volume = caches.finish(name, 0, Silent())
    (volume / "kept").write_bytes(bytes(10000))
    purging = threading.Thread(target=purge)
    with world.parts.attempts.begin(app, "test", Silent()) as attempt:
        user_range = engine.ranges.range_for(BUILD_OWNER)
        with caches.opened(name, 0, user_range, "/cache", Silent()) as cache:
            purging.start()
            assert wait_until(lambda: bool(said) or not purging.is_alive(), SECONDS)
            assert (volume / "kept").exists()
            cache.kept = True
        assert (volume / "kept").exists()
    purging.join()
    assert b"".join(said).decode() == f"-----> Waiting for deploy {attempt.deploy.id} of shop\n"
    assert freed[0] >= 10000
    assert not volume.exists()
