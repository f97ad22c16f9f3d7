"""How an image is made, by a push and by `paas build` of a directory: first what is refused."""

from __future__ import annotations

import os
import re
import socket
import subprocess
from base64 import b64decode
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.push import apps
from tests.push.app import App, new_app
from tests.push.outcome import Outcome, run
from tests.push.repository import cut, heard
from tests.push.server import Server, admin_environment
from tests.push.sshd import make_key

pytestmark = pytest.mark.turns(2)

REFUSES = Path("/sys/bus/platform/drivers_probe")
"""A regular file that even root may only write to (sysfs asks for the mode's bits as well)."""

ODD = (b"two\nlines", b"caf\xe9", b"\xff\xfe", b" -rf ", b"$(id)", "näme".encode())


@contextmanager
def refusing(path: Path) -> Iterator[None]:
    """Have `path` be a file that nobody can read, as on a share or a FUSE mount of somebody's."""
    path.touch()
    subprocess.run(["mount", "--bind", REFUSES, path], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", path], check=True)


ASKING = r"""FROM paas/stack:debian-13
RUN --mount=type=ssh,required perl -MIO::Socket::UNIX -e ' \
    $agent = IO::Socket::UNIX->new(Peer => $ENV{SSH_AUTH_SOCK}) or die "$!"; \
    for $kind (11, 19, 11) { \
        syswrite $agent, pack("NC", 1, $kind); sysread $agent, $size, 4; \
        sysread $agent, $said, unpack("N", $size); print unpack("H*", $said), "\n" }'; exit 5
"""


# -- paas build ----------------------------------------------------------------------------


def test_a_file_that_cannot_be_read_is_named_unless_it_is_ignored(
    server: Server, tmp_path: Path
) -> None:
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY . /\n")
    (tmp_path / "d").mkdir()
    with refusing(tmp_path / "d/locked"):
        failed = server.paas("build", str(tmp_path)).failed()
        assert "d/locked in the build context cannot be read: Permission denied" in failed.err
        assert ".dockerignore" in failed.err
        (tmp_path / ".dockerignore").write_text("d\n")
        server.paas("build", str(tmp_path)).ok()


def test_what_is_no_file_is_left_out_with_a_word(server: Server, tmp_path: Path) -> None:
    """And what has no permission bits at all is copied as it is, as by `docker build`."""
    (tmp_path / "Dockerfile").write_text(
        f"{apps.STACK}COPY . /c\nRUN find /c -printf '%y%m %P, '\n"
    )
    os.mkfifo(tmp_path / "fifo")
    os.mknod(tmp_path / "char", 0o20666, os.makedev(1, 3))
    os.mknod(tmp_path / "block", 0o60666, os.makedev(7, 0))
    (tmp_path / "closed").mkdir(mode=0)
    (tmp_path / "closed/file").touch(mode=0)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "sock"))
        built = server.paas("build", str(tmp_path)).ok()
    for name, kind in (
        ("fifo", "fifo"),
        ("char", "device"),
        ("block", "device"),
        ("sock", "socket"),
    ):
        assert f" !     {name} is a {kind}: left out of the build\n" in built.err
    assert "d0 closed, f0 closed/file, " in built.text
    assert "fifo, " not in built.text


