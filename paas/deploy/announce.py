"""The end of a deploy, as its user reads it."""

from __future__ import annotations

from paas.deploy.attempt import Attempt
from paas.deploy.pipeline import Pipeline
from paas.model.release import Release


def announce(pipeline: Pipeline, attempt: Attempt, release: Release) -> None:
    """Say which release it is and where it is served."""
    # By id: the app may have been renamed meanwhile.
    app = pipeline.store.apps.by_id(attempt.app.id) or attempt.app
    attempt.report.step(f"Released {release.version} in {attempt.timeline.total:.1f} s")
    left_out = pipeline.router.left_out(app)
    if left_out is not None:
        attempt.report.result("Application deployed, but the proxy does not serve it as it is:")
        attempt.report.warn(f"Its site is quarantined: {left_out}")
        attempt.report.warn("What was served before goes on. Mend that and push again.")
        return
    attempt.report.result("Application deployed:")
    for url in pipeline.router.urls(app):
        attempt.report.detail(url)
