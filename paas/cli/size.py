"""Sizes for people, in the decimal units of disks and downloads."""

from __future__ import annotations


def size(count: int) -> str:
    """`0 B`, `12.3 MB`."""
    number = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if number < 1000:
            return f"{number:.0f} {unit}" if unit == "B" else f"{number:.1f} {unit}"
        number /= 1000
    return f"{number:.1f} TB"
