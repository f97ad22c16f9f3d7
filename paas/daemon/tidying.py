"""What the supervisor clears away and puts right every few seconds, step by step."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from paas.daemon.authorized_keys import mend_authorized_keys
from paas.daemon.services import Services
from paas.deploy.heal import Healing
from paas.deploy.parts import Parts
from paas.model.report import Silent


def steps(
    parts: Parts, healing: Healing, settle_abandoned: Callable[[], None]
) -> Sequence[Callable[[], object]]:
    """Roll killed deploys back or forward, and mend what was broken from outside.

    In this order: an upgrade that was cut short comes first, since all the rest would be undone;
    what a killed deploy left ends before its place is free for another.
    """
    return (
        Services(parts).settle_upgrade,
        parts.engine.network.ensure,
        lambda: parts.egress.look(),
        healing.reap,
        settle_abandoned,
        parts.router.mend,
        lambda: mend_authorized_keys(parts.layout, parts.store),
        parts.detached.settle,
        parts.cron_runs.sweep,
        parts.drains.sweep,
        parts.storage.sweep,
        parts.engine.containers.release,
        parts.engine.bundler.reserved.settle,
        parts.engine.containers.regroup,
        parts.engine.containers.rotate_logs,
        parts.engine.builder.recover,
        parts.service_care.sweep,
        parts.service_care.settle_backups,
        parts.service_care.mend,
        parts.service_care.revoke_outdated,
        lambda: parts.lifecycle.sweep(Silent()),
        lambda: parts.router.publish(Silent()),
        parts.metrics.collect,
        Services(parts).mend,
    )
