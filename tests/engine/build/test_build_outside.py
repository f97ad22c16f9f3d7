"""What a Dockerfile names is fetched as a container would: never from where the host is."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from paas.engine.outside import Outside
from paas.engine.registry import PullFailed, Registry
from paas.host.processes import ProcessFailed
from tests.engine.build.rig import Rig, Told


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
