"""Building one Dockerfile of ten instructions: cold, with one line changed, with nothing.

Beside it the same by `buildah build --layers` and, where docker.io is installed, by
`docker build`: the same base, the same files, one after the other in each round.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from paas.engine.build.buildhost import BuildHost
from tests.bench.dockerd import PROGRAM, dockerd
from tests.bench.figures import Row, row, seconds
from tests.engine.build.buildah import Buildah
from tests.engine.build.rig import BASE, Rig, base_archive
from tests.push.server import HOME, Server

TITLE = "building ten instructions"
ROUNDS = 5
NOTHING_TARGET = 0.15

DOCKERFILE = f"""\
FROM {BASE}
ENV A=1
WORKDIR /app
COPY lock /app/
RUN for i in 1 2 3 4 5 6 7 8; do dd if=/dev/zero of=/app/$i bs=64k count=4 2>/dev/null; done
RUN mkdir -p /app/made && cat /app/lock > /app/made/lock
COPY . /app/
RUN cat /app/source > /app/made/source
USER me
CMD ["/bin/sh", "-c", "cat /app/source"]
"""

Build = Callable[[Path], object]


def measure(_server: Server) -> Sequence[Row]:
    """The three kinds of build, by each builder that is here."""
    with tempfile.TemporaryDirectory(dir=HOME) as name, builders(Path(name)) as each:
        found: dict[str, dict[str, list[float]]] = {builder: {} for builder in each}
        for number in range(ROUNDS):
            for builder, build in each.items():
                folder = tree(Path(name) / f"{builder}-{number}", number)
                samples = found[builder]
                samples.setdefault("cold", []).append(seconds(lambda: build(folder)))  # noqa: B023
                samples.setdefault("nothing", []).append(seconds(lambda: build(folder)))  # noqa: B023
                (folder / "source").write_text(f"changed {number}\n")
                samples.setdefault("one line", []).append(seconds(lambda: build(folder)))  # noqa: B023
    return [
        row(
            f"{builder}: {kind}",
            samples,
            target=NOTHING_TARGET if (builder, kind) == ("paas", "nothing") else None,
        )
        for kind in ("cold", "one line", "nothing")
        for builder, kinds in found.items()
        for samples in (kinds[kind],)
    ]


@contextmanager
def builders(folder: Path) -> Iterator[dict[str, Build]]:
    """By name; each has the base image."""
    with ExitStack() as stack:
        rig = Rig(folder / "paas", stack, BuildHost())
        rig.make_base()
        base = base_archive(rig, folder / "base.tar")
        buildah = Buildah(folder / "buildah", base)
        found: dict[str, Build] = {
            "paas": rig.build_in,
            "buildah": lambda path: buildah.run(
                *("build", "--isolation=chroot", "--layers", "--quiet"),
                *("--ulimit=nofile=1024:1024", str(path)),
            ),
        }
        if PROGRAM is not None:
            (folder / "docker").mkdir()
            docker = stack.enter_context(dockerd(folder / "docker"))
            docker.run("import", os.fspath(base), BASE)
            found["docker"] = lambda path: docker.run("build", "--quiet", str(path))
        yield found


def tree(folder: Path, number: int) -> Path:
    """A context that no build has seen."""
    folder.mkdir()
    (folder / "Dockerfile").write_text(DOCKERFILE)
    (folder / "lock").write_text(f"{folder.name} {number}\n")
    (folder / "source").write_text("first\n")
    for other in range(50):
        (folder / f"file-{other}").write_text(f"{other}\n" * 100)
    return folder
