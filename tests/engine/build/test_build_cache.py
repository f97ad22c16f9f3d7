"""The cache: what changes is made again, nothing else is, and nobody's neighbour is broken."""

import json
import os
import signal

import pytest

from paas.engine.build.cache import Made
from paas.engine.images import Image
from paas.host import files
from tests.engine.build.rig import Rig, Told

FROM = "FROM paas/test-base:1\n"


def cached(rig: Rig, dockerfile: str, contents: dict[str, str | bytes] | None = None,
           **options: object) -> list[bool]:  # fmt: skip
    """Which of the steps that make files were found; others are never said to be CACHED."""
    told = Told()
    rig.build(FROM + dockerfile, contents, told, **options)
    kinds = ("RUN", "COPY", "ADD", "WORKDIR")
    return [
        line.endswith("CACHED") for line in told.details if line.split(" : ")[1].split()[0] in kinds
    ]


def test_the_same_again_is_the_same_image(rig: Rig) -> None:
    dockerfile = FROM + "ENV T=same\nWORKDIR /same\nCOPY a .\nRUN echo $T > b\nCMD x\n"
    one = rig.build(dockerfile, {"a": "A"})
    two = rig.build(dockerfile, {"a": "A"}, tag="paas/same:1")
    assert one.id == two.id
    resolved = rig.images.resolve("paas/same:1")
    assert resolved is not None
    assert resolved.id == one.id


def test_contents_count_and_times_do_not(rig: Rig) -> None:
    dockerfile = "ENV T=contents\nCOPY a /a\nRUN true\n"
    assert cached(rig, dockerfile, {"a": "1"}) == [False, False]
    assert cached(rig, dockerfile, {"a": "1"}) == [True, True]  # other files, of another time
    assert cached(rig, dockerfile, {"a": "2"}) == [False, False]
    assert cached(rig, dockerfile, {"a": "1", "b": "unused"}) == [True, True]
    assert cached(rig, dockerfile, {"a": "#!/bin/sh"}) == [False, False]


def test_the_mode_of_a_file_counts(rig: Rig) -> None:
    context = rig.context({"Dockerfile": FROM + "ENV T=mode\nCOPY a /a\n", "a": "A"})
    rig.builder.build(context, report=Told())
    (context.root / "a").chmod(0o755)
    again = rig.context({"Dockerfile": FROM + "ENV T=mode\nCOPY a /a\n", "a": "A"})
    (again.root / "a").chmod(0o755)
    told = Told()
    image = rig.builder.build(again, report=told)
    assert told.cached[-1] is False
    assert rig.look_all(image)["a"].mode == 0o755


def test_what_a_command_sees_counts_and_labels_do_not(rig: Rig) -> None:
    assert cached(rig, "ENV T=sees\nRUN echo 1 > /1\n") == [False]
    assert cached(rig, "ENV T=sees\nLABEL new=1\nEXPOSE 80\nCMD x\nRUN echo 1 > /1\n") == [True]
    assert cached(rig, "ENV T=sees U=1\nRUN echo 1 > /1\n") == [False]
    assert cached(rig, "ENV T=sees\nUSER me\nRUN true\n") == [False]
    assert cached(rig, 'ENV T=sees\nSHELL ["/bin/busybox", "sh", "-c"]\nRUN true\n') == [False]


def test_arguments_count_from_where_they_are_declared(rig: Rig) -> None:
    dockerfile = "ENV T=args\nRUN echo a > /a\nARG X\nRUN echo b > /b\n"
    assert cached(rig, dockerfile, build_args={"X": "1"}) == [False, False]
    assert cached(rig, dockerfile, build_args={"X": "2"}) == [True, False]
    assert cached(rig, dockerfile, build_args={"X": "1"}) == [True, True]


def test_proxies_do_not_count(rig: Rig) -> None:
    dockerfile = "ENV T=proxy\nRUN echo $http_proxy > /dev/null\n"
    assert cached(rig, dockerfile, build_args={"http_proxy": "a"}) == [False]
    assert cached(rig, dockerfile, build_args={"http_proxy": "b"}) == [True]


def test_a_stage_that_makes_the_same_files_again_changes_nothing_after_it(rig: Rig) -> None:
    def steps(version: str) -> str:
        return (
            f"ENV T=stages\nRUN echo built > /out-file; echo {version} > /log\n"
            "FROM paas/test-base:1\nENV T=stages\nCOPY --from=0 /out-file /x\nRUN touch /y\n"
        )

    assert cached(rig, steps("1")) == [False, False, False]
    assert cached(rig, steps("2")) == [False, True, True]
    assert cached(rig, steps("2")) == [True, True, True]


