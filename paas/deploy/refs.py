"""Which of the pushed refs is a deploy, and what to type when none is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from shlex import quote

from paas.deploy.tree import PushRefused
from paas.model.names import parse_branch

HEADS = "refs/heads/"


@dataclass(frozen=True)
class RefUpdate:
    """One line of a pre-receive hook's input (githooks(5))."""

    old: str
    new: str
    name: str

    @property
    def before(self) -> str | None:
        """Where git found the branch, None when this update makes it."""
        return None if set(self.old) == {"0"} else self.old

    @property
    def deletes(self) -> bool:
        return set(self.new) == {"0"}


@dataclass(frozen=True)
class Push:
    """The one branch of a push that is deployed, and where git found it."""

    branch: str
    commit: str
    before: str | None


@dataclass(frozen=True)
class Target:
    """What is pushed to: an app, and its deploy branch; None where the first push decides.

    `ssh` is how commands reach the server. `stays` says that the app is there behind a refusal
    as well: one that its first push makes is not.
    """

    app: str
    branch: str | None
    ssh: str
    stays: bool


def deployable(updates: Sequence[RefUpdate], target: Target) -> Push:
    """Choose the ref to deploy.

    Tags that travel with the branch are welcome. Everything else that would move a ref
    without a deploy is refused: a push that succeeds means that the app is live. Raises
    `PushRefused`, and `InvalidName` for a first branch that cannot be set as one.
    """
    branch = target.branch
    for update in updates:
        if update.deletes:
            name = short(update.name)
            raise PushRefused(
                f"{name} cannot be deleted by a push",
                resolution="To remove the whole app: paas apps:destroy APP"
                if branch in (None, name)
                else f"It goes by itself with the next push: git push paas {branch}",
            )
    heads = [update for update in updates if update.name.startswith(HEADS)]
    wanted = branch or (short(heads[0].name) if heads else "main")
    if not heads:
        name = short(updates[0].name) if updates else "nothing"
        raise PushRefused(
            f"{name} is not a branch, so there is nothing to deploy",
            resolution=f"To deploy it: git push paas '{name}^{{commit}}:refs/heads/{wanted}'",
        )
    if len(heads) > 1:
        raise PushRefused(
            f"{len(heads)} branches were pushed at once; one can be deployed",
            resolution=f"git push paas {wanted}",
        )
    pushed = short(heads[0].name)
    if pushed != wanted:
        raise PushRefused(
            f"{pushed} is not the deploy branch, which is {wanted}",
            _instead(pushed, target),
            f"To deploy it: git push paas {quote(f'{pushed}:{wanted}')}",
        )
    return Push(pushed if branch else parse_branch(pushed), heads[0].new, heads[0].before)


def _instead(pushed: str, target: Target) -> list[str]:
    """What else may be meant by a push of another branch."""
    if not target.stays:
        return []
    # Two shells read it: the one it is typed into, and what parses it on the server.
    command = f"{target.ssh} git:set {target.app} deploy-branch {quote(quote(pushed))}"
    return [
        "To try it beside the app: paas apps:clone APP NEW, and push it there.",
        f"To deploy {pushed} from now on: {command}",
    ]


def short(ref: str) -> str:
    """`main` for `refs/heads/main`, `v1` for `refs/tags/v1`."""
    return ref.removeprefix(HEADS).removeprefix("refs/tags/").removeprefix("refs/")
