"""`paas upgrade`: a new version takes over, and the old one again when that goes wrong.

The new version is built beside the old one, tried on copies of the databases, and then put
in its place while no command runs; it is kept if it then serves all that was served before.
No instance, nginx nor the network is stopped by any of it. The old version does all this, by
its own real path, so that nothing of the new one is loaded into it.
"""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from paas.daemon.checks import serving
from paas.daemon.doctor import Doctor
from paas.daemon.services import Services
from paas.daemon.trial import Record, Trial
from paas.daemon.versions import Versions
from paas.deploy.parts import Parts
from paas.errors import PaasError
from paas.host.processes import Completed, ProcessFailed, run, spawn
from paas.host.waiting import wait_until
from paas.model.report import Report
from paas.model.settings import HTTP_ADDRESS, HTTP_PORT

START_S = 300.0
"""For one start of the new version; as the units say, a busy machine may take its time."""

PATIENCE_S = 15.0
ASKED_AT_ONCE = 16
ANY_ADDRESS = ("", "0.0.0.0")  # noqa: S104 - compared with, not listened on
INTERRUPTIONS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class UpgradeFailed(PaasError):
    """The new version does not do what the old one did; the old one is in use."""


@dataclass(frozen=True)
class Seen:
    """What is well: the doctor's checks, and the hosts that the proxy answers for, where."""

    checks: frozenset[str]
    hosts: frozenset[str]
    address: str
    port: int

    def gone(self) -> list[str]:
        """The hosts that the proxy does not answer for any more."""
        return sorted(self.hosts - answering(self.address, self.port, self.hosts))


