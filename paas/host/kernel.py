"""What the running kernel was made with, as far as it says so.

Source: Documentation/kbuild/kconfig.rst; proc(5), config.gz.
"""

from __future__ import annotations

import gzip
import os
from contextlib import suppress
from pathlib import Path

PROC = Path("/proc/config.gz")
BOOT = Path("/boot")


def lacks(option: str, proc: Path = PROC, boot: Path = BOOT) -> bool:
    """Whether it was made without CONFIG_`option`; False where nothing tells."""
    text = _configuration(proc, boot / f"config-{os.uname().release}")
    return bool(text) and not any(f"CONFIG_{option}={value}\n" in text for value in "ym")


def _configuration(proc: Path, boot: Path) -> str:
    with suppress(FileNotFoundError):
        return gzip.decompress(proc.read_bytes()).decode()
    with suppress(FileNotFoundError):
        return boot.read_text()
    return ""
