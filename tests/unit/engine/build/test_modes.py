"""--chmod, octal and symbolic, as chmod(1) would have it."""

from __future__ import annotations

import stat
import subprocess
from pathlib import Path

import pytest

from paas.engine.build.errors import DockerfileError, Location
from paas.engine.build.modes import parse_mode

AT = Location("Dockerfile", 3)


@pytest.mark.parametrize("text", ["888", "77777", "u+y", "z=r", "u", "+", "u=r,", "-1", "0x7"])
def test_what_is_no_mode_is_refused(text: str) -> None:
    if text == "+":
        assert parse_mode(text, AT) is not None  # chmod(1) takes it too
        return
    with pytest.raises(DockerfileError, match="Dockerfile:3: invalid chmod parameter"):
        parse_mode(text, AT)


@pytest.mark.parametrize(
    "text",
    [
        "0", "755", "4755", "u+x", "go-rwx", "a=r", "u=rwx,go=rx", "ug+s", "+t", "g=u", "o=",
        "u=rwX,g=rX,o-rwx", "a+X", "u-w,g+w", "go=u-w", "u+rw-x", "=rx",
    ],
)  # fmt: skip
@pytest.mark.parametrize("before", [0o644, 0o700, 0o4751, 0o000])
@pytest.mark.parametrize("kind", ["file", "directory"])
def test_it_is_what_chmod_makes(text: str, before: int, kind: str, tmp_path: Path) -> None:
    path = tmp_path / "it"
    if kind == "file":
        path.touch()
    else:
        path.mkdir()
    path.chmod(before)
    status = path.stat().st_mode
    mode = parse_mode(text, AT)
    assert mode is not None
    # GNU chmod keeps setuid and setgid of a directory even from octal ones (five digits
    # mean it); BuildKit does not.
    subprocess.run(["sh", "-c", 'umask 0; exec chmod -- "$1" "$2"', "sh", text, path], check=True)
    expected = stat.S_IMODE(path.stat().st_mode)
    if kind == "directory" and text.isdecimal():
        expected = int(text, 8)
    assert mode.of(status) == expected
