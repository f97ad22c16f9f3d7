"""What a kernel says that it was made with."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import pytest

from paas.host.kernel import lacks

TEXT = "CONFIG_QUOTA=y\n# CONFIG_QFMT_V1 is not set\nCONFIG_QFMT_V2=m\n"
KNOWN = {"QUOTA": False, "QFMT_V1": True, "QFMT_V2": False, "QFMT": True}


@pytest.mark.parametrize("option", KNOWN)
def test_by_its_configuration(tmp_path: Path, option: str) -> None:
    proc, boot = tmp_path / "config.gz", tmp_path / f"config-{os.uname().release}"
    assert not lacks(option, proc, tmp_path)
    boot.write_text(TEXT)
    assert lacks(option, proc, tmp_path) is KNOWN[option]
    proc.write_bytes(gzip.compress(b"CONFIG_QFMT=y\n"))
    assert lacks(option, proc, tmp_path) is (option != "QFMT")
