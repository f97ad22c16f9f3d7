"""Reports in Dokku's three shapes: a block for people, one value, and a flat JSON object."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import click

from paas.cli.options import format_option
from paas.cli.output import columns
from paas.cli.parsing import Misused
from paas.cli.session import Session

Fields = Mapping[str, str]
"""Property and value, both for people."""


def report_options(noun: str, keys: Sequence[str]) -> tuple[click.Option, ...]:
    """`--format`, and for each property a flag such as `--ps-running` that asks for it alone."""
    flags = [
        click.Option(
            [f"--{noun}-{key}", "only"],
            flag_value=key,
            default=None,
            hidden=True,
            help=f"Print {key} alone.",
        )
        for key in keys
    ]
    return (format_option(), *flags)


def show_report(
    session: Session, noun: str, found: Mapping[str, Fields], form: str, only: str | None
) -> None:
    """Show the fields of each app. Raises `Misused` for one value and a format at once."""
    if only is not None:
        if form != "stdout":
            raise Misused("A single property has no format")
        for fields in found.values():
            session.output.line(fields[only])
        return
    if form == "json":
        alone = len(found) == 1
        session.output.json(
            dict(*found.values()) if alone else {k: dict(v) for k, v in found.items()}
        )
        return
    for name, fields in found.items():
        session.report.result(f"{name} {noun} information")
        rows = [(f"{_title(noun, key)}:", value) for key, value in fields.items()]
        for line in columns(rows):
            session.report.detail(line)


def _title(noun: str, key: str) -> str:
    """`Ps running` of `running`, as Dokku words it."""
    return f"{noun} {key.replace('-', ' ')}".capitalize()
