"""One engine for all tests of the builder: the cache is shared by design."""

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from paas.engine.build.buildhost import BuildHost
from tests.engine.build.rig import Rig


@pytest.fixture(scope="session")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    with ExitStack() as cleanup:
        directory = tmp_path_factory.mktemp("build")
        bundle = directory / "ca.crt"
        bundle.write_text("certificates\n")
        host = BuildHost({"PIP_INDEX_URL": "http://mirror.test/simple"}, bundle, "")
        rig = Rig(directory / "root", cleanup, host)
        rig.make_base()
        yield rig