def test_names_in_any_bytes_are_copied_and_shown(server: Server, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text(
        f"{apps.STACK}COPY d /d\nCOPY d/caf* /e/\nRUN cd /d; cat *; ls /e | od -An -tx1\n"
    )
    (tmp_path / "d").mkdir()
    for name in ODD:
        (tmp_path / "d" / os.fsdecode(name)).write_text(f"[{name.hex()}]")
    built = server.paas("build", str(tmp_path)).ok()
    for name in ODD:
        assert f"[{name.hex()}]" in built.text
    assert b"caf\xe9\n".hex(" ") in built.text
    os.mkfifo(tmp_path / "d" / os.fsdecode(b"\xff"))
    assert b" !     d/\xff is a fifo: left out" in server.paas("build", str(tmp_path)).stderr


def test_a_hundred_thousand_files_on_disk(server: Server, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text(
        f"{apps.STACK}COPY . /all\nRUN ls /all | wc -l; ls /all/d7 | wc -l\n"
    )
    (tmp_path / ".dockerignore").write_text("d[0-6]?\n")
    for number in range(100):
        (tmp_path / f"d{number}").mkdir()
        for name in range(1000):
            os.close(os.open(tmp_path / f"d{number}" / str(name), os.O_CREAT, 0o644))
    built = server.paas("build", str(tmp_path)).ok()
    assert "\n41\n1000\n" in built.text


def test_a_build_ends_with_its_client(server: Server, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text(f"{apps.STACK}RUN echo marker; sleep 300\n")
    before = server.residue()
    build = subprocess.Popen(
        server.command("build", str(tmp_path)),
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
    )  # fmt: skip
    heard(build, b"marker")
    cut(build)
    server.settles_to(before)


@contextmanager
def agent_of(key: Path) -> Iterator[str]:
    """The socket of somebody's agent, which holds his key."""
    path = f"{key}.agent"
    words = ["ssh-agent", "-D", "-a", path]
    with subprocess.Popen(words, stdout=subprocess.PIPE) as agent:
        heard(agent, b"SSH_AUTH_SOCK")
        try:
            subprocess.run(["ssh-add", "-q", key], env={"SSH_AUTH_SOCK": path}, check=True)
            yield path
        finally:
            agent.terminate()


def test_paas_build_offers_the_agent_of_who_calls_it(server: Server, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text(ASKING.replace("; exit 5", ""))
    key = tmp_path / "key"
    blob = b64decode(make_key(key).read_text().split()[1])
    answer = f"0c00000001{len(blob):08x}{blob.hex()}"
    build = server.command("build", str(tmp_path), "--no-cache")

    def built(*options: str, **variables: str) -> Outcome:
        return run([*build, *options], env=admin_environment(variables))

    with agent_of(key) as agent:
        assert 'no SSH key "default" forwarded' in built(SSH_AUTH_SOCK=agent).failed().text
        assert "SSH_AUTH_SOCK is not set" in built("--ssh").failed().text
        other = built("--ssh", "other", SSH_AUTH_SOCK=agent).failed()
        assert 'no SSH key "default" forwarded' in other.text
        assert answer in built("--ssh", SSH_AUTH_SOCK=agent).ok().text
        assert answer in built("--ssh", f"default={agent}").ok().text
    gone = built("--ssh", SSH_AUTH_SOCK=agent).failed()
    assert f"{agent}: there is neither" in gone.text
    # A file is a private key, for which an agent is started, and ended.
    assert answer in built("--ssh", f"default={key}").ok().text
    unusable = built("--ssh", f"default={tmp_path}/Dockerfile").failed()
    assert f"ssh-agent does not take {tmp_path}/Dockerfile" in unusable.text
    assert not any("ssh-agent" in line for line in server.processes().values())


# -- pushes --------------------------------------------------------------------------------


SPY = """\
FROM paas/stack:debian-13
RUN --mount=type=cache,target=/c --mount=type=cache,id=../../app-1,target=/d \\
    --mount=type=secret,id=TOKEN --mount=type=tmpfs,target=/t <<'END'
echo "$(ls -A /c /d | grep -c x) files in caches, $(ls /run/secrets 2>/dev/null | wc -l) secrets"
ls -d /var/lib/paas* /root/.ssh /run/paas* /run/p*/bundles /dev/vd* /dev/sd* /dev/loop* \\
    2>/dev/null | sed 's/^/SEEN /'
cat /proc/[0-9]*/environ /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' '\\n' |
    grep -q 'ELSE[W]HERE' && echo SEEN environment
mknod /disk b 254 0 2>/dev/null && head -c 1 /disk >/dev/null 2>&1 && echo SEEN disk
mount -t proc none /mnt 2>/dev/null && echo SEEN mount
chroot /proc/1/root true 2>/dev/null && readlink /proc/1/root | grep -qv '^/$' && echo SEEN root
dmesg >/dev/null 2>&1 && echo SEEN kernel
exit 5
END
"""


def test_a_malicious_dockerfile_finds_nothing_of_others_and_of_the_host(
    server: Server, app: App
) -> None:
    """Another app has a secret, and files in the caches of the same names, when it is built."""
    other = new_app(server, "other")
    other.ssh("apps:create {}").ok()
    other.ssh("config:set {} TOKEN=ELSEWHERE").ok()
    other.ssh("builder:set {} build-config TOKEN").ok()
    kept = "RUN --mount=type=cache,target=/c --mount=type=cache,id=../../app-1,target=/d"
    other.push({"Dockerfile": f"{apps.STACK}{kept} touch /c/x /d/x; exit 5\n"}).failed()
    pushed = app.push({"Dockerfile": SPY}).failed()
    server.paas("apps:destroy", other.name, "--force").ok()
    assert "0 files in caches, 0 secrets" in pushed.text
    assert "SEEN" not in pushed.text.replace("echo SEEN", "").replace("/SEEN ", "")


def test_the_server_s_key_signs_for_an_app_that_was_let(server: Server, app: App) -> None:
    """It holds that key alone, keeps it, and a build that was ended leaves no agent behind."""
    app.ssh("apps:create {}").ok()
    public = server.paas("git:public-key").ok().out.split()[1]
    before = server.residue()
    refused = app.push({"Dockerfile": ASKING}).failed()
    assert 'Dockerfile:2: no SSH key "default" forwarded from the client' in refused.text
    assert "ssh-key on" in refused.text
    server.paas("builder:set", app.name, "ssh-key", "on").ok()
    pushed = app.push({"Dockerfile": ASKING + "# again\n"}).failed().text
    # One key (SSH_AGENT_IDENTITIES_ANSWER), which is the server's, before and after the removal.
    blob = b64decode(public)
    said = re.findall(r"\b(0c[0-9a-f]{100,}|05)\s*$", pushed, re.MULTILINE)
    assert said[:3] == [said[0], "05", said[0]]
    assert said[0].startswith(f"0c00000001{len(blob):08x}{blob.hex()}")
    server.settles_to(before)
    assert not any("ssh-agent" in line for line in server.processes().values())


# -- builder:set ---------------------------------------------------------------------------

DOCKERFILE = """\
FROM paas/stack:debian-13
ARG GREETING=none
RUN --mount=type=secret,id=TOKEN --mount=type=secret,id=OTHER --mount=type=cache,target=/c \\
    echo "[$(cat /run/secrets/TOKEN)] [$(ls /run/secrets)] [$GREETING] cache: $(ls /c)"; \\
    touch /c/$GREETING
CMD ["true"]
"""


DIRECTORY = "services/one"


def build(app: App, word: str) -> str:
    """What a build prints that has another command, and ends before anything runs."""
    text = DOCKERFILE.replace("echo", f"echo {word}") + "RUN exit 5\n"
    return app.push({f"{DIRECTORY}/build.docker": text}).failed().text


def test_a_build_has_what_was_set_for_its_app_and_no_more(app: App) -> None:
    app.ssh("apps:create {}").ok()
    app.ssh("config:set {} TOKEN=t0p OTHER=hidden").ok()
    for words in (
        f"build-dir {DIRECTORY}",
        "dockerfile-path build.docker",
        "build-arg GREETING=hello",
        "build-config TOKEN",
    ):
        app.ssh(f"builder:set {{}} {words}").ok()
    app.repository.commit({"Dockerfile": "FROM nothing\n"})
    first = build(app, "first")
    assert "first [t0p] [TOKEN] [hello] cache:" in first
    assert "build.docker:7" in first
    assert "again [t0p] [TOKEN] [hello] cache: hello" in build(app, "again")
    report = app.ssh("builder:report {}").ok().out
    assert DIRECTORY in report
    assert "t0p" not in report
    app.ssh("repo:purge-cache {}").ok()
    purged = build(app, "purged")
    assert "purged [t0p]" in purged
    assert "cache: hello" not in purged
