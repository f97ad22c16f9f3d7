"""The systemd units of the installed PaaS; elsewhere `Services` runs the same itself."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

from paas.daemon.background import LOG_LINES, NotStarted
from paas.host.clock import SystemClock
from paas.host.files import remove_tree, write_atomic
from paas.host.processes import ProcessFailed, run
from paas.model.layout import Layout

UNITS = ("paas-network.service", "paas-instances.service", "paas-proxy.service", "paasd.service")
"""In the order they start."""

FOLDER = Path("/etc/systemd/system")
NEEDRESTART = Path("/etc/needrestart/conf.d/paas.conf")
"""What needrestart reads, which restarts services after an upgrade of their libraries."""

SLICE = "paas.slice"
"""The group at the top that the instances are in; systemd makes it with the first of its units."""

CONTROL = Path("/run/systemd/system.control")
"""Where systemd keeps what `systemctl set-property --runtime` told it (`paas.host.reserved`)."""

BOOTED = Path("/run/systemd/system")
"""Exists exactly when systemd is PID 1 (sd_booted(3))."""


def render(text: str, layout: Layout, python: str) -> str:
    """Fill a unit's template in. A `%` would be a specifier (systemd.unit(5))."""
    for name, value in (("PYTHON", python), ("ROOT", layout.root), ("RUN", layout.run)):
        text = text.replace("{{" + name + "}}", str(value).replace("%", "%%"))
    return text


class Systemd:
    """Installs, starts and stops the units of the default root."""

    def __init__(self, layout: Layout, *, python: str = sys.executable) -> None:
        self._layout = layout
        self._python = python

    @property
    def wanted(self) -> bool:
        """Whether units are to run this PaaS: the installed one, on a machine of systemd's."""
        return BOOTED.is_dir() and self._layout.id == "paas"

    @property
    def used(self) -> bool:
        """Whether the units are what runs this PaaS."""
        return self.wanted and (FOLDER / UNITS[0]).is_file()

    def install(self) -> None:
        """Write the units, and have them started with the machine."""
        templates = files("paas.daemon") / "units"
        for unit in UNITS:
            text = render((templates / unit).read_text("utf-8"), self._layout, self._python)
            write_atomic(FOLDER / unit, text, mode=0o644)
        # It may be installed later.
        NEEDRESTART.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        write_atomic(NEEDRESTART, (templates / "needrestart.conf").read_text("utf-8"), mode=0o644)
        run(["systemctl", "daemon-reload"])
        run(["systemctl", "enable", *UNITS])

    def uninstall(self) -> None:
        """Remove the units, which are stopped."""
        run(["systemctl", "disable", *UNITS], check=False)
        for unit in UNITS:
            (FOLDER / unit).unlink(missing_ok=True)
        # It would outlive what was in it.
        run(["systemctl", "stop", SLICE], check=False)
        for unit in (SLICE, *UNITS):
            remove_tree(CONTROL / f"{unit}.d")
        NEEDRESTART.unlink(missing_ok=True)
        run(["systemctl", "daemon-reload"])

    def start(self, units: Sequence[str] = UNITS) -> None:
        """Returns when they are up: all of them tell. Raises `NotStarted` with what they said."""
        began = SystemClock().now()
        try:
            run(["systemctl", "start", *units])
        except ProcessFailed as error:
            # systemctl says no more than where to look.
            journal = ["journalctl", "--no-pager", *(f"--unit={unit}" for unit in units)]
            latest = ["--output=cat", f"--since=@{began:.3f}", f"--lines={LOG_LINES}"]
            said = run([*journal, *latest], check=False).text
            raise NotStarted(
                f"systemd cannot start {' '.join(units)}",
                said.splitlines(),
                f"All that was said: {shlex.join(journal)}",
            ) from error

    def restart(self, unit: str, *, wait: bool = True) -> None:
        """Without `wait` it has only been asked for: a unit that restarts itself ends by that."""
        run(["systemctl", *([] if wait else ["--no-block"]), "restart", unit])

    def mend(self, unit: str, *, stale: bool) -> None:
        """Start a unit that should run, if systemd is not about to; a stale one again."""
        # What it says when that fails is in the journal, and the next look tries again.
        run(["systemctl", "restart" if stale else "start", unit], check=False)

    def stop(self, units: Sequence[str] = UNITS) -> None:
        """Stop them in the reverse of their order."""
        run(["systemctl", "stop", *reversed(units)])
