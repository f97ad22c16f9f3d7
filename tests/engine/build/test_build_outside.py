"""What a Dockerfile names is fetched as a container would: never from where the host is."""

from __future__ import annotations

import hashlib
import http.server
import io
import subprocess
import tarfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest

from paas.engine.build.errors import StepFailed
from paas.engine.outside import Outside
from paas.engine.registry import PullFailed, Registry
from paas.host.processes import ProcessFailed, ProcessTimedOut
from tests.engine.build.rig import Rig, Seen, Told

FROM = "FROM paas/test-base:1\n"


class Visitors(http.server.ThreadingHTTPServer):
    """A service of the host's own, on every address; it tells who came."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        super().__init__(("0.0.0.0", 0), Answer)

    @property
    def port(self) -> int:
        return int(self.server_address[1])


class Answer(http.server.BaseHTTPRequestHandler):
    """Says yes to everything, as cloud metadata does."""

    def do_GET(self) -> None:
        """Remember it."""
        assert isinstance(self.server, Visitors)
        self.server.asked.append(self.path)
        self.send_response(200)
        self.end_headers()

    def do_HEAD(self) -> None:
        """The same."""
        self.do_GET()

    def log_message(self, *_: object) -> None:
        """Quietly."""


@pytest.fixture(scope="module")
def host() -> Iterator[Visitors]:
    server = Visitors()
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(scope="module")
def outside(rig: Rig) -> Outside:
    return Outside(rig.layout, rig.network)


def gateways(rig: Rig) -> list[str]:
    """Addresses under which the host might be met."""
    return ["127.0.0.1", "169.254.169.254", str(rig.network.plan.host)]


def test_the_host_is_not_there(rig: Rig, outside: Outside, host: Visitors) -> None:
    for address in gateways(rig):
        words = ["curl", "--silent", "--max-time", "3", f"http://{address}:{host.port}/secret"]
        with pytest.raises(ProcessFailed) as caught:
            outside.run(words, timeout_s=20)
        assert caught.value.exit_code in (7, 28)
    assert host.asked == []


def test_a_program_has_the_network_of_an_instance_and_leaves_nothing(
    rig: Rig, outside: Outside
) -> None:
    done = outside.run(["ip", "-brief", "address"], timeout_s=20)
    assert "eth0" in done.text
    assert str(rig.network.plan.prefix).split(".", maxsplit=1)[0] in done.text
    resolver = outside.run(["cat", "/etc/resolv.conf"], timeout_s=20)
    assert resolver.text + "\n" == rig.network.resolv_conf
    with pytest.raises(ProcessFailed):
        outside.run(["false"], timeout_s=20)
    assert rig.leftovers() == []


def test_one_that_takes_too_long_is_named_without_the_credentials_in_it(
    rig: Rig, outside: Outside
) -> None:
    words = ["sh", "-c", "sleep 60", "-H", "Authorization: s3cr3t", "https://s3cr3t@127.0.0.1/"]
    with pytest.raises(ProcessTimedOut) as caught:
        outside.run(words, timeout_s=0.5)
    assert caught.value.brief == "sh was killed after 0.5 seconds"
    told = "sh -c 'sleep 60' -H 'Authorization: ***' 'https://***@127.0.0.1/'"
    assert caught.value.resolution == f"To run it again: {told}"
    assert rig.leftovers() == []


@pytest.mark.parametrize("where", ["169.254.169.254", "127.0.0.1:{port}"])
def test_a_base_image_on_this_host_or_in_the_cloud_is_never_asked_for(
    rig: Rig, outside: Outside, host: Visitors, where: str, tmp_path: Path
) -> None:
    registry = Registry(rig.layout, rig.images, rig.layers, outside)
    with pytest.raises(PullFailed) as caught:
        registry.pull(f"{where.format(port=host.port)}/latest/meta-data", Told())
    assert "must be set first" in caught.value.resolution
    assert host.asked == []
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "source",
    ["http://169.254.169.254/latest", "http://127.0.0.1:{port}/x", "git://127.0.0.1:{port}/x.git"],
)
def test_add_reaches_neither_the_host_nor_the_cloud(rig: Rig, host: Visitors, source: str) -> None:
    with pytest.raises(StepFailed) as caught:
        rig.build(f"{FROM}ADD {source.format(port=host.port)} /x\n")
    assert caught.value.brief.startswith("Dockerfile:2: ADD: cannot fetch ")
    assert host.asked == []
    assert rig.leftovers() == []


class Files(http.server.BaseHTTPRequestHandler):
    """A mirror: what is on it changes, and it says by ETags whether it did."""

    content: ClassVar[dict[str, bytes]] = {}
    sent: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        """Send a file, or say that it is the same, or lead elsewhere."""
        if self.path == "/away":
            self.send_response(302)
            self.send_header("Location", "http://169.254.169.254/latest/meta-data")
            self.end_headers()
            return
        data = self.content.get(self.path)
        if data is None:
            self.send_error(404)
            return
        etag = f'"{hashlib.sha256(data).hexdigest()}"'
        same = self.headers.get("If-None-Match") == etag
        self.send_response(304 if same else 200)
        self.send_header("ETag", etag)
        self.send_header("Last-Modified", "Wed, 21 Oct 2015 07:28:00 GMT")
        self.send_header("Content-Length", str(0 if same else len(data)))
        self.end_headers()
        if not same:
            self.sent.append(self.path)
            self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """Quietly."""


@pytest.fixture(scope="module")
def mirror(rig: Rig) -> Iterator[str]:
    server = http.server.ThreadingHTTPServer((rig.address, rig.ports[0]), Files)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://{rig.address}:{rig.ports[0]}"
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_file_of_a_url_is_added_and_not_sent_twice(rig: Rig, mirror: str) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        tar.addfile(tarfile.TarInfo("in-it"))
    Files.content |= {"/a.txt": b"A", "/pack.tar.gz": buffer.getvalue()}
    text = (
        f"{FROM}ADD {mirror}/a.txt /to/\nADD {mirror}/a.txt /named\n"
        f"ADD --chown=7:8 --chmod=644 {mirror}/pack.tar.gz local /mixed/\n"
        f"ADD --unpack=true {mirror}/pack.tar.gz /unpacked/\n"
    )
    image = rig.build(text, {"local": "L"})
    found = rig.look_all(image)
    assert found["to/a.txt"] == Seen("file", 0o600, (0, 0), b"A", 1445412480)
    assert found["named"].content == b"A"
    assert (found["mixed/pack.tar.gz"].mode, found["mixed/pack.tar.gz"].owner) == (0o644, (7, 8))
    assert found["mixed/local"].content == b"L"
    assert found["unpacked/in-it"].content == b""
    sent, told = len(Files.sent), Told()
    rig.build(text, {"local": "L"}, told)
    assert told.cached == [False, True, True, True, True]
    assert len(Files.sent) == sent
    Files.content["/a.txt"] = b"another"
    again = rig.look_all(rig.build(text, {"local": "L"}))
    assert again["named"].content == again["to/a.txt"].content == b"another"


def test_a_checksum_is_kept_to_and_asks_nobody(rig: Rig, mirror: str) -> None:
    Files.content["/sum"] = b"summed"
    right = f"sha256:{hashlib.sha256(b'summed').hexdigest()}"
    image = rig.build(f"{FROM}ADD --checksum={right} {mirror}/sum /sum\n")
    assert rig.look(image, "/sum").content == b"summed"  # type: ignore[union-attr]
    del Files.content["/sum"]
    rig.build(f"{FROM}ADD --checksum={right} {mirror}/sum /sum\n")
    Files.content["/wrong"] = b"evil"
    with pytest.raises(StepFailed, match=r"digest mismatch sha256:[0-9a-f]+: sha256:"):
        rig.build(f"{FROM}ADD --checksum={right} {mirror}/wrong /x\n")
    with pytest.raises(StepFailed, match="invalid checksum md5:x"):
        rig.build(f"{FROM}ADD --checksum=md5:x {mirror}/wrong /x\n")


def test_what_a_server_refuses_or_leads_to_is_refused(rig: Rig, mirror: str) -> None:
    with pytest.raises(StepFailed) as caught:
        rig.build(f"{FROM}ADD {mirror}/none /x\n")
    assert "404" in str(caught.value)
    with pytest.raises(StepFailed, match="cannot fetch"):
        rig.build(f"{FROM}ADD {mirror}/away /x\n")
    with pytest.raises(StepFailed, match="cannot determine filename"):
        rig.build(f"{FROM}ADD {mirror}/ /dir/\n")
    with pytest.raises(StepFailed, match="has no key"):
        rig.build(f"{FROM}ADD git@example.com:a/b.git /x\n")


@pytest.fixture(scope="module")
def repository(rig: Rig, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """Address and newest commit of a repository that a git daemon serves."""
    folder = tmp_path_factory.mktemp("git")
    work = folder / "work.git"
    (work / "sub").mkdir(parents=True)
    (work / "sub/file").write_text("F")
    (work / "run.sh").write_text("#!/bin/sh\n")
    (work / "run.sh").chmod(0o755)

    def git(*words: str) -> str:
        user = ["-c", "user.name=a", "-c", "user.email=a@example.com"]
        done = subprocess.run(
            ["git", "-C", work, *user, *words], check=True, capture_output=True, text=True
        )
        return done.stdout.strip()

    git("init", "-q", "-b", "main")
    git("add", "-A")
    git("commit", "-q", "-m", "one")
    git("tag", "-a", "v1", "-m", "v1")
    (work / "later").write_text("L")
    git("add", "-A")
    git("commit", "-q", "-m", "two")
    port = rig.ports[1]
    daemon = subprocess.Popen(
        [
            *("git", "daemon", "--export-all", "--reuseaddr", f"--base-path={folder}"),
            *(f"--listen={rig.address}", f"--port={port}", str(folder)),
        ],
        stderr=subprocess.DEVNULL,
    )
    url = f"git://{rig.address}:{port}/work.git"
    while subprocess.run(["git", "ls-remote", url], capture_output=True, check=False).returncode:
        time.sleep(0.05)
    yield url, git("rev-parse", "HEAD")
    daemon.terminate()
    daemon.wait()


def test_a_repository_is_added_at_what_its_address_says(
    rig: Rig, repository: tuple[str, str]
) -> None:
    url, commit = repository
    text = (
        f"{FROM}ADD {url} /head\nADD {url}#v1 /tag\nADD {url}#main:sub /sub\n"
        f"ADD --keep-git-dir=true {url}#{commit} /kept\nADD --checksum={commit[:10]} {url} /sum\n"
    )
    image = rig.build(text)
    found = rig.look_all(image)
    assert {"head/later", "head/run.sh", "head/sub/file", "sub/file", "kept/.git"} <= found.keys()
    assert {"tag/later", "head/.git", "sub/sub"} & found.keys() == set()
    assert (found["head/run.sh"].mode, found["head/run.sh"].owner) == (0o755, (0, 0))
    told = Told()
    assert rig.build(text, {}, told) == image
    assert all(told.cached[1:])
    with pytest.raises(StepFailed, match="expected checksum to match 0000000000"):
        rig.build(f"{FROM}ADD --checksum=0000000000 {url} /x\n")
    with pytest.raises(StepFailed, match="no branch or tag nope"):
        rig.build(f"{FROM}ADD {url}#nope /x\n")
