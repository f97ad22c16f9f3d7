"""USER of an image, looked up in the image's files."""

from __future__ import annotations

import pytest

from paas.engine.users import NoSuchUser, User, resolve_user

PASSWD = """root:x:0:0:root:/root:/bin/sh
# a comment
broken:line
web:x:1000:1001:Web:/home/web:/bin/sh
7:x:4242:4242::/seven:/bin/sh
"""
GROUP = "root:x:0:\nweb:x:1001:\nextra:x:2000:other,web\nbroken\n"


@pytest.mark.parametrize(
    ("user", "said"),
    [("nobody", "no user nobody"), ("web:nobody", "no group nobody"), ("70000", "larger"),
     ("web:70000", "larger"), ("-1", "no user -1"), ("²", "no user")],
)  # fmt: skip
def test_refused(user: str, said: str) -> None:
    with pytest.raises(NoSuchUser, match=said):
        resolve_user(user, PASSWD, GROUP)


@pytest.mark.parametrize(
    ("user", "found"),
    [
        ("", User(0, 0, (), "/root")),
        ("web", User(1000, 1001, (2000,), "/home/web")),
        ("1000", User(1000, 1001, (2000,), "/home/web")),
        ("web:extra", User(1000, 2000, (), "/home/web")),
        ("web:5", User(1000, 5, (), "/home/web")),
        ("1234", User(1234, 0, (), "/")),
        ("1234:web", User(1234, 1001, (), "/")),
        ("7", User(4242, 4242, (), "/seven")),
    ],
)
def test_resolved(user: str, found: User) -> None:
    assert resolve_user(user, PASSWD, GROUP) == found


def test_an_image_without_files_has_root_and_numbers() -> None:
    assert resolve_user("", "", "") == User(0, 0, (), "/")
    assert resolve_user("5:6", "", "") == User(5, 6, (), "/")
