"""Files in and out of instances, and connections to them and to services, over ssh."""

from __future__ import annotations

import io
import socket
import subprocess
import tarfile
import urllib.request
from pathlib import Path

import pytest

from tests.push.app import App
from tests.push.laptop import LAPTOP, forwarded
from tests.push.outcome import eventually, run


def entries(data: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        files = [one for one in archive if one.isfile()]
        return {one.name: archive.extractfile(one).read() for one in files}  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("cp {} a b", "One of both is"),
        ("cp {} - -", "One of both is"),
        ("cp {} web.1: -", "path in the instance is missing"),
        ("cp {} web.9:/app -", "runs no web.9"),
        ("cp {} web.1:/no/such -", "/no/such"),
        ("forward {} nowhere", "neither an instance"),
        ("forward {} postgres:nowhere", "nowhere"),
        ("forward {} web.9", "runs no web.9"),
        ("forward {} web 1", "does not accept a connection"),
        ("forward {} web 99999", "is not a port"),
        ("forward -L 1 {} web", "opened by paas there"),
    ],
)
def test_what_is_not_there_is_said(live: App, words: str, says: str) -> None:
    outcome = live.ssh(words)
    assert outcome.code in (1, 20)
    assert says in outcome.err
    assert outcome.out == ""


def test_files_go_in_and_out_over_ssh_as_they_are(live: App) -> None:
    data = bytes(range(256)) * 4096
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w") as archive:
        for name in ("données.bin", "other"):
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    live.ssh("cp {} - web.1:/tmp", input=target.getvalue()).ok()
    out = live.ssh("cp {} web.1:/tmp/données.bin -").ok()
    assert entries(out.stdout) == {"données.bin": data}
    # One process type or none is as good.
    assert (
        live.ssh("cp {} web:/tmp/other -").ok().stdout == live.ssh("cp {} /tmp/other -").ok().stdout
    )


def test_a_link_in_an_instance_leads_to_nothing_of_the_server(live: App) -> None:
    live.ssh("enter {} web.1 ln -sfn /etc /tmp/etc").ok()
    shadow = live.ssh("cp {} web.1:/tmp/etc/shadow -")
    assert b"paas" not in shadow.stdout


def test_a_laptop_copies_by_names(live: App, tmp_path: Path) -> None:
    def paas(*words: str) -> None:
        run([*LAPTOP, *words], env=live.server.env, cwd=live.repository.folder).ok()

    source = tmp_path / "in"
    (source / "deep").mkdir(parents=True)
    (source / "deep/file").write_text("here\n")
    paas("cp", str(source), "web.1:/tmp")
    paas("cp", "web.1:/tmp/in/deep/file", str(tmp_path / "named"))
    assert (tmp_path / "named").read_text() == "here\n"
    (tmp_path / "folder").mkdir()
    paas("cp", "web.1:/tmp/in", str(tmp_path / "folder"))
    assert (tmp_path / "folder/in/deep/file").read_text() == "here\n"
    missing = run([*LAPTOP, "cp", "nowhere", "web.1:/tmp"], env=live.server.env,
                  cwd=live.repository.folder)  # fmt: skip
    assert missing.code == 1
    assert "nowhere" in missing.err


def test_an_instance_is_reached_on_a_port_of_ones_own(live: App) -> None:
    with forwarded(live, "-L", "0", "web.1") as (address, port):
        for _ in range(2):
            with urllib.request.urlopen(f"http://{address}:{port}/", timeout=60) as answer:
                assert answer.read() == b"hello 1\n"
        # The end of what is sent is told, the answer comes all the same.
        with socket.create_connection((address, port), 60) as half:
            half.sendall(b"GET / HTTP/1.0\r\n\r\n")
            half.shutdown(socket.SHUT_WR)
            assert half.makefile("rb").read().endswith(b"hello 1\n")
    with pytest.raises(OSError, match=r".*"):
        socket.create_connection((address, port), 1)


def test_an_open_connection_ends_with_its_client(live: App) -> None:
    before = live.server.processes()
    tunnel = subprocess.Popen(
        ["ssh", "server", "--", f"forward {live.name} web"], env=live.server.env,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    assert tunnel.stdin is not None
    assert tunnel.stdout is not None
    tunnel.stdin.write(b"GET / HTTP/1.0\r\n")
    tunnel.stdin.flush()
    tunnel.kill()
    tunnel.communicate()
    eventually(lambda: not [line for pid, line in live.server.processes().items()
                            if pid not in before and "forward" in line])  # fmt: skip
