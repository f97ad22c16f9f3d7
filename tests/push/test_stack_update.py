"""`stack:list`, `stack:pull`, `stack:update`, `stack:set` and `ps:rebuild --all`, over ssh: first
what fails.

What an update makes is made for real in tests/engine/test_stack.py, and takes half a minute;
here the images of the next day are those of today with a file more. What is pulled is pulled
for real, from a registry on this machine.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator, Mapping

import pytest

from paas.engine.config import host_architecture
from paas.engine.engine import Engine
from paas.engine.images import Image
from paas.model.report import Silent
from tests.engine.distribution import halting
from tests.ports import free_port
from tests.push.app import App, new_app
from tests.push.gitserver import publish, serving
from tests.push.outcome import Outcome, eventually
from tests.push.processes import children, command_line, kill
from tests.push.repository import Repository, heard
from tests.push.server import Server, admin_environment
from tests.push.stackimages import OTHER_RELEASE, Shelf, shelf

RUN, BUILD = "paas/stack:debian-13", "paas/stack-build:debian-13"

PACK = {
    "bin/detect": "#!/bin/sh\necho Perl\n",
    "bin/compile": "#!/bin/sh\n"
    "[ ! -e $1/slow ] || { echo half >$2/word; echo marker; sleep 300; }\n"
    'echo "the cache is $(cat $2/word 2>/dev/null || echo new)"; echo whole >$2/word\n'
    "cat /proc/sys/kernel/random/uuid >$1/compiled\n"
    'echo "built for $STACK"\n'
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
    before = {ref: engine.stack.ensure(ref, Silent()).id for ref in (RUN, BUILD)}
    # By other names, or they are collected once these stand for those of the next day.
    kept = {ref.replace("paas/", "kept.example/"): image for ref, image in before.items()}
    engine.images.tag_all(kept)
    yield engine
    engine.images.tag_all(before)
    engine.images.untag(*kept)
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


def stack(server: Server, name: str = "debian-13") -> Mapping[str, object]:
    found = json.loads(server.ssh("stack:list --format json").ok().out)
    (one,) = (each for each in found if each["name"] == name)
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
        assert "There are debian-13, debian-12; pull others: stack:pull" in failed.err
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


@pytest.fixture(scope="module")
def images(
    server: Server, engine: Engine, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Shelf]:
    with shelf(engine, tmp_path_factory.mktemp("images")) as images:
        plain_http(server, images.registry.address)
        yield images


def plain_http(server: Server, address: str) -> None:
    server.paas("registry:set", address, "--plain-http", "on").ok()


def kept(engine: Engine) -> tuple[dict[str, str], set[str], list[str]]:
    """The names of images, the layers, and what transfers have on their way."""
    scratch = [path.name for path in (engine.layout.engine / "scratch").iterdir()]
    return engine.images.refs(), set(engine.layers.list()), scratch


def test_what_cannot_be_a_stack_is_refused_and_leaves_nothing(
    server: Server, engine: Engine, images: Shelf
) -> None:
    images.bare("bare")
    images.elsewhere("stack", "elsewhere")
    images.changed("stack", "other-release", "/usr/lib/os-release", OTHER_RELEASE.encode())
    good, bare, elsewhere, other = (
        images.put(image, f"{image}:1") for image in ("stack", "bare", "elsewhere", "other-release")
    )
    server.paas("gc").ok()
    before = kept(engine)
    nowhere = f"127.0.0.1:{free_port()}/stack:1"
    here = host_architecture()
    for words, said in {
        ("heroku-24", nowhere): f"Cannot fetch {nowhere}",
        ("heroku-24", f"{good}0"): f"Cannot fetch {good}0",
        ("heroku-24", good, "--build", nowhere): f"Cannot fetch {nowhere}",
        ("heroku-24", elsewhere): f"The image is made for linux/s390x, this server is linux/{here}",
        ("heroku-24", bare): f"{bare} cannot be a stack: it has no /bin/sh, /bin/bash, /usr/sbin/u",
        ("heroku-24", good, "--build", other): f"{other} is debian 99, and {good} is debian 13",
        ("heroku-24", "paas/stack:debian-13"): "paas/stack:debian-13 cannot be pulled: names below",
        ("debian-24", good): "'debian-24' cannot name a stack that is pulled",
        ("../x", good): "'../x' cannot name a stack that is pulled",
    }.items():
        assert f" !     {said}" in server.paas("stack:pull", *words).failed().err
        assert kept(engine) == before
    assert "heroku-24" not in server.ssh("stack:list").ok().out


def newest_build(app: App) -> str:
    status: str = json.loads(app.ssh("builds:list {} --format json").ok().out)[0]["status"]
    return status


def pulling(server: Server) -> list[int]:
    """The daemon's processes that have a transfer under way."""
    return [pid for pid in children(server.daemon_pid()) if any(map(transfers, children(pid)))]


def transfers(pid: int) -> bool:
    return b"skopeo" in command_line(pid)


def test_a_pull_that_is_killed_leaves_nothing(
    server: Server, engine: Engine, images: Shelf
) -> None:
    images.changed("stack", "large", "/large", os.urandom(1 << 20))
    images.put("large", "large:1")
    server.paas("gc").ok()
    before = kept(engine)
    with halting(images.registry.port, after=500_000) as halt:
        address = f"127.0.0.1:{halt.port}"
        plain_http(server, address)
        argv = server.command("stack:pull", "killed-1", f"{address}/large:1")
        with subprocess.Popen(argv, env=admin_environment(), stderr=subprocess.PIPE) as pull:
            assert halt.reached.wait(30)
            (pid,) = eventually(lambda: pulling(server))
            kill(pid)
            assert " !     " in pull.communicate()[1].decode()
    assert pull.returncode != 0
    # What was on its way goes with the next look at what nobody needs.
    eventually(lambda: server.paas("gc").code == 0)
    assert kept(engine) == before
    assert "killed-1" not in server.ssh("stack:list").ok().out


