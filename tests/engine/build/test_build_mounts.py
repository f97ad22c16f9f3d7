"""RUN --mount: what a step sees that no image keeps."""

from __future__ import annotations

import pytest

from paas.engine.build.errors import DockerfileError, StepFailed
from paas.engine.build.rules import Offer
from paas.model.env import Secret
from tests.engine.build.rig import Rig, Told

FROM = "FROM paas/test-base:1\n"
TOKEN = "s3cret-t0ken"


def failure(rig: Rig, lines: str, **options: object) -> StepFailed | DockerfileError:
    with pytest.raises((StepFailed, DockerfileError)) as caught:
        rig.build(FROM + lines, {"a": "A"}, **options)  # type: ignore[arg-type]
    assert rig.leftovers() == []
    return caught.value


@pytest.mark.parametrize(
    ("mount", "said"),
    [
        ("type=bind,source=none,target=/m", '"/none" is not in the build context'),
        ("type=bind,from=paas/test-base:1,source=/none,target=/m", "is not in paas/test-base:1"),
        ("type=bind,source=a,target=/", 'invalid mount target "/"'),
        ("type=bind", 'invalid mount target "/"'),
        ("type=cache,target=/", 'invalid mount target "/"'),
        ("type=secret,id=NO,required=true", "secret NO: not found"),
        ("type=ssh,required=true", 'no SSH key "default" forwarded'),
        ("type=bind,from=later,target=/m", "Cannot fetch"),
    ],
)
def test_what_is_not_there_is_named(rig: Rig, mount: str, said: str) -> None:
    lines = f"RUN --mount={mount} true\n"
    if said == "Cannot fetch":
        with pytest.raises(Exception, match="There is no image later"):
            rig.build(FROM + lines)
        return
    error = failure(rig, lines)
    assert error.brief.startswith("Dockerfile:2: ")
    assert said in error.brief


def test_a_bind_mount_of_the_context_is_seen_and_kept_nowhere(rig: Rig) -> None:
    told, contents = Told(), {"a": "A\n", "dir/b": "B\n", "link": "-> a"}
    image = rig.build(
        FROM + "WORKDIR /w\n" + "RUN --mount=target=/all --mount=type=bind,source=dir/b,target=one"
        " --mount=source=link,target=/etc/linked"
        " cat /all/a /all/dir/b one /etc/linked; echo > /all/new; id -u; ls -n /all/a\n",
        contents,
        told,
    )
    assert told.raw.startswith(b"A\nB\nB\nA\n")
    assert b"Read-only file system" in told.raw
    assert set(rig.look_all(image)) & {"all", "w/one", "etc/linked"} == set()
    assert rig.leftovers() == []


def test_a_writable_bind_mount_forgets_what_is_written(rig: Rig) -> None:
    told = Told()
    lines = "RUN --mount=target=/c,rw echo new > /c/a && cat /c/a && cp /c/a /kept\n"
    image = rig.build(FROM + lines.replace("cp /c/a", "cat /c/a >"), {"a": "old"}, told)
    assert told.raw == b"new\n"
    assert set(rig.added(image)) == {"kept"}


def test_only_a_change_of_what_is_mounted_runs_it_again(rig: Rig) -> None:
    def runs(text: str, contents: dict[str, str | bytes]) -> bool:
        told = Told()
        rig.build(FROM + text, contents, told)
        return not told.cached[-1]

    one = "RUN --mount=source=a,target=/m cat /m > /only-a-change\n"
    assert runs(one, {"a": "1", "b": "1"})
    assert not runs(one, {"a": "1", "b": "2"})
    assert runs(one, {"a": "2", "b": "2"})
    stage = "FROM paas/test-base:1 AS made\nCOPY {} /x\nFROM paas/test-base:1\n"
    two = stage + "RUN --mount=from=made,source=/x,target=/m cat /m > /stage-change\n"
    assert runs(two.format("a"), {"a": "same", "b": "same"})
    assert not runs(two.format("a"), {"a": "same", "b": "same"})
    # The stage is another, what is taken from it is not.
    assert not runs(two.replace("COPY", "RUN true >/y\nCOPY").format("b"), {"b": "same"})
    assert runs(two.format("a"), {"a": "another"})


def test_a_bind_mount_of_an_image_and_of_a_stage(rig: Rig) -> None:
    told = Told()
    rig.build(
        "FROM paas/test-base:1 AS Tools\nRUN echo tool > /tool && chown 7:8 /tool\n"
        + FROM
        + "RUN --mount=type=bind,from=tools,target=/t,source=/tool"
        " --mount=from=0,target=/zero,rw --mount=from=paas/test-base:1,target=/i,source=/old"
        " cat /t /i/file; stat -c %u:%g /t; echo x > /zero/x; ls /zero/tool\n",
        {},
        told,
    )
    assert told.raw == b"tool\nold\n7:8\n/zero/tool\n"


