"""RUN --mount: what a step sees that no image keeps."""

from __future__ import annotations

import os
import re
import select
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from paas.deploy.sshagent import NoAgent, holding
from paas.engine.build.errors import DockerfileError, StepFailed
from paas.engine.build.rules import BuildTimedOut, Offer
from paas.model.env import Secret
from tests.engine.build.rig import Rig, Told

FROM = "FROM paas/test-base:1\n"
TOKEN = "s3cret-t0ken"
SECONDS = 60.0
"""Longer than any build in here takes."""


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
        ("type=ssh,required=true", 'no SSH key "default" forwarded from the client'),
        ("type=ssh,id=other,required", 'no SSH key "other" forwarded from the client'),
        ("type=ssh,target=/", 'invalid mount target "/"'),
        ("type=ssh,from=paas/test-base:1", "ssh mount should not have a from"),
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


@pytest.mark.parametrize("sharing", ["locked,locked", "shared,locked", "private,private"])
def test_a_step_that_names_a_cache_twice_has_it_twice(rig: Rig, sharing: str) -> None:
    told = Told()
    mounts = [
        f"--mount=type=cache,id=twice,sharing={one},target=/{place}"
        for one, place in zip(sharing.split(","), "ab", strict=True)
    ]
    rig.build(
        f"{FROM}RUN {' '.join(mounts)} echo {sharing} > /a/x; cat /b/x\n",
        {},
        told,
        offer=Offer(scope="app-twice"),
        deadline_s=SECONDS,
    )
    assert told.raw == f"{sharing}\n".encode()


def test_the_wait_for_a_cache_ends_with_the_time_of_the_build(rig: Rig) -> None:
    offer = Offer(scope="app-waits")
    with rig.caches.find(offer.scope, "held") as directory:
        pass
    with rig.caches.lock(directory, shared=False), pytest.raises(BuildTimedOut):
        rig.build(
            f"{FROM}RUN --mount=type=cache,id=held,sharing=locked,target=/a true\n",
            offer=offer,
            deadline_s=1.0,
        )


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


# -- ssh -----------------------------------------------------------------------------------


@dataclass
class Agents:
    """Keys, and what a step needs to ask an agent for them: OpenSSH's ssh-add(1)."""

    folder: Path
    contents: dict[str, str | bytes] = field(default_factory=dict)

    def key(self, name: str) -> Path:
        path = self.folder / name
        words = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", path]
        subprocess.run(words, check=True)
        self.contents[f"keys/{name}.pub"] = path.with_suffix(".pub").read_bytes()
        return path

    def build(self, rig: Rig, lines: str, offer: Offer, told: Told | None = None) -> Told:
        told = told or Told()
        begin = f"{FROM}COPY --chmod=755 tools /\nCOPY --chmod=600 keys /keys\n"
        rig.build(begin + lines, self.contents, told, offer=offer)
        assert rig.leftovers() == []
        return told


@pytest.fixture(scope="module")
def agents(tmp_path_factory: pytest.TempPathFactory) -> Agents:
    made = Agents(tmp_path_factory.mktemp("keys"))
    made.key("one")
    # A private key of the step's own, which it tries to add.
    made.contents["keys/mine"] = made.key("mine").read_bytes()
    for program in ("/usr/bin/ssh-add", "/usr/bin/ssh"):
        words = ["ldd", program]
        needs = subprocess.run(words, capture_output=True, text=True, check=True).stdout
        for path in (program, *re.findall(r"(/\S+) \(0x", needs)):
            # /lib is a link in the image, as on a merged Debian.
            where = re.sub(r"^/(?:usr/)?lib/", "usr/lib/", path).strip("/")
            made.contents[f"tools/{where}"] = Path(path).read_bytes()
    return made


@pytest.fixture
def agent(rig: Rig, agents: Agents) -> Iterator[Path]:
    """The socket of an agent that holds the key `one`."""
    with holding(rig.layout, agents.folder / "one") as path:
        rig.kept.add(str(path.parent))
        yield path
    rig.kept.clear()
    assert rig.leftovers() == []


def listed(agent: Path, how: str = "-l") -> str:
    """What the agent tells somebody outside."""
    words, env = ["ssh-add", how], {"SSH_AUTH_SOCK": str(agent)}
    return subprocess.run(words, env=env, capture_output=True, text=True, check=True).stdout


