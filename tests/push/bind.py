"""A DNS of the test's own: Debian's named, primary for one zone that takes dynamic updates."""

from __future__ import annotations

import os
import subprocess
from contextlib import ExitStack
from pathlib import Path

from tests.ports import free_port
from tests.push.sshd import wait_for_port

ZONE = """$TTL 60
@ IN SOA ns.{zone}. ops.{zone}. 1 3600 600 86400 60
@ IN NS ns.{zone}.
@ IN A 127.0.0.1
* IN A 127.0.0.1
"""
CONFIG = """
include "{folder}/tsig.key";
options {{
    directory "{folder}"; pid-file none; session-keyfile none;
    listen-on port {port} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }};
    recursion no; dnssec-validation no;
}};
controls {{ }};
zone "{zone}" {{ type primary; file "zone"; allow-update {{ key "paas"; }}; }};
"""


class Bind:
    """Answers for `zone` on loopback; every name in it leads to this machine."""

    def __init__(self, folder: Path, zone: str) -> None:
        folder.mkdir()
        self.folder, self.zone, self.port = folder, zone, free_port()
        self.key = folder / "tsig.key"
        made = subprocess.run(["tsig-keygen", "paas"], capture_output=True, check=True)
        self.key.write_bytes(made.stdout)
        (folder / "zone").write_text(ZONE.format(zone=zone))
        config = folder / "named.conf"
        config.write_text(CONFIG.format(folder=folder, port=self.port, zone=zone))
        log = folder / "named.log"
        self._running = ExitStack()
        with log.open("ab") as out:
            # -g: in the foreground and as who starts it, which may write the journal here.
            process = subprocess.Popen(
                ["named", "-g", "-4", "-c", str(config)], stdout=out, stderr=out, env=os.environ
            )
        self._running.callback(process.wait)
        self._running.callback(process.kill)
        wait_for_port(self.port, process, log)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def stop(self) -> None:
        self._running.close()

    def records(self, name: str) -> list[str]:
        """The TXT records at a name now."""
        asked = subprocess.run(
            ["dig", "+short", "+tcp", "-p", str(self.port), "@127.0.0.1", name, "TXT"],
            capture_output=True, check=True,
        )  # fmt: skip
        return asked.stdout.decode().split()
