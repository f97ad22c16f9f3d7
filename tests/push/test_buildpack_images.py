"""What buildpacks make: an image's layers, and what is said when one of their programs fails."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from paas.engine.build.context import DirectoryContext
from paas.engine.engine import Engine
from paas.errors import PaasError
from paas.model.report import Silent
from tests.push.server import Server
from tests.push.verified import Output, build, build_by, verify

pytestmark = pytest.mark.timeout(600)

SWAPPED = "static-plain"


@pytest.fixture(scope="module")
def engine(server: Server) -> Iterator[Engine]:
    engine = Engine(server.layout)
    yield engine
    engine.database.close()


PACK = {
    "bin/detect": "#!/bin/sh\necho Found\n",
    "bin/compile": "#!/bin/sh\necho compiling\n",
    "bin/release": "#!/bin/sh\necho '--- {}'\n",
}
EXPORT = '#!/bin/sh\necho "$LINE" > "$(dirname "$0")/../export"\n'


@pytest.mark.parametrize(
    ("program", "text", "said"),
    [
        ("bin/detect", "#!/bin/sh\nexit 3\n", "does not recognise this app"),
        ("bin/detect", "#!/nonexistent\n", "does not recognise this app"),
        ("bin/compile", "#!/bin/sh\nexit 9\n", "bin/compile: exit code 9"),
        ("bin/compile", "#!/bin/sh\nkill -9 $$\n", "bin/compile: exit code 137, it was killed"),
        ("bin/compile", EXPORT.replace("$LINE", "return 4"), "bin/export: exit code 4"),
        ("bin/release", "#!/bin/sh\nexit 5\n", "bin/release: exit code 5"),
        ("bin/release", "#!/bin/sh\necho 'a: ['\n", "not valid YAML"),
        ("bin/release", "#!/bin/sh\necho 'config_vars: [a]'\n", "must be a mapping"),
    ],
)
def test_a_buildpack_that_fails_is_named_with_its_program(
    engine: Engine, tmp_path: Path, program: str, text: str, said: str
) -> None:
    for name, content in (PACK | {program: text}).items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content)
    with pytest.raises(PaasError, match=said) as caught:
        build_by(engine, DirectoryContext(tmp_path, Silent()), "static-plain")
    assert "https://example.org/pack" in caught.value.brief


def test_a_newer_run_image_is_swapped_without_compiling(engine: Engine) -> None:
    """As a security update makes it: the same stack, with a file more."""
    built = build(engine, SWAPPED, Output())
    stack = engine.stack.ensure("debian-13", Silent())
    with engine.layers.lease():
        upper = engine.layers.new_upper(stack.layers[-1])
        (upper / "updated").write_text("today")
        newer = engine.images.add(stack.config, (*stack.layers, engine.layers.commit(upper)))
        engine.images.tag("paas/stack:debian-13", newer.id)
    try:
        output = Output()
        swapped = build(engine, SWAPPED, output, before=built.image)
    finally:
        engine.images.tag("paas/stack:debian-13", stack.id)
    assert "Swapping the run image" in output.text
    assert "app detected" not in output.text
    assert swapped.image.layers[:2] == newer.layers
    assert swapped.image.layers[-1] == built.image.layers[-1]
    assert swapped.processes == built.processes
    verify(engine, SWAPPED, swapped, output)


def test_a_rebuild_on_the_same_run_image_compiles(engine: Engine) -> None:
    built = build(engine, SWAPPED, Output())
    output = Output()
    build(engine, SWAPPED, output, before=built.image)
    assert "app detected" in output.text
