"""Which file system a path is on, by the text of mountinfo."""

from __future__ import annotations

from pathlib import Path

import pytest

from paas.host import mounts
from paas.host.mounts import Mounted

TABLE = """\
21 1 254:1 / / rw,relatime shared:1 - ext4 /dev/vda1 rw
30 21 0:26 / /run rw - tmpfs tmpfs rw,size=1k
31 21 8:1 / /data rw - ext4 /dev/sda1 rw
32 31 8:2 / /data rw,noatime shared:9 master:1 - xfs /dev/sda2 rw,prjquota
33 21 8:3 / /with\\040space rw - ext4 /dev/a\\040b rw
"""


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("/var/lib/none", Mounted("ext4", "/dev/vda1", Path("/"))),
        ("/data/none/there", Mounted("xfs", "/dev/sda2", Path("/data"))),
        ("/database", Mounted("ext4", "/dev/vda1", Path("/"))),
        ("/with space/x", Mounted("ext4", "/dev/a b", Path("/with space"))),
    ],
)
def test_the_innermost_and_last_counts(path: str, found: Mounted) -> None:
    assert mounts.of(Path(path), TABLE) == found


def test_the_options_of_those_of_a_kind_below_a_path() -> None:
    table = TABLE + (
        "40 30 0:40 / /run/p/1 rw,nodev - overlay paas rw,lowerdir=l/b:l/a,workdir=u/1,volatile\n"
        "41 30 0:41 / /run/other rw - overlay paas rw,lowerdir=l/c\n"
    )
    assert [*mounts.options("overlay", Path("/run/p"), table)] == [
        {"rw": "", "lowerdir": "l/b:l/a", "workdir": "u/1", "volatile": ""}
    ]


def test_of_this_machine() -> None:
    assert mounts.of(Path("/proc/self")).kind == "proc"
