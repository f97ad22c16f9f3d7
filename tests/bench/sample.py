"""The sample app as the benchmarks use it: versions of it, and its boot outside of a PaaS."""

from __future__ import annotations

import http.client
import os
import subprocess
import sys
import time
from pathlib import Path

from tests.ports import free_port
from tests.push import apps

APP = "hello"


def version(text: str) -> dict[str, str]:
    """A one-line change of the sample app."""
    source = apps.fixture("hello-flask")["app.py"]
    return {"app.py": source.replace('VERSION = "1"', f'VERSION = "{text}"')}


def boot_seconds() -> float:
    """From starting gunicorn as the image does to its first answer, on the host."""
    port = free_port()
    began = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "gunicorn", "--bind", f"127.0.0.1:{port}",
         "--threads", "8", "--no-control-socket", "app:app"],
        cwd=apps.APPS / "hello-flask", stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        env={"PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1"},
    )  # fmt: skip
    try:
        while not _answers(port):
            time.sleep(0.002)
        return time.perf_counter() - began
    finally:
        process.terminate()
        process.wait()


def _answers(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/health")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


def bare_repository(folder: Path) -> Path:
    """An empty bare repository with an empty pre-receive hook: what any push costs."""
    subprocess.run(["git", "init", "-q", "--bare", folder], check=True)
    hook = folder / "hooks/pre-receive"
    hook.write_text("#!/bin/sh\nexec cat >/dev/null\n")
    hook.chmod(0o755)
    return folder
