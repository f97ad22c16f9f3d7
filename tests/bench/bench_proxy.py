"""What our proxy costs: wrk through it and through a hand-written nginx, to the same instance.

Both nginx run side by side and take turns, so whatever else the machine does meets both. The
hand-written one goes to the instance's own address and logs as Debian's does.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from paas.model.layout import Layout
from paas.store.store import Store
from tests.bench.figures import Row, row
from tests.bench.sample import APP
from tests.ports import free_port
from tests.push import apps
from tests.push.server import DOMAIN, Server

TITLE = "our proxy beside a hand-written nginx"
ROUNDS, SECONDS = 5, 4

BY_HAND = """
user www-data;
worker_processes auto;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 1024; }}
http {{
    access_log {folder}/access.log;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
    upstream app {{ server {backend}; keepalive 64; }}
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass http://app;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Host $host;
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
            proxy_set_header X-Forwarded-Proto $scheme;
        }}
    }}
}}
"""


def measure(server: Server) -> Sequence[Row]:
    """Ratios of medians, round by round."""
    server.repository(APP, apps.fixture("hello-flask")).push("--force", "main").ok()
    found: dict[str, list[tuple[float, float]]] = {"ours": [], "by hand": []}
    with _by_hand(server) as port:
        for _ in range(ROUNDS):
            found["ours"].append(_wrk(server.http_port))
            found["by hand"].append(_wrk(port))
    pairs = list(zip(found["ours"], found["by hand"], strict=True))
    return [
        row("requests a second, ours", [rate for rate, _ in found["ours"]], unit="/s"),
        row("requests a second, by hand", [rate for rate, _ in found["by hand"]], unit="/s"),
        row(
            "throughput lost", [1 - ours[0] / hand[0] for ours, hand in pairs], unit="", target=0.1
        ),
        row("latency more", [ours[1] / hand[1] - 1 for ours, hand in pairs], unit="", target=0.1),
    ]


@contextmanager
def _by_hand(server: Server) -> Iterator[int]:
    folder, port = server.folder / "by-hand", free_port()
    folder.mkdir(exist_ok=True)
    text = BY_HAND.format(folder=folder, port=port, backend=_backend(server.layout))
    (folder / "nginx.conf").write_text(text)
    command = ["nginx", "-p", folder, "-c", folder / "nginx.conf", "-e", folder / "error.log"]
    subprocess.run(command, check=True)
    try:
        yield port
    finally:
        subprocess.run([*command, "-s", "stop"], check=True)


def _backend(layout: Layout) -> str:
    """The instance's own address: what is behind our slots."""
    store = Store(layout)
    app = store.apps.get(APP)
    one = next(each for each in store.instances.list(app.id) if each.state.can_serve)
    store.close()
    return f"{one.address}:{one.port}"


def _wrk(port: int) -> tuple[float, float]:
    """Requests a second, and the median latency in milliseconds."""
    said = subprocess.run(
        ["wrk", "-t", "1", "-c", "8", "-d", f"{SECONDS}s", "--latency",
         "-H", f"Host: {APP}.{DOMAIN}", f"http://127.0.0.1:{port}/"],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    rate = re.search(r"Requests/sec:\s+([\d.]+)", said)
    median = re.search(r"50%\s+([\d.]+)(us|ms|s)", said)
    assert rate is not None, said
    assert median is not None, said
    return float(rate[1]), float(median[1]) * {"us": 0.001, "ms": 1, "s": 1000}[median[2]]
