"""Drains: what an app writes arrives, whoever ends in between, and never holds the app up."""

from __future__ import annotations

import os
import re
import socket
from itertools import count
from pathlib import Path

import pytest

from paas.deploy.notify import NotTaken
from paas.engine import logs
from paas.model.app import App
from paas.model.drain import DRAIN_HOSTS, parse_drain
from paas.model.report import Silent
from paas.model.webhook import parse_webhook
from paas.store.drains import Drain
from tests.authority import root
from tests.engine.receivers import Rsyslog, collector
from tests.engine.world import World
from tests.push.outcome import eventually

_lines = count(1)


@pytest.fixture(scope="module", autouse=True)
def drained_to_localhost(world: World) -> None:
    world.parts.store.settings.set(None, DRAIN_HOSTS.name, "localhost")


@pytest.fixture(autouse=True)
def trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests' authority is the system's, for what is forked from here on."""
    (tmp_path / "ca.pem").write_bytes(root().pem)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))


def added(world: World, app: App, url: str) -> Drain:
    return world.parts.drains.add(app, parse_drain(url), actor="ann")


def say(world: World, app: App, lines: int) -> list[str]:
    """Have the app write so many lines, all different."""
    texts = [f"line {next(_lines)} grüße" for _ in range(lines)]
    script = "\n".join(f"echo '{text}'" for text in texts)
    null = os.open(os.devnull, os.O_RDWR)
    [instance] = world.parts.store.instances.list(app.id)
    args = ["/bin/sh", "-c", f"{{ {script}\n}} >/proc/1/fd/1"]
    assert world.parts.engine.foreground.exec(instance.container, args, null, null, null) == 0
    os.close(null)
    # What they wrote is in a pipe until the monitor has read it, and is dated then.
    log = world.parts.engine.containers.get(instance.container).log
    assert log is not None
    eventually(lambda: logs.tail(log, lines) == texts)
    return texts


def in_order(found: list[str]) -> list[str]:
    """Each once: what arrives at least once may come again."""
    return list(dict.fromkeys(found))


def told(world: World, drain: Drain) -> list[str]:
    found = world.parts.store.events.tail(1000, "shop")
    return [one.what for one in found if drain.id in one.detail]


def test_a_host_inside_is_refused_and_said(world: World, app: App) -> None:
    drain = added(world, app, "syslog://127.0.0.1:1")
    with world.supervised():
        say(world, app, 1)
        eventually(lambda: "drain failing" in told(world, drain))
    progress = world.parts.drains.progress(drain)
    assert "not a public one" in progress.error
    world.parts.drains.remove(app, drain.id, actor="ann")
    world.parts.drains.sweep()
    assert not (world.layout.root / "drains" / f"{drain.id}.json").exists()


@pytest.mark.parametrize("tls", [False, True], ids=["tcp", "tls"])
def test_every_line_arrives_by_syslog_whoever_is_killed(
    world: World, app: App, tmp_path: Path, tls: bool
) -> None:
    with Rsyslog(tmp_path / "rsyslog", tls=tls) as receiver:
        before = say(world, app, 3)
        scheme = "syslog+tls" if tls else "syslog"
        drain = added(world, app, f"{scheme}://localhost:{receiver.port}")
        with world.supervised():
            wanted = say(world, app, 50)
            eventually(lambda: texts(receiver) == wanted)
            # The receiver goes, and what is written meanwhile waits.
            receiver.stop()
            wanted += say(world, app, 50)
            eventually(lambda: "drain failing" in told(world, drain))
        # So does who sends, killed with its supervisor.
        wanted += say(world, app, 50)
        receiver.start()
        with world.supervised():
            eventually(lambda: texts(receiver) == wanted)
            eventually(lambda: told(world, drain)[-1] == "drain works again")
            world.parts.drains.remove(app, drain.id, actor="ann")
    [one] = {(m.app, m.process, m.release, m.severity) for m in receiver.received()}
    assert one == ("shop", "web.1", "v1", "info")
    assert not set(before) & set(texts(receiver)), "what came before is nobody's business"


def texts(receiver: Rsyslog) -> list[str]:
    return in_order([message.text for message in receiver.received()])


def test_json_by_https_is_sent_again_and_what_is_never_taken_keeps_up_nothing(
    world: World, app: App, tmp_path: Path
) -> None:
    with collector(tmp_path) as receiver:
        receiver.answers += [503, 500]
        receiver.largest = 20
        drain = added(world, app, f"https://me:p%40ss@localhost:{receiver.port}/logs")
        wanted = say(world, app, 30)
        receiver.poison = wanted[7]
        with world.supervised():
            wanted += say(world, app, 30)
            wanted.remove(receiver.poison)
            eventually(lambda: in_order([line["text"] for line in receiver.taken]) == wanted)
            eventually(lambda: world.parts.drains.progress(drain).refused == 1)
            world.parts.drains.remove(app, drain.id, actor="ann")
    assert receiver.authorization == {"me:p@ss"}
    line = receiver.taken[0]
    assert (line["app"], line["process"], line["release"]) == ("shop", "web.1", "v1")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:.]+\+00:00", line["time"])


def test_a_webhook_hears_of_trouble_once_it_listens_again_and_of_its_own_apps_alone(
    world: World, app: App, tmp_path: Path
) -> None:
    other = world.app("other")
    notifier, events = world.parts.notifier, world.parts.store.events
    with collector(tmp_path) as receiver:
        receiver.answers += [500]
        url = parse_webhook(f"https://localhost:{receiver.port}/hook")
        mine = notifier.add(app, url, actor="ann", every=False)
        alls = notifier.add(None, parse_webhook(f"{url.text}?all"), actor="ann", every=True)
        with pytest.raises(NotTaken, match="answered 500"):
            notifier.test(app, mine.id, actor="ann")
        receiver.answers += [503]
        with world.supervised():
            events.add("ann", "shop", "renamed", "from store")
            events.add("supervisor", "other", "crashed", "web.1: exit code 3")
            events.add("supervisor", "shop", "crashed", "web.1: exit code 7")
            eventually(lambda: len(receiver.taken) == 5)
            for webhook, whose in ((mine, app), (alls, None)):
                notifier.remove(whose, webhook.id, actor="ann")
    said = [event["text"] for event in receiver.taken]
    assert sorted(said[:]) == sorted(
        [
            "shop: crashed: web.1: exit code 7",
            f"{socket.gethostname()}: webhook added: {alls.id}: {alls.url}",
            "shop: renamed: from store",
            "other: crashed: web.1: exit code 3",
            "shop: crashed: web.1: exit code 7",
        ]
    )
    [event] = [one for one in receiver.taken if one["app"] == "other"]
    assert (event["event"], event["actor"], event["content"]) == (
        "crashed",
        "supervisor",
        "other: crashed: web.1: exit code 3",
    )
    world.parts.lifecycle.destroy(other, actor="ann", report=Silent())


def test_a_receiver_that_takes_nothing_holds_no_app_up(world: World, app: App) -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        drain = added(world, app, f"syslog://localhost:{deaf.getsockname()[1]}")
        with world.supervised():
            say(world, app, 1)
            held, _ = deaf.accept()
            null = os.open(os.devnull, os.O_RDWR)
            [instance] = world.parts.store.instances.list(app.id)
            # 32 MiB, which no buffer of a connection holds, and no pipe.
            args = ["/bin/busybox", "sh", "-c", "yes 0123456789 | head -n 3000000 >/proc/1/fd/1"]
            exec_ = world.parts.engine.foreground.exec
            assert exec_(instance.container, args, null, null, null, timeout_s=60.0) == 0
            os.close(null)
            assert world.version(app) == 7
            world.parts.drains.remove(app, drain.id, actor="ann")
            held.close()