def test_a_compile_that_is_killed_with_all_of_paasd_leaves_nothing(perl: App) -> None:
    """Nor half of what it was writing to the cache."""
    server = perl.server
    before, served = server.residue(), says(perl)
    perl.repository.commit({"slow": ""})
    push = perl.repository.start_push()
    heard(push, b"marker")
    daemon = server.daemon_pid()
    for pid in (daemon, *children(daemon)):
        kill(pid)
    said = push.communicate(timeout=60)[0].decode()
    assert push.returncode != 0
    assert " !     paasd stopped before the command was done" in said
    assert says(perl) == served
    server.up()
    server.settles_to(before)
    # By the supervisor's look at what is unfinished.
    eventually(lambda: newest_build(perl) == "abandoned")
    perl.repository.git("reset", "-q", "--hard", "HEAD~").ok()
    again = perl.push({"fast": ""}).ok()
    assert "the cache is whole" in again.text
    anew = says(perl)
    assert anew[:2] == served[:2]
    assert anew[2] != served[2]


# -- what an update changes ----------------------------------------------------------------


def test_an_update_is_swapped_under_an_app_and_compiles_nothing(perl: App, engine: Engine) -> None:
    _, built_in, compiled = says(perl)
    server = perl.server
    assert perl.name in stack(server)["apps"]
    # Apps of other tests may be there.
    others = stack(server)["apps"]
    others.remove(perl.name)
    assert perl.name not in stack(server)["behind"]
    next_day(engine, "today")
    behind = stack(server)["behind"]
    assert perl.name in behind
    assert {*behind} <= {perl.name, *others}
    assert f"to rebuild: {', '.join(behind)}" in server.ssh("stack:list").ok().out
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


# -- what is pulled ------------------------------------------------------------------------


@pytest.fixture(scope="module")
def pulled(perl: App, images: Shelf) -> Iterator[str]:
    """The name that a registry has for the stack `heroku-24`, which the app is on."""
    name = images.put("stack", "heroku:24")
    assert "heroku-24 is " in perl.ssh(f"stack:pull heroku-24 {name}").ok().text
    perl.ssh("stack:set {} heroku-24").ok()
    assert "built for heroku-24" in perl.ssh("ps:rebuild {}").ok().text
    yield name
    perl.ssh("stack:set {} debian-13").ok()
    perl.ssh("stack:remove heroku-24").ok()


def test_a_pulled_stack_is_updated_as_the_registry_has_it(
    perl: App, images: Shelf, pulled: str
) -> None:
    before = stack(perl.server, "heroku-24")
    assert (before["image"], before["build_image"]) == (pulled, pulled)
    assert (before["suite"], before["apps"], before["behind"]) == ("debian 13", [perl.name], [])
    served = says(perl)
    assert served[:2] == ["old", "old"]
    # Of a user that the image has of its own nothing is left in the way.
    assert perl.ssh("run {} -- id").ok().out.startswith("uid=1000(app) gid=1000(app)")
    again = perl.ssh("stack:update heroku-24").ok()
    assert f"still: {pulled} is no newer" in again.text
    assert stack(perl.server, "heroku-24") == before

    images.changed("stack", "newer", "/run-image", b"pulled\n")
    images.put("newer", "heroku:24")
    assert "from now on" in perl.ssh("stack:update heroku-24").ok().text
    after = stack(perl.server, "heroku-24")
    assert after["version"] != before["version"]
    assert after["behind"] == [perl.name]
    assert says(perl) == served
    rebuilt = perl.ssh("ps:rebuild --all").ok()
    assert "Swapping the run image below what is compiled already" in rebuilt.text
    assert says(perl) == ["pulled", *served[1:]]
    assert stack(perl.server, "heroku-24")["behind"] == []


def test_an_update_that_fails_leaves_the_pulled_stack_as_it_is(
    perl: App, images: Shelf, pulled: str
) -> None:
    before = stack(perl.server, "heroku-24")
    images.put("other-release", "heroku:24")
    failed = perl.ssh("stack:update heroku-24").failed()
    wrong = f"{pulled} is debian 99, and heroku-24 is debian 13"
    assert f" !     heroku-24 stays as it is: {wrong}" in failed.err
    assert stack(perl.server, "heroku-24") == before
    images.put("newer", "heroku:24")
    refused = perl.ssh("stack:remove heroku-24").failed()
    assert f" !     by app {perl.name}" in refused.err
    assert "debian-13 is the server's own" in perl.ssh("stack:remove debian-13").failed().err


def test_apps_are_built_in_another_image_than_they_run_on(
    perl: App, images: Shelf, pulled: str
) -> None:
    images.changed("newer", "newer-build", "/build-image", b"pulled-too\n")
    build = images.put("newer-build", "heroku:24-build")
    perl.ssh(f"stack:pull heroku-24 {pulled} --build {build}").ok()
    assert stack(perl.server, "heroku-24")["build_image"] == build
    assert " app detected" in perl.ssh("ps:rebuild {}").ok().text
    assert says(perl)[:2] == ["pulled", "pulled-too"]