class Upgrade:
    """Replaces the program of one PaaS. Only an installed version can be replaced."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._layout = parts.layout
        self._trial = Trial(parts.layout)

    def run(self, checkout: Path | None, report: Report) -> None:
        """Upgrade to what is in `checkout`, or to what install.sh staged without one.

        Raises `UpgradeFailed` when the old version serves on instead.
        """
        versions = Versions.here()
        with self._trial.held(f"process {os.getpid()}"):
            if self._trial.pending:
                raise UpgradeFailed("An earlier upgrade was cut short", resolution="paas up")
            if checkout is not None:
                self._stage(checkout, report)
            old, new = versions.in_use, versions.staged
            if old == new:
                report.result(f"Version {old} is in use already")
                return
            numbers = {id: versions.number_of(id) for id in (old, new)}
            report.step(f"Trying {numbers[new]} ({new}) on copies of the databases")
            self._rehearse(versions.directory(new) / "bin/python")
            before = self._look()
            report.step(f"Replacing {numbers[old]} ({old}); commands that come now wait")
            self._replace(versions, Record(str(versions.program), old, new), before, report)
        report.result(f"Upgraded to {numbers[new]} ({new}); no app was restarted")

    # -- before anything changes -------------------------------------------------------------

    def _stage(self, checkout: Path, report: Report) -> None:
        install = checkout / "install.sh"
        if not install.is_file():
            raise PaasError(
                f"There is no checkout of paas in {checkout}",
                resolution="Get the new version first: git -C DIR pull",
            )
        report.step(f"Building the version in {checkout} beside the one in use")
        # It takes a while, so it is seen as it goes; it fetches as root's shell would.
        argv: list[str | Path] = [install, "--stage", "--root", self._layout.root]
        if spawn(argv, stdout=1, stderr=2, env=fetching_environment()).wait() != 0:
            raise UpgradeFailed("The new version could not be built; nothing was changed")

    def _rehearse(self, python: Path) -> None:
        try:
            root = self._trial.copies()
            run([python, "-I", "-m", "paas", "--root", root, "rehearse"])
        except ProcessFailed as error:
            raise UpgradeFailed(
                "The new version cannot use this server's data; nothing was changed",
                said_by(error.completed),
            ) from error
        finally:
            self._trial.end()

    def _look(self) -> Seen:
        settings = self._parts.store.settings
        listens, port = settings.value(HTTP_ADDRESS), settings.value(HTTP_PORT)
        address = "127.0.0.1" if listens in ANY_ADDRESS else listens
        checks = frozenset(one.name for one in Doctor(self._parts).examine() if one.ok)
        return Seen(checks, answering(address, port, self._hosts()), address, port)

    def _hosts(self) -> frozenset[str]:
        router, apps = self._parts.router, self._parts.store.apps.list()
        urls = [url for app in apps if app.can_run for url in router.urls(app)]
        return frozenset(urlsplit(url).hostname or "" for url in urls)

    # -- the change ----------------------------------------------------------------------------

    def _replace(self, versions: Versions, record: Record, before: Seen, report: Report) -> None:
        """Try the new version in a process of its own: however that ends, the way back is ours."""

        def attempt() -> None:
            self._parts.store.close()
            self._services().down(["paasd"], report)
            self._trial.keep(record)
            versions.use(record.new)
            report.step("Checking it")
            self._start(versions)
            self._check(versions, before)

        with uninterrupted():
            self._trial.begin(record)
            if in_a_child(attempt, report):
                self._trial.end()
                return
            report.warn("Going back to the version before")
            try:
                self._services().down(["paasd"], report)
                self._trial.go_back()
                self._start(versions)
            except PaasError as error:
                raise UpgradeFailed(
                    "The old version does not start again either",
                    (error.brief, *error.details),
                    "See: paas doctor. Apps are served all the while.",
                ) from error
        raise UpgradeFailed(
            "The new version failed; the one before is in use again, with all its data",
            resolution=f"What the new one said: {self._layout.logs}/paasd.log, journalctl -u paasd",
        )

    def _services(self) -> Services:
        return Services(Parts(self._layout))

    def _start(self, versions: Versions) -> None:
        """Start what is in use, by its own units and its own way."""
        run([*self._paas(versions), "up", "--no-stack"], timeout=START_S)

    def _check(self, versions: Versions, before: Seen) -> None:
        """Raises `PaasError` for what was well and is not, after some patience."""
        wrong: list[str] = []

        def well() -> bool:
            wrong[:] = self._unwell(versions, before)
            return not wrong

        if not wait_until(well, PATIENCE_S, 0.2):
            raise UpgradeFailed("The new version does not do what the old one did", wrong)
        run([*self._paas(versions), "apps:list", "--quiet"], timeout=START_S)

    def _unwell(self, versions: Versions, before: Seen) -> list[str]:
        argv = [*self._paas(versions), "doctor", "--format", "json"]
        found = {one["name"]: one for one in parsed(run(argv, timeout=START_S, check=False))}
        wrong = [
            f"{name}: {found[name]['text']}"
            for name in sorted(before.checks & found.keys())
            if not found[name]["ok"]
        ]
        return [*wrong, *(f"{host} is no longer served" for host in before.gone())]

    def _paas(self, versions: Versions) -> list[str | Path]:
        return [versions.python, "-I", "-m", "paas", "--root", self._layout.root]


def answering(address: str, port: int, hosts: frozenset[str]) -> frozenset[str]:
    """Those of the hosts that the proxy answers for."""
    with ThreadPoolExecutor(ASKED_AT_ONCE) as pool:
        asked = {host: pool.submit(serving.serves, address, port, host) for host in hosts}
    return frozenset(host for host, answer in asked.items() if answer.result())


def fetching_environment() -> dict[str, str]:
    """What says how the network is reached: proxies, mirrors of PyPI, authorities."""
    return {
        name: value
        for name, value in os.environ.items()
        if name.startswith(("PIP_", "SSL_")) or name.lower().endswith("_proxy")
    }


def parsed(told: Completed) -> list[Mapping[str, str]]:
    """The doctor's checks. Raises `ProcessFailed` for what is none."""
    try:
        found = json.loads(told.stdout)
    except ValueError:
        raise ProcessFailed(told) from None
    return list(found)


def said_by(told: Completed) -> list[str]:
    """The last lines of what a program said on standard error, without a trace's frames."""
    lines = told.stderr.decode("utf-8", "replace").splitlines()
    return [line for line in lines if line and not line.startswith((" ", "Traceback"))][-5:]


def in_a_child(work: Callable[[], None], report: Report) -> bool:
    """Do `work` in a child of this process; whether it came to a good end."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            work()
            code = 0
        except PaasError as error:
            for line in filter(None, (error.brief, *error.details, error.resolution)):
                report.warn(line)
        except Exception as error:  # noqa: BLE001 - whatever it is, the parent goes back
            report.warn(f"{type(error).__name__}: {error}")
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Let no signal of a terminal end this. By handlers, which a new program does not inherit."""
    before = {number: signal.signal(number, lambda *_: None) for number in INTERRUPTIONS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