def pid_of(agent: Path) -> int:
    """The process that listens at a socket."""
    with socket.socket(socket.AF_UNIX) as probe:
        probe.connect(str(agent))
        data = probe.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
    return int(struct.unpack("3i", data)[0])


def test_an_agent_that_is_not_offered_is_not_mounted_and_the_step_goes_on(rig: Rig) -> None:
    told = Told()
    lines = "RUN --mount=type=ssh echo $SSH_AUTH_SOCK; test ! -e /run\n"
    image = rig.build(FROM + lines, {}, told)
    # The variable is there all the same: so it is with BuildKit.
    assert told.raw == b"/run/buildkit/ssh_agent.0\n"
    assert "run" not in rig.look_all(image)


def test_a_step_cannot_change_the_agent_of_which_it_uses_the_keys(
    rig: Rig, agents: Agents, agent: Path
) -> None:
    told = agents.build(
        rig,
        "RUN --mount=type=ssh ssh-add -D; echo $?; ssh-add /keys/mine; echo $?;"
        " ssh-add -d /keys/one.pub; echo $?; ssh-add -e /none </dev/null; echo $?; ssh-add -l\n",
        Offer(agents={"default": agent}),
    )
    said = told.raw.decode()
    assert "Failed to remove all identities" in said
    assert "agent refused operation" in said
    assert re.findall(r"^[0-9]$", said, re.MULTILINE) == ["1"] * 4
    assert listed(agent, "-L").encode() == agents.contents["keys/one.pub"]


def test_a_step_signs_with_an_agent_as_the_user_it_runs_as(
    rig: Rig, agents: Agents, agent: Path
) -> None:
    told = agents.build(
        rig,
        "RUN --mount=type=ssh,required ssh-add -l && ssh-add -T /keys/one.pub && echo signed;"
        " stat -c '%F %a %u:%g' $SSH_AUTH_SOCK\n"
        "USER me\n"
        "RUN --mount=type=ssh ssh-add -l 2>&1; echo $?\n"
        "RUN --mount=type=ssh,id=none --mount=type=ssh,uid=1000,gid=50"
        " --mount=type=ssh,id=two,target=/tmp/at,mode=0666 ls /run/buildkit; stat -c %u:%g /tmp/at;"
        " SSH_AUTH_SOCK=/run/buildkit/ssh_agent.1 ssh-add -l; SSH_AUTH_SOCK=/tmp/at ssh-add -l\n"
        'RUN test ! -e /run -a ! -e /tmp/at -a -z "$SSH_AUTH_SOCK" && echo nothing\n',
        Offer(agents={"default": agent, "two": agent}),
    )
    key = listed(agent)
    assert told.raw.decode() == (
        f"{key}signed\nsocket 600 0:0\n"
        "Error connecting to agent: Permission denied\n2\n"
        f"ssh_agent.1\n0:0\n{key}{key}"
        "nothing\n"
    )


@contextmanager
def sshd(folder: Path, address: str, port: int, authorized: Path) -> Iterator[str]:
    """A line for known_hosts of a real sshd that says welcome to who has the key."""
    words = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / "host"]
    subprocess.run(words, check=True)
    (folder / "config").write_text(
        f"ListenAddress {address}\nPort {port}\nHostKey {folder}/host\nPidFile none\nUsePAM yes\n"
        f"AuthorizedKeysFile {authorized}\nStrictModes no\nAllowUsers root\nForceCommand echo in\n"
        "PasswordAuthentication no\nKbdInteractiveAuthentication no\n"
    )
    Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    words = ["/usr/sbin/sshd", "-D", "-e", "-f", folder / "config"]
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True) as server:
        assert server.stderr is not None
        assert "Server listening" in server.stderr.readline()
        yield f"[{address}]:{port} {(folder / 'host.pub').read_text()}"
        server.terminate()


