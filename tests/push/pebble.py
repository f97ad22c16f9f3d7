"""A small ACME authority of the test's own: Debian's pebble, and the DNS it asks."""

from __future__ import annotations

import json
import os
import ssl
import subprocess
import time
import urllib.request
from contextlib import ExitStack
from pathlib import Path

from paas.proxy.certificates import self_signed
from tests.newer import newer
from tests.ports import free_port
from tests.push.sshd import wait_for_port

NONCES_REJECTED_PERCENT = 15
"""pebble's own default is 5: clients have to retry (RFC 8555, section 6.5)."""


class Pebble:
    """An authority that looks at HTTP port `http_port` of this machine for every name."""

    def __init__(
        self,
        folder: Path,
        http_port: int,
        *,
        lifetime_s: int | None = None,
        dns: str = "",
        external: dict[str, str] | None = None,
        sleeps: bool = False,
        program: str = "pebble",
    ) -> None:
        """`dns` is a server to ask instead of the test's own; `external` has the accounts that
        one here must be bound to; with `sleeps` it takes its time to look, once."""
        folder.mkdir()
        self._program = program
        self._asks = dns
        self._sleeps = sleeps
        self._external = (
            {"externalAccountBindingRequired": True, "externalAccountMACKeys": external}
            if external
            else {}
        )
        self.folder = folder
        self.port, self._management, self._dns, self._names = (free_port() for _ in range(4))
        self._lifetime = _lifetime(lifetime_s) if lifetime_s else {}
        self._http_port = http_port
        self._running = ExitStack()
        mine = self_signed(["localhost"], time.time())
        self.trust.write_bytes(mine.chain)
        (folder / "key.pem").write_bytes(mine.key)
        self.start()

    @property
    def directory(self) -> str:
        return f"https://localhost:{self.port}/dir"

    @property
    def trust(self) -> Path:
        """What its own HTTPS is known by."""
        return self.folder / "certificate.pem"

    def start(self) -> None:
        config = {
            "listenAddress": f"127.0.0.1:{self.port}",
            "managementListenAddress": f"127.0.0.1:{self._management}",
            "certificate": str(self.trust),
            "privateKey": str(self.folder / "key.pem"),
            "httpPort": self._http_port,
            "tlsPort": free_port(),
            **self._lifetime,
            **self._external,
        }
        (self.folder / "config.json").write_text(json.dumps({"pebble": config}))
        self._start(
            self._names,
            "pebble-challtestsrv", "-http01", "", "-https01", "", "-tlsalpn01", "",
            "-dns01", f"127.0.0.1:{self._dns}", "-management", f"127.0.0.1:{self._names}",
            "-defaultIPv4", "127.0.0.1", "-defaultIPv6", "",
        )  # fmt: skip
        self._start(
            self.port,
            self._program, "-config", str(self.folder / "config.json"),
            "-dnsserver", self._asks or f"127.0.0.1:{self._dns}",
        )  # fmt: skip

    def stop(self) -> None:
        self._running.close()

    def lose(self, name: str) -> None:
        """Have the DNS fail for a name from now on."""
        self._post("set-servfail", {"host": f"{name}."})

    def find(self, name: str) -> None:
        """Have the DNS answer for it again."""
        self._post("clear-servfail", {"host": f"{name}."})

    def is_revoked(self, serial: str) -> bool:
        """Whether it counts a certificate, by its serial number in hex, as none any more."""
        status: str = json.loads(self._managed(f"cert-status-by-serial/{serial}"))["Status"]
        return status == "Revoked"

    def root(self) -> str:
        """The root that it signs with in this life, in PEM."""
        return self._managed("roots/0")

    def _managed(self, what: str) -> str:
        trusting = ssl.create_default_context(cafile=str(self.trust))
        url = f"https://localhost:{self._management}/{what}"
        with urllib.request.urlopen(url, context=trusting, timeout=10) as answer:
            text: str = answer.read().decode()
        return text

    def _post(self, what: str, data: dict[str, str]) -> None:
        request = urllib.request.Request(
            f"http://127.0.0.1:{self._names}/{what}", json.dumps(data).encode(), method="POST"
        )
        urllib.request.urlopen(request, timeout=10).close()

    def _start(self, port: int, *argv: str) -> None:
        log = self.folder / f"{Path(argv[0]).name}.log"
        slow = {"PEBBLE_VA_SLEEPTIME": "3", "PEBBLE_AUTHZREUSE": "100"}
        sleep = slow if self._sleeps else {"PEBBLE_VA_NOSLEEP": "1"}
        environment = (
            os.environ
            | sleep
            | {
                "PEBBLE_WFE_NONCEREJECT": str(NONCES_REJECTED_PERCENT),
            }
        )
        with log.open("ab") as out:
            process = subprocess.Popen(argv, stdout=out, stderr=out, env=environment)
        self._running.callback(process.wait)
        self._running.callback(process.kill)
        wait_for_port(port, process, log)


def _lifetime(seconds: int) -> dict[str, object]:
    """The setting of how long certificates are good for: pebble's before 2.7, and since."""
    profile = {"description": "as the test wants it", "validityPeriod": seconds}
    return {"certificateValidityPeriod": seconds, "profiles": {"default": profile}}


def newest_program() -> str:
    """pebble of Debian 13, which knows RFC 9773; from the mirror where this is an older one."""
    if b"renewalInfo" in Path("/usr/bin/pebble").read_bytes():
        return "pebble"
    return str(newer("pebble", "usr/bin/pebble"))
