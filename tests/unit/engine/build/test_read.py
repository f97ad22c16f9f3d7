"""Every instruction is validated, in BuildKit's words, before anything runs."""

import pytest

from paas.engine.build import instructions as ins
from paas.engine.build.errors import DockerfileError
from paas.engine.build.stages import read_dockerfile
from paas.engine.config import Healthcheck


def failure(line: str) -> str:
    with pytest.raises(DockerfileError) as caught:
        read_dockerfile(f"FROM a\n{line}\n".encode(), "Dockerfile")
    return caught.value.brief.removeprefix("Dockerfile:2: ")


def step(text: str) -> ins.Instruction:
    (found,) = read_dockerfile(f"FROM a\n{text}\n".encode(), "Dockerfile").stages[0].steps
    return found


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("RUNN apt", "unknown instruction: RUNN (did you mean RUN?)"),
        ("cop a b", "unknown instruction: COP (did you mean COPY?)"),
        ("<<<<<<< HEAD", "unknown instruction: <<<<<<<"),
        ("FROM", "FROM requires either one or three arguments"),
        ("FROM a b", "FROM requires either one or three arguments"),
        (
            "FROM a AS 1x",
            'invalid name for build stage: "1x", name can\'t start with a number or'
            ' contain symbols',
        ),
        ("FROM --platfrom=x a", "unknown flag: --platfrom (did you mean --platform?)"),
        ("COPY a", "COPY requires at least two arguments, but only 1 was provided. Destination"
                   " could not be determined"),
        ("COPY --chwon=1 a b", "unknown flag: --chwon (did you mean --chown?)"),
        ("COPY --chown a b", "missing a value on flag: chown"),
        ("COPY --from=a --from=b c d", "duplicate flag specified: from"),
        ("COPY --link=maybe c d", "expecting boolean value for flag link, not: maybe"),
        ("COPY a b c", "When using COPY with more than one source file, the destination must be a"
                       " directory and end with a /"),
        ("COPY https://example.com/x /", "source can't be a URL for COPY: https://example.com/x"),
        ("COPY a <<EOF\nx\nEOF", "COPY cannot accept a heredoc as a destination"),
        ("ADD --checksum=sha256:x a /", "checksum requires HTTP(S) or Git sources"),
        ("ADD --checksum=sha256:x http://a/b http://a/c /d/",
         "checksum can't be specified for multiple sources"),
        ("COPY https://example.com/x /", "source can't be a URL for COPY: https://example.com/x"),
        ("RUN", "RUN requires at least one argument"),
        ("RUN []", "RUN requires at least one argument"),
        ("RUN --mount=type=volume,target=/x y", 'unsupported mount type "volume"'),
        ("RUN --mount=type=bnd,target=/x y",
         'unsupported mount type "bnd" (did you mean bind?)'),
        ("RUN --mount=type=cache,tarket=/x y",
         "unexpected key 'tarket' in 'tarket=/x' (did you mean target?)"),
        ("RUN --mount=type=cache,target y", "invalid field 'target' must be a key=value pair"),
        ("RUN --mount=type=cache,sharing=all y", 'unsupported sharing value "all"'),
        ("RUN --mount=type=bind,sharing=locked,target=/x y",
         "invalid cache sharing set for bind mount"),
        ("RUN --mount=type=bind,target=/x,ro=perhaps y", "invalid value for readonly: perhaps"),
        ("RUN --mount=type=cache,target=/x,mode=9 y", "invalid value 9 for mode"),
        ("RUN --mount=type=cache,target=/x,uid=-1 y", "invalid value -1 for uid"),
        ("RUN --mount=type=tmpfs,target=/x,mode=700 y",
         'mode not allowed for "tmpfs" type mounts'),
        ("RUN --mount=type=tmpfs,target=/x,size=big y", "invalid value for size: big"),
        ("RUN --mount=type=secret y", "invalid secret mount. one of source, target required"),
        ("RUN --mount=type=secret,id=x,from=y z", "secret mount should not have a from"),
        ("RUN --mount=type=secret,id=x,source=y z", "both source and id can't be set"),
        ("RUN --mount=from=$X,target=/x y",
         "'from=$X' doesn't support variable expansion, define alias stage instead"),
        ("RUN --network=host y",
         "RUN --network=host is not allowed: a build must not reach what the"
         " server does"),
        ("RUN --network=bridge y", 'invalid network mode "bridge"'),
        ("RUN --device=vendor/x y", "RUN --device is not allowed: builds have no devices"),
        ("RUN --security=insecure y", "RUN --security=insecure is not allowed here"),
        ("ARG", "ARG requires at least one argument"),
        ("ARG =x", "ARG names can not be blank"),
        ("ENV", "ENV requires at least one argument"),
        ("ENV =x", "ENV names can not be blank"),
        ("LABEL", "LABEL requires at least one argument"),
        ("WORKDIR", "WORKDIR requires exactly one argument"),
        ("USER", "USER requires exactly one argument"),
        ("STOPSIGNAL", "STOPSIGNAL requires exactly one argument"),
        ("MAINTAINER", "MAINTAINER requires exactly one argument"),
        ("EXPOSE", "EXPOSE requires at least one argument"),
        ("VOLUME", "VOLUME requires at least one argument"),
        ('VOLUME [" "]', "VOLUME specified can not be an empty string"),
        ("SHELL", "SHELL requires at least one argument"),
        ("SHELL /bin/sh", "SHELL requires the arguments to be in JSON form"),
        ("HEALTHCHECK", "HEALTHCHECK requires at least one argument"),
        ("HEALTHCHECK NONE x", "HEALTHCHECK NONE takes no arguments"),
        ("HEALTHCHECK CMD", "Missing command after HEALTHCHECK CMD"),
        ("HEALTHCHECK curl x", 'Unknown type "CURL" in HEALTHCHECK (try CMD)'),
        ("HEALTHCHECK --interval=5 CMD x", 'invalid duration "5"'),
        ("HEALTHCHECK --interval=1us CMD x", 'Interval "interval" cannot be less than 1ms'),
        ("HEALTHCHECK --retries=-1 CMD x", "--retries cannot be negative (-1)"),
        ("HEALTHCHECK --retries=x CMD x", '--retries is not a number: "x"'),
        ("ONBUILD", "ONBUILD requires at least one argument"),
        ("ONBUILD ONBUILD RUN x", "Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed"),
        ("ONBUILD FROM x", "FROM isn't allowed as an ONBUILD trigger"),
        ("ONBUILD RUNN x", "unknown instruction: RUNN (did you mean RUN?)"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_with_the_line(line: str, message: str) -> None:
    assert failure(line) == message


def test_an_instruction_before_from_is_refused() -> None:
    with pytest.raises(DockerfileError) as caught:
        read_dockerfile(b"ARG a\nRUN x\nFROM y\n", "Dockerfile")
    assert caught.value.brief == "Dockerfile:2: no build stage in current context"


def test_run_has_a_shell_form_and_an_argv_form() -> None:
    shell = step("RUN a && b")
    argv = step('RUN ["a", "b c"]')
    assert isinstance(shell, ins.Run)
    assert isinstance(argv, ins.Run)
    assert (shell.args, shell.shell) == (("a && b",), True)
    assert (argv.args, argv.shell) == (("a", "b c"), False)


def test_a_lone_document_of_run_is_a_script_and_others_are_the_shells() -> None:
    plain = step("RUN <<EOF\na\nb\nEOF")
    script = step("RUN <<EOF\n#!/usr/bin/env python3\nprint()\nEOF")
    mixed = step("RUN cat <<EOF > /x\na\nEOF")
    assert isinstance(plain, ins.Run)
    assert isinstance(script, ins.Run)
    assert isinstance(mixed, ins.Run)
    assert plain.args == ("a\nb\n",)
    assert script.script == ins.Document("EOF", "#!/usr/bin/env python3\nprint()\n", expand=False)
    assert mixed.args == ("cat <<EOF > /x\na\nEOF",)


def test_documents_of_copy_are_files() -> None:
    found = step('COPY <<a.txt <<-"b" c /d/\n$x\na.txt\n\t$y\nb\n')
    assert isinstance(found, ins.Copy)
    assert found.documents == (
        ins.Document("a.txt", "$x\n", expand=True),
        ins.Document("b", "$y\n", expand=False),
    )
    assert (found.sources, found.target) == (("c",), "/d/")


def test_healthcheck_durations_are_seconds() -> None:
    found = step('HEALTHCHECK --interval=1m30s --start-period=500ms --retries=4 CMD ["a", "b"]')
    assert isinstance(found, ins.Healthcheck)
    assert found.config == Healthcheck(
        ("CMD", "a", "b"), interval=90.0, start_period=0.5, retries=4
    )


def test_onbuild_keeps_the_trigger_whole() -> None:
    one = step("ONBUILD RUN a \\\n  b")
    documented = step("onbuild RUN <<EOF\na\nEOF")
    assert isinstance(one, ins.Onbuild)
    assert isinstance(documented, ins.Onbuild)
    assert one.trigger == "RUN a   b"
    assert documented.trigger == "RUN <<EOF\na\nEOF"


def test_a_summary_is_one_line() -> None:
    assert step("run a \\\n  b").summary == "RUN a b"
    assert step("RUN <<EOF\na\nEOF").summary == "RUN <<EOF"