def test_a_cache_is_kept_between_builds_of_one_owner_alone(rig: Rig) -> None:
    def add(scope: str, word: str, options: str = "") -> bytes:
        told = Told()
        rig.build(
            FROM + f"RUN --mount=type=cache,target=/kept{options} echo {word} >> /kept/log;"
            " cat /kept/log\n",
            {},
            told,
            offer=Offer(scope=scope),
        )
        return told.raw

    assert add("app-1", "one") == b"one\n"
    assert add("app-1", "two") == b"one\ntwo\n"
    # Neither another app nor another id sees it.
    assert add("app-2", "three") == b"three\n"
    assert add("app-1", "four", ",id=../../app-2") == b"four\n"
    assert add("app-1", "five", ",sharing=locked") == b"one\ntwo\nfive\n"
    assert {one.id for one in rig.caches.list("app-1")} == {"/kept", "../../app-2"}
    assert rig.caches.prune("app-2") > 0
    assert rig.caches.list("app-2") == []
    assert add("app-2", "six") == b"six\n"
    assert add("app-1", "seven") == b"one\ntwo\nfive\nseven\n"


def test_a_cache_has_the_owner_and_the_beginning_it_is_given(rig: Rig) -> None:
    told = Told()
    rig.build(
        FROM
        + "USER me\nRUN --mount=type=cache,target=/c,uid=1000,gid=50,mode=0700"
        " --mount=type=cache,target=/d,from=paas/test-base:1,source=/old"
        " --mount=type=cache,target=/e,ro"
        " stat -c '%u:%g %a' /c; touch /c/x; cat /d/file; touch /e/x\n".replace(
            "touch /e/x", "touch /e/x 2>&1 || true"
        ),
        {},
        told,
        offer=Offer(scope="app-begin"),
    )
    assert told.raw.startswith(b"1000:50 700\nold\n")
    assert b"Read-only" in told.raw


def test_a_cache_in_use_is_not_pruned(rig: Rig) -> None:
    scope = "app-in-use"
    with rig.caches.find(scope, "/c") as directory:
        rig.caches.create(directory, uid=0, gid=0, mode=0o755)
    lock = rig.caches.lock(directory, shared=True)
    with lock:
        rig.caches.prune(scope)
        assert rig.caches.path(directory).is_dir()
    rig.caches.prune(scope)
    assert not rig.caches.path(directory).exists()


def test_a_tmpfs_is_empty_limited_and_gone(rig: Rig) -> None:
    told = Told()
    image = rig.build(
        FROM + "RUN --mount=type=tmpfs,target=/old,size=1m ls -A /old;"
        " dd if=/dev/zero of=/old/x bs=1M count=2 2>&1 | tr -d '\\n' | head -c 300\n",
        {},
        told,
    )
    assert b"No space left" in told.raw
    assert image.layers == rig.build(FROM).layers


def test_a_secret_is_seen_by_its_step_and_by_nothing_else(rig: Rig) -> None:
    told = Told()
    offer = Offer({"TOKEN": Secret(TOKEN)})
    image = rig.build(
        FROM + "USER me\nRUN --mount=type=secret,id=TOKEN,uid=1000 --mount=type=secret,id=NONE"
        " cat /run/secrets/TOKEN; stat -c ' %a %u' /run/secrets/TOKEN; ls /run/secrets\n"
        "RUN --mount=type=secret,id=TOKEN,env=T --mount=type=secret,id=TOKEN,target=/etc/t,mode=444"
        " echo $T; cat /etc/t; ls /run/secrets 2>&1; env > /tmp/env && echo -n > /tmp/env\n"
        "RUN env; cat /etc/t /run/secrets/TOKEN || true\n",
        {},
        told,
        offer=offer,
    )
    first, second, *rest = told.raw.split(b"\n", 2)
    assert (first, second) == (TOKEN.encode() + b" 400 1000", b"TOKEN")
    assert told.raw.count(TOKEN.encode()) == 3
    assert rest[0].startswith(TOKEN.encode() + b"\n" + TOKEN.encode())
    kept = rig.images.get(image.id).config
    assert TOKEN not in repr(kept) + str(kept.history)
    assert all(
        TOKEN.encode() not in str(seen.content).encode() for seen in rig.look_all(image).values()
    )
    assert not any(path.startswith(("run", "etc/t")) for path in rig.look_all(image))
    assert rig.leftovers() == []


def test_a_secret_that_changes_is_no_reason_to_run_again(rig: Rig) -> None:
    lines = FROM + "RUN --mount=type=secret,id=K cat /run/secrets/K | tr a-z A-Z > /upper\n"
    rig.build(lines, {}, offer=Offer({"K": Secret("one")}))
    told = Told()
    rig.build(lines, {}, told, offer=Offer({"K": Secret("two")}))
    assert told.cached[-1]


def test_another_app_s_secret_is_not_offered(rig: Rig) -> None:
    error = failure(
        rig, "RUN --mount=type=secret,id=OTHER,required true\n", offer=Offer({"MINE": Secret("x")})
    )
    assert "secret OTHER: not found" in error.brief
    assert "build-config" in error.resolution


def test_no_network_is_none(rig: Rig) -> None:
    told = Told()
    rig.build(FROM + "RUN --network=none ls /sys/class/net\n", {}, told)
    assert told.raw == b"lo\n"
    assert "--network=host is not allowed" in failure(rig, "RUN --network=host true\n").brief
    assert 'invalid network mode "x"' in failure(rig, "RUN --network=x true\n").brief
