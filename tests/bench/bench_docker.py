"""The docker commands that a Dockerfile deploy cannot avoid, without anything around them.

The same change of the same app, by hand: build, run, wait for the first answer, point nginx
at it. Runs where docker.io is installed (`apt-get install docker.io`), in namespaces of its own.
"""

from __future__ import annotations

import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tests.bench.dockerd import PROGRAM, Docker, dockerd
from tests.bench.figures import Row, row, seconds
from tests.bench.sample import version
from tests.ports import free_port
from tests.push import apps
from tests.push.server import HOME, Server

TITLE = "docker by hand"
ROUNDS = 5

DOCKERFILE = """\
FROM base
WORKDIR /app
COPY . .
ENV PORT=5000
CMD exec python3 -m gunicorn --bind "0.0.0.0:$PORT" --threads 8 --no-control-socket app:app
"""

# Begins to ask when it is told to: an address that is asked for before the container's link
# is up is looked for again a second later (arp(7)), and that is nobody's boot.
ASK = """
import http.client, sys, time
sys.stdin.readline()
while True:
    try:
        c = http.client.HTTPConnection("127.0.0.1", int(sys.argv[1]), timeout=5)
        c.request("GET", "/")
        if sys.argv[2] in c.getresponse().read().decode():
            break
    except OSError:
        pass
    time.sleep(0.005)
print(time.monotonic())
"""

NGINX = """\
daemon on; pid {folder}/pid; error_log {folder}/log; worker_processes 2;
events {{}}
http {{ access_log off; server {{ listen 127.0.0.1:{port}; return 200 "{text}"; }} }}
"""


def measure(_server: Server) -> Sequence[Row]:
    """Deploy by hand, stage by stage."""
    if PROGRAM is None:
        raise FileNotFoundError("dockerd: `./test.sh` unpacks it where the distribution has it")
    with tempfile.TemporaryDirectory(dir=HOME) as name, dockerd(Path(name)) as docker:
        make_base(docker, Path(name))
        deploy(docker, Path(name), 0)
        rounds = [deploy(docker, Path(name), number) for number in range(1, ROUNDS + 1)]
        switches = nginx_switches(Path(name))
    stages = {name: [one[name] for one in rounds] for name in rounds[0]}
    stages["nginx reload"] = switches
    totals = [sum(parts) for parts in zip(*stages.values(), strict=True)]
    return [*(row(f"  {name}", samples) for name, samples in stages.items()), row("all", totals)]


def make_base(docker: Docker, folder: Path) -> None:
    """An image with Python, and the same Flask and gunicorn that the sample pins."""
    wanted = apps.APPS / "hello-flask/requirements.txt"
    packages = f'"$1/usr/lib/python3/dist-packages" --requirement {wanted}'
    install = f"{sys.executable} -m pip install --quiet --target {packages}"
    release = platform.freedesktop_os_release()["VERSION_CODENAME"]
    subprocess.run(
        ["mmdebstrap", "--quiet", "--variant=apt", "--include=python3",
         f"--customize-hook={install}", release, folder / "base.tar"],
        check=True, stdin=subprocess.DEVNULL, capture_output=True,
    )  # fmt: skip
    docker.run("import", str(folder / "base.tar"), "base")


def deploy(docker: Docker, folder: Path, number: int) -> dict[str, float]:
    """Seconds by stage of one change; the container before it is not counted away."""
    tree = folder / "tree"
    tree.mkdir(exist_ok=True)
    for name, text in (apps.fixture("hello-flask") | version(f"d{number}")).items():
        (tree / name).write_text(text)
    (tree / "Dockerfile").write_text(DOCKERFILE)
    taken = {"build": seconds(lambda: docker.run("build", "-t", "app", ".", cwd=tree))}
    port = 5000 + number
    asking = subprocess.Popen(
        docker.inside("/usr/bin/python3", "-c", ASK, str(port), f"version d{number}"),
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    taken["run"] = seconds(lambda: docker.run("run", "-d", "-p", f"{port}:5000", "app"))
    started = time.monotonic()
    answered = float(asking.communicate("now\n", timeout=60)[0])
    taken["health"] = max(0.0, answered - started)
    docker.run("kill", *docker.run("ps", "-q").split())
    return taken


def nginx_switches(folder: Path) -> list[float]:
    """From rewriting a configuration to the first answer by it."""
    port = free_port()
    config = folder / "nginx.conf"
    config.write_text(NGINX.format(folder=folder, port=port, text="v0"))
    command = ["nginx", "-p", str(folder), "-c", str(config)]
    subprocess.run(command, check=True, capture_output=True)
    try:
        return [_switch(command, config, folder, port, f"v{n}") for n in range(1, ROUNDS + 1)]
    finally:
        subprocess.run([*command, "-s", "quit"], check=True, capture_output=True)


def _switch(command: list[str], config: Path, folder: Path, port: int, text: str) -> float:
    began = time.perf_counter()
    config.write_text(NGINX.format(folder=folder, port=port, text=text))
    subprocess.run([*command, "-s", "reload"], check=True, capture_output=True)
    ask = ["/usr/bin/python3", "-c", ASK, str(port), text]
    subprocess.run(ask, check=True, capture_output=True, input=b"now\n", timeout=60)
    return time.perf_counter() - began
