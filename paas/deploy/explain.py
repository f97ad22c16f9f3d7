"""Why an instance did not come up, in words that name the mend."""

from __future__ import annotations

from collections.abc import Sequence

from paas.deploy.checks import DEFAULT, Wanted
from paas.deploy.draft import WEB, Draft
from paas.deploy.listening import Listener, listeners
from paas.deploy.running import Running
from paas.engine.engine import Engine
from paas.engine.logs import tail
from paas.errors import PaasError

LOG_LINES = 30


class Unhealthy(PaasError):
    """A new instance exited, or did not pass its checks in time."""


class Explainer:
    """Looks at an instance that failed, while it is still there."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def exited(self, running: Running, draft: Draft) -> Unhealthy:
        """The instance ended before it was healthy."""
        status = self._engine.containers.status(running.container)
        name = running.member
        if status.oom_killed:
            return Unhealthy(
                f"{name} was killed because it used more than its memory limit",
                self._log(running),
                "Use less memory at start, for instance with fewer server processes.",
            )
        if status.exit_code == 0:
            return Unhealthy(
                f"{name} exited with code 0: its command ended instead of serving",
                self._log(running),
                f"The command of {name.process_type} must stay in the foreground"
                f"{'' if name.process_type != WEB else f' and listen on 0.0.0.0:{draft.port}'}.",
            )
        return Unhealthy(
            f"{name} exited with code {status.exit_code} before it was healthy",
            self._log(running),
            "Its last lines above say why; config is set with: paas config:set APP KEY=VALUE",
        )

    def too_late(
        self, running: Running, draft: Draft, deadline_s: float, check: Wanted, fault: str
    ) -> Unhealthy:
        """The instance runs, but did not pass a check, whose last `fault` is given."""
        found = listeners(running.pid)
        name = str(running.member)
        serves = any(one.port == draft.port and one.reachable for one in found)
        if serves and check.declared == DEFAULT:
            return Unhealthy(
                f"{name} listens on port {draft.port}, but accepted no connection within"
                f" {deadline_s:g} seconds",
                self._log(running),
                "Its server's own processes do not start, or take longer; more time for them:"
                " paas checks:set APP boot-seconds SECONDS",
            )
        connects = check.declared.kind in ("listening", "path") and not check.declared.port
        if running.member.process_type != WEB or serves or not connects:
            return Unhealthy(
                f"{name} did not pass its check '{check.name}' within {deadline_s:g} seconds",
                [fault, *self._log(running)] if fault else self._log(running),
                "Checks are declared in app.json, under healthchecks; more time for them:"
                " paas checks:set APP boot-seconds SECONDS",
            )
        brief, remedy = misplaced(name, found, draft.port, deadline_s)
        return Unhealthy(brief, self._log(running), remedy)

    def _log(self, running: Running) -> Sequence[str]:
        lines = tail(running.log, LOG_LINES)
        if not lines:
            return [f"{running.member} wrote nothing to its output."]
        return [f"Last lines of {running.member}:", *(f"  {line}" for line in lines)]


def misplaced(
    name: str, found: Sequence[Listener], port: int, deadline_s: float
) -> tuple[str, str]:
    """What is wrong with where an instance listens, and what to change."""
    waited = f"within {deadline_s:g} seconds"
    if any(one.port == port for one in found):
        local = next(one for one in found if one.port == port)
        return (
            f"{name} listens on {local}, where nothing outside of it can connect",
            f"Bind 0.0.0.0:{port} instead of {local}.",
        )
    if found:
        others = ", ".join(str(one) for one in found)
        return (
            f"{name} listens on {others}, but on port {port} was expected",
            f"Listen on 0.0.0.0:$PORT, or say which port it is: "
            f"paas config:set APP PORT={found[0].port}",
        )
    return (
        f"{name} did not listen on port {port} {waited}",
        f"Its command must listen on 0.0.0.0:$PORT, which is {port}.",
    )
