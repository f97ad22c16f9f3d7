"""The release phase: Procfile's `release` runs once in the new image before the switch."""

from __future__ import annotations

from paas.deploy.draft import RELEASE, Draft
from paas.deploy.oneoff import OneOff
from paas.errors import PaasError
from paas.model.app import App
from paas.model.report import Report


class ReleasePhaseFailed(PaasError):
    """The release command ended with a code other than 0."""


class ReleasePhase:
    """Runs the release command in a one-off container."""

    def __init__(self, oneoff: OneOff) -> None:
        self._oneoff = oneoff

    def run(self, app: App, draft: Draft, report: Report) -> None:
        """Stream the command's output. Raises `ReleasePhaseFailed`."""
        command = draft.processes[RELEASE] or ""
        report.step(f"Running the release command: {command}")
        code = self._oneoff.reported(app, draft, RELEASE, report)
        if code != 0:
            raise ReleasePhaseFailed(
                f"The release command exited with code {code}: {command}",
                resolution="The old release is still live. Mend the command and push again.",
            )
