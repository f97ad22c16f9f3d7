"""Options and arguments that several commands take. Each call makes a new one."""

from __future__ import annotations

import click


def format_option(*more: str) -> click.Option:
    """`--format`, given to the function as `form`."""
    return click.Option(
        ["--format", "form"],
        type=click.Choice(["stdout", "json", *more]),
        default="stdout",
        metavar="FORMAT",
        help=f"One of stdout, {', '.join(['json', *more])}.",
    )


def no_restart_option() -> click.Option:
    """`--no-restart`, given to the function as `no_restart`."""
    return click.Option(["--no-restart"], is_flag=True, help="Wait for the next deploy or restart.")


def process_argument() -> click.Argument:
    """An optional process type, given to the function as `process`."""
    return one_word("process", "PROCESS-TYPE", required=False)


def one_word(name: str, metavar: str, *, required: bool = True) -> click.Argument:
    """A single word, as it was typed."""
    return click.Argument([name], metavar=metavar, required=required, type=click.UNPROCESSED)


def words(name: str, metavar: str, *, required: bool = True) -> click.Argument:
    """All the words that are left, as they were typed."""
    return click.Argument(
        [name], nargs=-1, metavar=f"{metavar}...", required=required, type=click.UNPROCESSED
    )
