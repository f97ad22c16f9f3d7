"""`stack:list`, `stack:update`, `stack:set` and `ps:rebuild --all`, over ssh: first what fails.

What an update makes is made for real in tests/engine/test_stack.py, and takes half a minute;
here the images of the next day are those of today with a file more.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Mapping

import pytest

from paas.engine.engine import Engine
from paas.engine.images import Image
from paas.model.report import Silent
from tests.push.app import App, new_app
from tests.push.gitserver import publish, serving
from tests.push.outcome import Outcome
from tests.push.repository import Repository
from tests.push.server import Server

RUN, BUILD = "paas/stack:debian-13", "paas/stack-build:debian-13"

PACK = {
    "bin/detect": "#!/bin/sh\necho Perl\n",
    "bin/compile": "#!/bin/sh\n"
    "cat /proc/sys/kernel/random/uuid >$1/compiled\n"
    "cat /build-image >$1/built-in 2>/dev/null || echo old >$1/built-in\n",
    "bin/release": "#!/bin/sh\necho 'default_process_types: {web: exec perl server.pl}'\n",
}

SERVER = r"""
use IO::Socket::INET;
my $server = IO::Socket::INET->new(LocalPort => $ENV{PORT}, Listen => 64, ReuseAddr => 1) or die;
sub content { open(my $file, '<', shift) or return 'old'; my $line = <$file>; chomp $line; $line }
while (my $client = $server->accept) {
    while (my $line = <$client>) { last if $line =~ /^\r?$/ }
    my $body = join ' ', map { content($_) } '/run-image', '/app/built-in', '/app/compiled';
    print $client "HTTP/1.1 200 OK\r\nContent-Length: ", length $body, "\r\n",
        "Connection: close\r\n\r\n$body";
    close $client;
}
"""

CUT_OFF = """
mount --make-rprivate / && mount --bind "$1" /etc/apt && shift && exec "$@"
"""


class CutOff(Server):
    """A server whose host knows a mirror that does not answer."""

    def command(self, *args: str) -> list[str]:
        apt = self.folder / "apt"
        (apt / "apt.conf.d").mkdir(parents=True, exist_ok=True)
        (apt / "sources.list").write_text("deb http://127.0.0.1:9/debian bookworm main\n")
        (apt / "apt.conf.d/retries").write_text('Acquire::Retries "0";\n')
        return ["unshare", "--mount", "sh", "-c", CUT_OFF, "sh", str(apt), *super().command(*args)]


@pytest.fixture(scope="module")
def cut_off() -> Iterator[Server]:
    server = CutOff.start()
    yield server
    server.destroy()


@pytest.fixture(scope="module")
def engine(server: Server) -> Iterator[Engine]:
    engine = Engine(server.layout)
    before = {ref: engine.stack.ensure(ref, Silent()) for ref in (RUN, BUILD)}
    yield engine
    engine.images.tag_all({ref: image.id for ref, image in before.items()})
    engine.database.close()


@pytest.fixture(scope="module")
def pack(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Repository]:
    """A buildpack on a git server; its remote is where it is served."""
    folder = tmp_path_factory.mktemp("git")
    work = publish(folder, "perl.git", PACK, server.env)
    server.paas("git:allow-host", "127.0.0.1").ok()
    with serving(folder) as url:
        work.git("remote", "add", "served", f"{url}/perl.git").ok()
        yield work


@pytest.fixture(scope="module")
def perl(server: Server, engine: Engine, pack: Repository) -> Iterator[App]:
    app = new_app(server, "perl")
    url = pack.git("remote", "get-url", "served").ok().out
    app.push({".buildpacks": url, "server.pl": SERVER}).ok()
    yield app
    server.paas("apps:destroy", app.name, "--force").ok()
    assert engine.images.resolve(RUN)


def stack(server: Server) -> Mapping[str, object]:
    found = json.loads(server.ssh("stack:list --format json").ok().out)
    (one,) = (each for each in found if each["name"] == "debian-13")
    return one


def says(app: App) -> list[str]:
    """The run image, the build image and the compilation that an app is served from."""
    page = app.get()
    assert page.status == 200
    return page.text.split(" ")


def next_day(engine: Engine, word: str) -> None:
    """Both images with everything in new layers, as an update makes them."""
    run, build = engine.images.resolve(RUN), engine.images.resolve(BUILD)
    assert run
    assert build
    with engine.layers.lease():
        upper = engine.layers.new_upper(None)
        subprocess.run(["cp", "-aT", engine.layers.path(run.layers[0]), upper], check=True)
        (upper / "run-image").write_text(f"{word}\n")
        layers = (engine.layers.commit(upper),)
        newer = engine.images.add(run.config, layers)
        above = engine.images.add(build.config, (*layers, *build.layers[len(run.layers) :]))
        engine.images.tag_all({RUN: newer.id, BUILD: above.id})


def with_a_file(engine: Engine, ref: str, name: str, word: str) -> Image:
    image = engine.images.resolve(ref)
    assert image
    with engine.layers.lease():
        upper = engine.layers.new_upper(image.layers[-1])
        (upper / name).write_text(f"{word}\n")
        newer = engine.images.add(image.config, (*image.layers, engine.layers.commit(upper)))
        engine.images.tag(ref, newer.id)
    return newer


# -- what fails ----------------------------------------------------------------------------


def test_an_unknown_stack_is_named_with_those_there_are(perl: App) -> None:
    for command in ("stack:set {} heroku-24", "stack:set {} ../x"):
        failed = perl.ssh(command).failed(20)
        assert "The stacks of this version: debian-13, debian-12." in failed.err
    unknown = perl.ssh("stack:update debian-99").failed(20)
    assert "There is no stack 'debian-99'" in unknown.err
    perl.ssh("stack:set {} debian-13").ok()


def test_a_mirror_that_is_down_leaves_the_old_stack_and_is_said(cut_off: Server) -> None:
    before = stack(cut_off)
    assert before["made"]
    engine = Engine(cut_off.layout)
    image = engine.images.resolve(RUN)
    failed: Outcome = cut_off.paas("stack:update").failed()
    assert " !     debian-13 stays as it is: mmdebstrap failed: exit code" in failed.err
    assert "Failed to fetch http://127.0.0.1:9/debian" in failed.err
    assert "Check that this server reaches its package mirror" in failed.err
    assert stack(cut_off) == before
    assert engine.images.resolve(RUN) == image
    assert engine.layers.list() == list(image.layers if image else ())
    engine.database.close()


# -- what an update changes ----------------------------------------------------------------


def test_an_update_is_swapped_under_an_app_and_compiles_nothing(perl: App, engine: Engine) -> None:
    _, built_in, compiled = says(perl)
    server = perl.server
    assert perl.name in stack(server)["apps"]
    assert stack(server)["behind"] == []
    next_day(engine, "today")
    assert stack(server)["behind"] == [perl.name]
    assert f"to rebuild: {perl.name}" in server.ssh("stack:list").ok().out
    assert says(perl) == ["old", built_in, compiled]
    rebuilt = perl.ssh("ps:rebuild --all").ok()
    assert "Swapping the run image below what is compiled already" in rebuilt.text
    assert "app detected" not in rebuilt.text
    assert says(perl) == ["today", built_in, compiled]
    assert stack(server)["behind"] == []


def test_another_build_image_or_buildpack_compiles_anew(
    perl: App, engine: Engine, pack: Repository
) -> None:
    run, _, compiled = says(perl)
    with_a_file(engine, BUILD, "build-image", "new")
    rebuilt = perl.ssh("ps:rebuild {}").ok()
    assert "-----> Perl app detected" in rebuilt.text
    anew = says(perl)
    assert anew[:2] == [run, "new"]
    assert anew[2] != compiled
    pack.commit({"bin/detect": "#!/bin/sh\necho Camel\n"})
    pack.push().ok()
    next_day(engine, "tomorrow")
    assert "-----> Camel app detected" in perl.ssh("ps:rebuild {}").ok().text
    found = says(perl)
    assert found[:2] == ["tomorrow", "new"]
    assert found[2] not in (compiled, anew[2])
