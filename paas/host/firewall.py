"""The door to nftables: libnftables in this process, where one `nft` costs 20 ms.

Source: libnftables(3). The library talks to the network namespace the thread is in when
`apply` or `read` is called.
"""

from __future__ import annotations

import ctypes
import json
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from paas.errors import PaasError

LIBRARY = "libnftables.so.1"
NFT_CTX_OUTPUT_JSON = 1 << 4
SHOWN_LINES = 12
"""Lines of the library's message that an error shows."""


class FirewallMissing(PaasError):
    """libnftables is not installed."""

    def __init__(self) -> None:
        super().__init__(
            f"The library {LIBRARY} is not installed",
            resolution="Run ./install.sh again: it installs what the server needs.",
        )


class FirewallFailed(PaasError):
    """nftables refused a change, of which then no part was made."""

    def __init__(self, message: str, commands: str) -> None:
        super().__init__(
            "The kernel's firewall (nftables) refused a change",
            message.strip().splitlines()[:SHOWN_LINES],
            "Run `paas doctor`; if it finds nothing, please report this.",
        )
        self.commands = commands


def apply(commands: str) -> None:
    """Make all changes of `commands` (nft(8) language) in one transaction, or none.

    Raises `FirewallFailed` with the library's own message.
    """
    _run(commands, flags=0)


def read(command: str = "list ruleset") -> list[dict[str, Any]]:
    """The answer to a `list` command, as libnftables-json(5) describes it."""
    answer = _run(command, flags=NFT_CTX_OUTPUT_JSON)
    objects: list[dict[str, Any]] = json.loads(answer)["nftables"] if answer else []
    return objects


def _run(commands: str, flags: int) -> str:
    library = _library()
    # A context per call: its socket belongs to the namespace it was made in, and a
    # fork must not share it.
    with _context(library) as context:
        library.nft_ctx_output_set_flags(context, flags)
        if library.nft_run_cmd_from_buffer(context, commands.encode()) != 0:
            raise FirewallFailed(_text(library.nft_ctx_get_error_buffer(context)), commands)
        return _text(library.nft_ctx_get_output_buffer(context))


def _text(buffer: bytes | None) -> str:
    return (buffer or b"").decode("utf-8", "replace")


@contextmanager
def _context(library: ctypes.CDLL) -> Iterator[int]:
    context: int | None = library.nft_ctx_new(0)
    if not context:
        raise MemoryError("nft_ctx_new")
    try:
        library.nft_ctx_buffer_output(context)
        library.nft_ctx_buffer_error(context)
        yield context
    finally:
        library.nft_ctx_free(context)


@cache
def _library() -> ctypes.CDLL:
    try:
        library = ctypes.CDLL(LIBRARY)
    except OSError as error:
        raise FirewallMissing from error
    context = ctypes.c_void_p
    library.nft_ctx_new.argtypes = [ctypes.c_uint32]
    library.nft_ctx_new.restype = context
    library.nft_ctx_free.argtypes = [context]
    library.nft_ctx_free.restype = None
    for name in ("nft_ctx_buffer_output", "nft_ctx_buffer_error"):
        getattr(library, name).argtypes = [context]
    library.nft_ctx_output_set_flags.argtypes = [context, ctypes.c_uint]
    library.nft_ctx_output_set_flags.restype = None
    library.nft_run_cmd_from_buffer.argtypes = [context, ctypes.c_char_p]
    for name in ("nft_ctx_get_output_buffer", "nft_ctx_get_error_buffer"):
        getattr(library, name).argtypes = [context]
        getattr(library, name).restype = ctypes.c_char_p
    return library
