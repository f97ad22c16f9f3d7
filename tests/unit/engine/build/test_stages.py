"""Which stages a target needs, and what they stand on."""

import pytest

from paas.engine.build.errors import DockerfileError
from paas.engine.build.stages import Base, Plan, plan, read_dockerfile
from paas.engine.config import host_architecture

SEVERAL = """\
ARG BASE=debian:12
FROM ${BASE} AS build
RUN a
FROM build AS unused
RUN b
FROM scratch AS assets
COPY --from=docker.io/library/x:1 /a /a
FROM debian AS final
COPY --from=build /a /a
COPY --from=2 /a /a
FROM final AS test
"""


def planned(text: str, target: str | None = None, **args: str) -> Plan:
    return plan(read_dockerfile(text.encode(), "Dockerfile"), args, target)


def failure(text: str, target: str | None = None, **args: str) -> str:
    with pytest.raises(DockerfileError) as caught:
        planned(text, target, **args)
    return caught.value.brief


def test_only_needed_stages_are_built() -> None:
    assert [stage.index for stage in planned(SEVERAL).stages] == [0, 2, 3, 4]
    assert [stage.index for stage in planned(SEVERAL, "assets").stages] == [2]
    assert [stage.index for stage in planned(SEVERAL, "1").stages] == [0, 1]
    assert planned(SEVERAL, "FINAL").stages[-1].index == 3


def test_bases_are_stages_images_or_nothing() -> None:
    bases = planned(SEVERAL, BASE="python:3").bases
    assert bases == {
        0: Base(image="python:3"),
        2: Base(),
        3: Base(image="debian"),
        4: Base(stage=3),
    }


def test_the_last_of_two_stages_of_one_name_is_meant() -> None:
    found = planned("FROM a AS x\nFROM b AS x\nFROM x\n")
    assert found.bases[2] == Base(stage=1)


def test_a_name_shadows_an_image_only_below_it() -> None:
    assert planned("FROM debian AS debian\nFROM debian\n").bases[1] == Base(stage=0)
    assert planned("FROM debian AS debian\n").bases[0] == Base(image="debian")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("FROM $X\n", "Dockerfile:1: base name ($X) should not be blank"),
        ("FROM ${X:?tell}\n", "Dockerfile:1: X: tell"),
        ("FROM a\nCOPY --from=1 x y\n",
         "Dockerfile:2: invalid from flag value 1: no such stage before this one"),
        ("FROM a AS me\nCOPY --from=me x y\n",
         "Dockerfile:2: invalid from flag value me: that stage comes later, or is this one"),
        ("FROM a\nCOPY --from=later x y\nFROM b AS later\nFROM 0\n",
         "Dockerfile:2: invalid from flag value later: that stage comes later, or is this one"),
        ("FROM a\nCOPY --from=$x x y\n",
         "Dockerfile:2: variable expansion is not supported for --from, define a new stage with"
         " FROM using ARG from global scope as a workaround"),
        ("ARG X\n", "Dockerfile has no FROM, so there is nothing to build on"),
    ],
)  # fmt: skip
def test_what_leads_nowhere_is_refused(text: str, message: str) -> None:
    if "FROM 0" in text:
        text = text.replace("FROM 0\n", "COPY --from=0 x y\n")
    assert failure(text) == message


def test_an_unknown_target_names_those_there_are() -> None:
    with pytest.raises(DockerfileError) as caught:
        planned(SEVERAL, "nope")
    assert caught.value.brief == 'Dockerfile: target stage "nope" could not be found'
    assert "build, unused, assets, final, test" in caught.value.resolution


def test_the_platform_must_be_this_machines() -> None:
    native = f"linux/{host_architecture()}"
    assert planned(f"FROM --platform={native} a\n").bases
    assert planned("FROM --platform=$BUILDPLATFORM a\n").bases
    assert planned("FROM --platform=linux a\n").bases
    other = "linux/s390x"
    assert failure(f"FROM --platform={other} a\n") == (
        f"Dockerfile:1: --platform={other}: this server is {native} and builds for no other"
    )