def test_a_base_that_moved_builds_anew(rig: Rig) -> None:
    first = rig.build(FROM + "RUN echo 1 > /version\n", tag="paas/moving:1")
    assert rig.build("FROM paas/moving:1\nRUN touch /z\n").layers[:-1] == first.layers
    second = rig.build(FROM + "RUN echo 2 > /version\n", tag="paas/moving:1")
    assert rig.build("FROM paas/moving:1\nRUN touch /z\n").layers[:-1] == second.layers


def test_without_the_cache_all_is_made_and_then_found(rig: Rig) -> None:
    dockerfile = "ENV T=nocache\nRUN touch /x\n"
    assert cached(rig, dockerfile) == [False]
    assert cached(rig, dockerfile, use_cache=False) == [False]
    assert cached(rig, dockerfile) == [True]


def test_a_layer_that_is_gone_is_made_again(rig: Rig) -> None:
    dockerfile = "ENV T=gone\nRUN touch /x\n"
    cached(rig, dockerfile)
    image = rig.build(FROM + dockerfile)
    files.remove_tree(rig.layers.path(image.layers[-1]))  # damaged from outside
    assert cached(rig, dockerfile) == [False]
    assert rig.look_all(rig.build(FROM + dockerfile))["x"].kind == "file"


def test_a_collected_layer_takes_its_rows_along(rig: Rig) -> None:
    made = Made(rig.workspace.layer((), lambda upper: (upper / "f").touch()), 1.0)
    assert made.layer is not None
    rig.cache.keep("k" * 64, "RUN x", made)
    assert rig.cache.find("k" * 64) == made
    rig.layers.remove(made.layer)
    assert rig.cache.find("k" * 64) is None


def test_a_failed_build_keeps_the_steps_before_it_and_leaves_nothing(rig: Rig) -> None:
    images = len(rig.images.list())
    with pytest.raises(Exception, match="exit code 1"):
        rig.build(FROM + "ENV T=failed\nRUN touch /x\nRUN false\n")
    assert rig.leftovers() == []
    assert len(rig.images.list()) == images
    assert cached(rig, "ENV T=failed\nRUN touch /x\nRUN true\n") == [True, False]


def test_two_builds_of_the_same_at_once_make_it_once(rig: Rig, tmp_path: os.PathLike[str]) -> None:
    """In processes of their own, as two pushes are."""
    dockerfile = FROM + "ENV T=race\nRUN sleep 0.4; cat /proc/sys/kernel/random/uuid > /once\n"
    results, write = os.pipe()
    children = []
    for _ in range(3):
        context = rig.context({"Dockerfile": dockerfile})
        child = os.fork()
        if child == 0:
            code = 1
            try:
                image = rig.builder.build(context, report=Told())
                os.write(write, json.dumps([image.id]).encode() + b"\n")
                code = 0
            finally:
                os._exit(code)
        children.append(child)
    os.close(write)
    codes = [os.waitpid(child, 0)[1] for child in children]
    with os.fdopen(results) as lines:
        ids = set(lines)
    assert codes == [0, 0, 0]
    assert len(ids) == 1
    assert rig.leftovers() == []


def test_what_killed_builds_leave_is_freed(rig: Rig) -> None:
    """kill -9 in the middle of a COPY: a mount and an upper directory stay."""
    ready, write = os.pipe()
    child = os.fork()
    if child == 0:
        image = rig.build(FROM)
        with rig.layers.lease(), rig.workspace.tree(image.layers):
            os.write(write, b"+")
            signal.pause()
        os._exit(0)
    os.read(ready, 1)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    os.close(ready)
    os.close(write)
    assert len(rig.leftovers()) == 2
    with rig.layers.lease():
        assert not rig.builder.recover()  # a build is running
    assert len(rig.leftovers()) == 2
    assert rig.builder.recover()
    assert rig.leftovers() == []


def test_an_image_that_only_has_other_metadata_has_the_same_layers(rig: Rig) -> None:
    one: Image = rig.build(FROM + "ENV T=meta\nRUN touch /x\nCMD a\n")
    two: Image = rig.build(FROM + "ENV T=meta\nRUN touch /x\nCMD b\n")
    assert one.layers == two.layers
    assert one.id != two.id