def test_a_step_logs_in_elsewhere_with_the_key_of_the_agent(
    rig: Rig, agents: Agents, agent: Path, tmp_path: Path
) -> None:
    """OpenSSH's client also asks for an extension (session-bind), and does without."""
    port = rig.ports[1]
    with sshd(tmp_path, rig.address, port, agents.folder / "one.pub") as host:
        options = "-T -o UserKnownHostsFile=/known -o BatchMode=yes"
        login = f"ssh {options} -p {port} root@{rig.address} 2>&1"
        told = agents.build(
            rig,
            f"COPY <<END /known\n{host}END\n"
            f"RUN {login}; echo $?\n"
            f"RUN --mount=type=ssh {login}; echo $?\n",
            Offer(agents={"default": agent}),
        )
    refused, let_in = told.raw.decode().split("255\n")
    assert "Permission denied (publickey)" in refused
    assert let_in == "in\n0\n"


def test_an_agent_that_is_gone_in_the_middle_is_an_error_of_the_step(
    rig: Rig, agents: Agents, agent: Path
) -> None:
    class Killing(Told):
        def output(self, data: bytes) -> None:
            super().output(data)
            if b"marker" in data:
                os.kill(pid, signal.SIGKILL)

    pid, told = pid_of(agent), Killing()
    lines = (
        "RUN --mount=type=ssh ssh-add -l && echo marker &&"
        " while ssh-add -l >/dev/null 2>&1; do sleep 0.02; done; ssh-add -l\n"
    )
    with pytest.raises(StepFailed) as failed:
        agents.build(rig, lines, Offer(agents={"default": agent}), told)
    assert failed.value.brief.endswith("exit code 1")
    assert "communication with agent failed" in told.raw.decode()
    assert rig.leftovers() == []


def test_what_is_made_with_an_agent_is_for_its_scope_alone(
    rig: Rig, agents: Agents, agent: Path
) -> None:
    lines = "RUN --mount=type=ssh ssh-add -l > /listed 2>&1; cat /listed\n"
    first = agents.build(rig, lines, Offer(agents={"default": agent}, scope="app-7"))
    assert b"ED25519" in first.raw
    without = agents.build(rig, lines, Offer(scope="app-8"))
    assert not without.cached[-1]
    assert b"ED25519" not in without.raw
    # Which agent it is, is in no key.
    with holding(rig.layout, agents.folder / "mine") as another:
        rig.kept.add(str(another.parent))
        assert listed(another) != listed(agent)
        again = agents.build(rig, lines, Offer(agents={"default": another}, scope="app-7"))
    assert again.cached[-1]


def test_what_is_made_with_a_secret_is_for_its_scope_alone(rig: Rig) -> None:
    lines = FROM + "RUN --mount=type=secret,id=K cat /run/secrets/K > /got || true\n"
    rig.build(lines, {}, offer=Offer({"K": Secret("mine")}, scope="app-7"))
    told = Told()
    image = rig.build(lines, {}, told, offer=Offer(scope="app-8"))
    assert not told.cached[-1]
    assert rig.added(image)["got"].content == b""


def test_a_key_that_needs_a_passphrase_is_refused(rig: Rig, tmp_path: Path) -> None:
    words = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "sesame", "-f", tmp_path / "locked"]
    subprocess.run(words, check=True)
    with pytest.raises(NoAgent, match="does not take"), holding(rig.layout, tmp_path / "locked"):
        pass
    assert rig.leftovers() == []


def test_an_agent_ends_with_its_builder_however_that_ends(rig: Rig, agents: Agents) -> None:
    program = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from paas.deploy.sshagent import holding\n"
        "from paas.model.layout import Layout\n"
        "with holding(Layout.at(sys.argv[1]), Path(sys.argv[2])) as path:\n"
        "    print(path, flush=True)\n"
        "    time.sleep(300)\n"
    )
    words = [sys.executable, "-c", program, rig.root, agents.folder / "one"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as builder:
        assert builder.stdout is not None
        agent = Path(builder.stdout.readline().strip())
        pidfd = os.pidfd_open(pid_of(agent))
        builder.kill()
    try:
        assert select.select([pidfd], [], [], 10)[0]
    finally:
        os.close(pidfd)
    assert rig.leftovers() == [str(agent.parent)]
    assert rig.builder.recover()
    assert rig.leftovers() == []


def test_no_network_is_none(rig: Rig) -> None:
    told = Told()
    rig.build(FROM + "RUN --network=none ls /sys/class/net\n", {}, told)
    assert told.raw == b"lo\n"
    assert "--network=host is not allowed" in failure(rig, "RUN --network=host true\n").brief
    assert 'invalid network mode "x"' in failure(rig, "RUN --network=x true\n").brief
