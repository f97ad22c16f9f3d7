"""Whole Dockerfiles: stages, bases, triggers, configuration, and what is refused early."""

import stat

import pytest

from paas.engine.build.errors import DockerfileError, StepFailed
from paas.engine.config import Healthcheck
from paas.engine.images import ImageNotFound
from paas.errors import PaasError
from tests.engine.build.rig import Rig, Told

BASE = "paas/test-base:1"


def failure(rig: Rig, dockerfile: str, contents: dict[str, str | bytes] | None = None) -> PaasError:
    told = Told()
    with pytest.raises(PaasError) as caught:
        rig.build(dockerfile, contents, told)
    assert rig.leftovers() == []
    return caught.value


def test_every_instruction_of_configuration(rig: Rig) -> None:
    image = rig.build(
        f'FROM {BASE}\nARG V=1.2\nENV A=1 B="$V x" C=${{D:-d}}\nENV A=2 E=$A\n'
        "LABEL v=$V \"a b\"='c d'\n"
        "EXPOSE 80 53/udp 8000-8002\nVOLUME /data /more\nWORKDIR /a\nWORKDIR b\nUSER me\n"
        'STOPSIGNAL SIGQUIT\nSHELL ["/bin/sh", "-ec"]\nENTRYPOINT ["/bin/echo", "$A"]\n'
        "CMD hello $A\nHEALTHCHECK --interval=5s --retries=2 CMD wget -q -O- localhost\n"
        "MAINTAINER someone\nONBUILD RUN touch /triggered\n"
    )
    config = image.config
    assert {**config.env, "PATH": ""} == {
        "PATH": "", "A": "2", "B": "1.2 x", "C": "d", "E": "1",
    }  # fmt: skip
    assert config.labels == {"v": "1.2", "a b": "c d"}
    assert config.exposed_ports == ("80/tcp", "53/udp", "8000/tcp", "8001/tcp", "8002/tcp")
    assert config.volumes == ("/data", "/more")
    assert (config.workdir, config.user, config.stop_signal) == ("/a/b", "me", "SIGQUIT")
    assert config.shell == ("/bin/sh", "-ec")
    assert config.entrypoint == ("/bin/echo", "$A")
    assert config.cmd == ("/bin/sh", "-ec", "hello $A")
    assert config.healthcheck == Healthcheck(
        ("CMD-SHELL", "wget -q -O- localhost"), interval=5.0, retries=2
    )
    assert (config.author, config.onbuild) == ("someone", ("RUN touch /triggered",))
    layered = [entry for entry in config.history if not entry.empty_layer]
    assert len(layered) == len(image.layers) - 1


def test_an_entrypoint_resets_the_cmd_of_the_base_only(rig: Rig) -> None:
    assert rig.build(f"FROM {BASE}\n").config.cmd == ("/bin/sh",)
    assert rig.build(f'FROM {BASE}\nENTRYPOINT ["x"]\n').config.cmd is None
    own = rig.build(f'FROM {BASE}\nCMD ["y"]\nENTRYPOINT ["x"]\n').config
    assert (own.entrypoint, own.cmd) == (("x",), ("y",))


def test_the_path_can_be_extended_on_any_base(rig: Rig) -> None:
    image = rig.build("FROM scratch\nENV PATH=/mine:$PATH\nCOPY a /a\n", {"a": "A"})
    assert image.config.env["PATH"].startswith("/mine:/usr/local/sbin:")
    assert len(image.layers) == 1


def test_a_workdir_belongs_to_the_user_and_an_existing_one_stays(rig: Rig) -> None:
    image = rig.build(f"FROM {BASE}\nUSER me\nWORKDIR /home/me/new/x\nWORKDIR /old\n")
    found = rig.look_all(image)
    assert found["home/me/new/x"].owner == (1000, 1001)
    assert found["old"].owner == (0, 0)


def test_stages_that_nothing_needs_are_not_built(rig: Rig) -> None:
    told = Told()
    image = rig.build(
        f"FROM {BASE} AS broken\nRUN false\nFROM {BASE} AS build\nRUN echo b > /b\n"
        "FROM scratch AS final\nCOPY --from=build /b /b\nFROM broken AS after\n",
        {},
        told,
        target="final",
    )
    assert rig.look_all(image)["b"].content == b"b\n"
    assert [line.split(" : ")[0] for line in told.details] == [f"Step {i}/4" for i in range(1, 5)]


