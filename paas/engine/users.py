"""Whom a container runs as: an image's USER, looked up in the image's own files.

Sources: passwd(5), group(5); the forms of USER are those of the Dockerfile reference.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from paas.errors import PaasError

MAX_ID = 65535
"""A container has 65536 ids."""


class NoSuchUser(PaasError):
    """The image does not know the user or group it is to run as."""


@dataclass(frozen=True)
class User:
    """Numbers as the container sees them."""

    uid: int = 0
    gid: int = 0
    groups: tuple[int, ...] = ()
    home: str = "/"


@dataclass(frozen=True)
class _Account:
    name: str
    uid: int
    gid: int
    home: str


def resolve_user(user: str, passwd: str, group: str) -> User:
    """The user of `NAME|UID[:GROUP|GID]`; empty is root.

    A number needs no line in `passwd`; a name does. As in Docker, the further groups are
    those that list the user, unless a group is given. Raises `NoSuchUser`.
    """
    name, _, group_name = user.partition(":")
    # An image of nothing but a program has no passwd, and runs as root all the same.
    name = name or "0"
    account = _find_account(name, passwd)
    if account is None:
        if not name.isdecimal():
            raise _missing("user", name, user)
        account = _Account("", _number(name, user), 0, "/")
    if group_name:
        gid = _find_group(group_name, group)
        if gid is None:
            if not group_name.isdecimal():
                raise _missing("group", group_name, user)
            gid = _number(group_name, user)
        return User(account.uid, gid, (), account.home)
    further = tuple(gid for gid, members in _groups(group) if account.name in members)
    return User(account.uid, account.gid, further, account.home)


def _find_account(name: str, passwd: str) -> _Account | None:
    for line in passwd.splitlines():
        fields = line.split(":")
        whole = len(fields) >= 6 and fields[2].isdecimal() and fields[3].isdecimal()
        # A name of digits is a name first, as in Docker.
        if whole and name in (fields[0], fields[2]):
            return _Account(fields[0], int(fields[2]), int(fields[3]), fields[5] or "/")
    return None


def _find_group(name: str, group: str) -> int | None:
    for line in group.splitlines():
        fields = line.split(":")
        if len(fields) >= 3 and fields[2].isdecimal() and name in (fields[0], fields[2]):
            return int(fields[2])
    return None


def _groups(group: str) -> Iterator[tuple[int, list[str]]]:
    for line in group.splitlines():
        fields = line.split(":")
        if len(fields) >= 4 and fields[2].isdecimal():
            yield int(fields[2]), [member for member in fields[3].split(",") if member]


def _number(text: str, user: str) -> int:
    if int(text) > MAX_ID:
        raise NoSuchUser(
            f"The id {text} of USER {user} is larger than {MAX_ID}",
            resolution="Run the image as a user with a smaller id.",
        )
    return int(text)


def _missing(kind: str, name: str, user: str) -> NoSuchUser:
    return NoSuchUser(
        f"The image has no {kind} {name}, which its USER {user} names",
        resolution=f"Create it in the Dockerfile ({kind}add), or use a number.",
    )
