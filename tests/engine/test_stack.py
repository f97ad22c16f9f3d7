"""The stack, made for real from the distribution's mirror: once for all tests here."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from paas.engine.chroot import StepFailed
from paas.engine.images import Image
from paas.engine.stack import RECIPES, NoSuchStack, Recipe, Stack
from paas.model.report import Lines, Silent
from tests.engine.storage import Storage, inside

pytestmark = pytest.mark.turns(2)

RUN = RECIPES["paas/stack:debian-13"]
ON_TOP = Recipe("paas/stack-test:debian-13", "trixie", ("hello",), base=RUN.ref)
BROKEN = Recipe("paas/broken:debian-13", "trixie", ("no-such-package",), base=RUN.ref)
NO_SUITE = Recipe("paas/stack:debian-0", "nosuchsuite", RUN.packages)
AGAIN = Recipe("paas/stack-again:debian-13", "trixie", ("hello",), base=RUN.ref)
TRIED = {recipe.ref: recipe for recipe in (RUN, ON_TOP, BROKEN, NO_SUITE, AGAIN)}


@pytest.fixture(scope="module")
def storage() -> Iterator[Storage]:
    storage = Storage()
    yield storage
    storage.destroy()


@pytest.fixture(scope="module")
def stack(storage: Storage) -> Stack:
    return Stack(storage.layout, storage.images, storage.layers, storage.rootfs, TRIED)


@pytest.fixture(scope="module")
def image(stack: Stack) -> Image:
    return stack.ensure("debian-13", Silent())


def left_by_failure(storage: Storage) -> list[Path]:
    places = (storage.layout.engine_fs / "tmp", storage.layout.engine / "scratch")
    return [path for place in places if place.is_dir() for path in place.iterdir()]


def test_an_unknown_stack_is_named_with_those_there_are(stack: Stack) -> None:
    with pytest.raises(NoSuchStack, match="no stack paas/stack:debian-99") as caught:
        stack.ensure("debian-99", Silent())
    assert "paas/stack:debian-13" in caught.value.resolution


def test_a_bootstrap_that_fails_leaves_nothing(stack: Stack, storage: Storage) -> None:
    with pytest.raises(StepFailed, match="mmdebstrap failed: exit code") as caught:
        stack.ensure("debian-0", Silent())
    assert "nosuchsuite" in "\n".join(caught.value.details)
    assert "mirror" in caught.value.resolution
    assert left_by_failure(storage) == []
    assert storage.images.resolve("paas/stack:debian-0") is None


def test_packages_that_fail_leave_nothing(stack: Stack, storage: Storage, image: Image) -> None:
    with pytest.raises(StepFailed, match="apt-get failed") as caught:
        stack.ensure(BROKEN.ref, Silent())
    assert "no-such-package" in "\n".join(caught.value.details)
    assert left_by_failure(storage) == []
    assert str(storage.root) not in Path("/proc/self/mounts").read_text()
    assert storage.layers.list() == list(image.layers)


def test_an_update_of_which_a_part_fails_leaves_all_names_as_they_were(
    stack: Stack, storage: Storage, image: Image
) -> None:
    """The second one cannot be made: what stands on the first must not be of another day."""
    before = storage.images.refs()
    with pytest.raises(StepFailed, match="apt-get failed"):
        stack.rebuild([AGAIN.ref, BROKEN.ref], Silent())
    assert storage.images.refs() == before
    assert left_by_failure(storage) == []
    (again,) = stack.rebuild([AGAIN.ref], Silent())
    assert again.layers[:-1] == image.layers
    assert storage.images.resolve(AGAIN.ref) == again


def test_nothing_of_this_host_is_in_it(storage: Storage, image: Image) -> None:
    root = storage.layers.path(image.layers[0])
    for name in ("etc/resolv.conf", "etc/hostname", "etc/machine-id"):
        assert (root / name).read_text() == ""
    assert list((root / "dev").iterdir()) == []
    assert not list((root / "etc/apt").rglob("*mmdebstrap*"))
    assert (
        "http://deb.debian.org/debian\n"
        in (root / "etc/apt/sources.list.d/debian.sources").read_text()
    )
    old = (root / "etc/apt/sources.list").read_text().splitlines()
    assert all(line.startswith("#") for line in old)


def test_it_is_debian_with_certificates_and_no_caches(storage: Storage, image: Image) -> None:
    root = storage.layers.path(image.layers[0])
    assert "trixie" in (root / "etc/os-release").read_text()
    assert (root / "etc/ssl/certs/ca-certificates.crt").stat().st_size > 100_000
    assert list((root / "var/cache/apt").rglob("*.*")) == []
    assert storage.layers.size(image.layers[0]) < 120 << 20
    assert (root / "usr/sbin/policy-rc.d").stat().st_mode & 0o111


def test_its_packages_ask_nobody(storage: Storage, image: Image) -> None:
    root = storage.layers.path(image.layers[0])
    answers = (root / "var/cache/debconf/config.dat").read_text("utf-8")
    assert "Name: debconf/frontend\nTemplate: debconf/frontend\nValue: Noninteractive\n" in answers


def test_it_is_made_once(stack: Stack, image: Image) -> None:
    assert stack.ensure("paas/stack:debian-13", Silent()) == image


def test_it_runs_as_a_container_would(storage: Storage, image: Image) -> None:
    root = storage.rootfs.mount("c1", image.layers, storage.range)
    inside(storage.range, root, lambda: Path("/root/.profile").read_text())
    storage.rootfs.unmount("c1")


def test_packages_become_a_layer_on_top(stack: Stack, storage: Storage, image: Image) -> None:
    said: list[bytes] = []
    top = stack.ensure(ON_TOP.ref, Lines(said.append))
    # Nothing of what apt-get says of every package: who pushes an app waits behind this.
    assert [line.split()[-1] for line in b"".join(said).splitlines()] == [
        ON_TOP.ref.encode(), b"server", b"MB",
    ]  # fmt: skip
    assert top.layers[:-1] == image.layers
    layer = storage.layers.path(top.layers[-1])
    assert (layer / "usr/bin/hello").is_file()
    assert not (layer / "var/cache/apt").exists()
    assert not (layer / "var/lib/apt/lists").exists()
    assert not (layer / "etc/resolv.conf").exists()
    assert not (layer / "run").exists()
    assert not (layer / "dev").exists()
    assert left_by_failure(storage) == []