def test_triggers_of_the_base_run_in_the_name_of_the_stage(rig: Rig) -> None:
    rig.build(
        f"FROM {BASE}\nONBUILD ARG WHO=nobody\nONBUILD COPY f /f\n"
        "ONBUILD RUN <<EOF\necho $WHO > /who\nEOF\n",
        tag="paas/triggers:1",
    )
    told = Told()
    image = rig.build(
        "FROM paas/triggers:1\nRUN cat /f /who\n", {"f": "F"}, told, build_args={"WHO": "you"}
    )
    assert told.raw == b"Fyou\n"
    assert told.warnings == []
    assert image.config.onbuild == ()
    assert len(told.details) == 5


def test_a_base_that_cannot_be_had_is_said_with_the_line(rig: Rig) -> None:
    error = failure(rig, "ARG X=1\nFROM docker.io/library/nothere:$X\n")
    assert isinstance(error, ImageNotFound)
    assert error.brief.startswith("Dockerfile:2: ")
    assert rig.pulled[-1] == "docker.io/library/nothere:1"


def test_nothing_runs_when_the_file_is_wrong_further_down(rig: Rig) -> None:
    pulled = list(rig.pulled)
    error = failure(rig, "FROM notpulled\nRUN true\nRUNN x\n")
    assert error.brief == "Dockerfile:3: unknown instruction: RUNN (did you mean RUN?)"
    assert rig.pulled == pulled


def test_a_value_that_is_none_is_said_with_the_line(rig: Rig) -> None:
    for line, message in {
        "EXPOSE 80x": "invalid containerPort: 80x",
        "EXPOSE 70000": "invalid containerPort: 70000",
        "STOPSIGNAL SIGWHAT": "Invalid signal: SIGWHAT",
        "USER $NOBODY": "USER is blank once its variables are expanded",
        "ENV A=${B?missing}": "B: missing",
    }.items():
        error = failure(rig, f"FROM {BASE}\n{line}\n")
        assert isinstance(error, DockerfileError)
        assert error.brief == f"Dockerfile:2: {message}"


def test_the_dockerfile_may_lie_elsewhere_and_have_its_own_ignore_file(rig: Rig) -> None:
    context = rig.context(
        {
            "Dockerfile": "FROM broken",
            "docker/Dockerfile.web": "FROM scratch\nCOPY . /\n",
            "docker/Dockerfile.web.dockerignore": "docker\nDockerfile\n",
            "a": "A",
        }
    )
    image = rig.builder.build(context, report=Told(), dockerfile="docker/Dockerfile.web")
    assert set(rig.look_all(image)) == {"a"}


def test_a_dockerfile_that_is_a_link(rig: Rig) -> None:
    context = rig.context(
        {"Dockerfile": "-> docker/File", "docker/File": "FROM scratch\nCOPY . /\n"}
    )
    assert "docker/File" in rig.look_all(rig.builder.build(context, report=Told()))
    for target in ("/etc/passwd", "../outside"):
        evil = rig.context({"Dockerfile": f"-> {target}"})
        with pytest.raises(DockerfileError, match="leads out of the build context"):
            rig.builder.build(evil, report=Told())


def test_no_dockerfile_is_said(rig: Rig) -> None:
    for contents, message in (
        ({"a": ""}, "There is no Dockerfile in the build context"),
        ({"Dockerfile": "-> nothing"}, "There is no Dockerfile in the build context"),
        ({"Dockerfile/x": ""}, "Dockerfile is a directory"),
    ):
        with pytest.raises(DockerfileError) as caught:
            rig.builder.build(rig.context(contents), report=Told())  # type: ignore[arg-type]
        assert caught.value.brief == message


def test_what_runs_is_said_in_lines_that_fit(rig: Rig) -> None:
    told = Told()
    rig.build(f"FROM {BASE}\nRUN true {'x' * 200}\n", {}, told)
    rig.build(f"FROM {BASE}\nRUN true {'x' * 200}\n", {}, told)
    assert all(len(line) <= 65 for line in told.details)
    assert told.details[0] == f"Step 1/2 : FROM {BASE}"
    assert told.details[3].endswith("…  CACHED")


def test_the_image_of_a_git_tree_has_its_times(rig: Rig) -> None:
    image = rig.build("FROM scratch\nCOPY d /d\n", {"d/f": "F", "d/e/": ""})
    for seen in rig.look_all(image).values():
        if seen.kind == "file" or seen.mode & stat.S_ISVTX:
            assert seen.mtime == 1_600_000_000


def test_a_failing_step_of_a_needed_stage_fails_the_build(rig: Rig) -> None:
    error = failure(rig, f"FROM {BASE} AS a\nRUN exit 3\nFROM scratch\nCOPY --from=a /x /x\n")
    assert isinstance(error, StepFailed)
    assert error.brief == "Dockerfile:2: RUN exit 3: exit code 3"
