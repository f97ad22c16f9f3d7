"""The host's package mirror."""

from __future__ import annotations

from pathlib import Path

import pytest

from paas.engine.mirror import DEFAULT, Mirror, choose, host_mirror, parse_deb822, parse_one_line

ONE_LINE = """\
# deb http://commented/debian bookworm main
deb [arch=amd64 signed-by=/x.gpg] http://near/debian/ bookworm main contrib # near
deb http://far/debian bookworm main
deb-src http://near/debian bookworm main
deb cdrom:[disc]/ bookworm main
deb http://updates/debian bookworm-updates main
deb https://sec/debian-security bookworm-security main
deb http://vendor/repo stable tool
"""

DEB822 = """\
Types: deb deb-src
# a comment
URIs: http://near/debian
Suites: trixie trixie-updates
Components: main

Enabled: no
Types: deb
URIs: http://off/debian
Suites: trixie
Components: main

Types: deb
URIs:
 http://sec/debian-security
Suites: trixie-security
Components: main
"""


def test_without_a_fitting_source_it_is_debians_own() -> None:
    assert choose(parse_one_line("deb http://x/ubuntu noble main\n"), "bookworm") == Mirror()


def test_reads_one_line_entries() -> None:
    found = choose(parse_one_line(ONE_LINE), "bookworm")
    assert found == Mirror("http://near/debian", "https://sec/debian-security")


def test_reads_stanzas() -> None:
    found = choose(parse_deb822(DEB822), "trixie")
    assert found == Mirror("http://near/debian", "http://sec/debian-security")


@pytest.mark.parametrize("name", ["debian", "ubuntu"])
def test_takes_the_mirror_of_a_debian_only(tmp_path: Path, name: str) -> None:
    (tmp_path / "os-release").write_text(f'ID={name}\nVERSION_CODENAME="trixie"\n')
    (tmp_path / "apt/sources.list.d").mkdir(parents=True)
    (tmp_path / "apt/sources.list.d/debian.sources").write_text(DEB822)
    (tmp_path / "apt/sources.list.d/old.sources.save").write_text(DEB822.replace("near", "old"))
    expected = "http://near/debian" if name == "debian" else DEFAULT
    assert host_mirror(tmp_path).main == expected


def test_sources_name_release_updates_and_security() -> None:
    assert Mirror("http://m", "http://s").sources("trixie") == [
        "deb http://m trixie main",
        "deb http://m trixie-updates main",
        "deb http://s trixie-security main",
    ]
