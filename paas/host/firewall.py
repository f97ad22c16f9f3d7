"""The door to nftables: libnftables in this process, where one `nft` costs 20 ms.

Source: libnftables(3).
"""

from __future__ import annotations

import ctypes
import json
import os
import threading
import weakref
from contextlib import nullcontext
from functools import cache
from pathlib import Path
from typing import Any

from paas.errors import PaasError
from paas.host import netlink

LIBRARY = "libnftables.so.1"
NFT_CTX_OUTPUT_JSON = 1 << 4
NFT_CTX_OUTPUT_TERSE = 1 << 11
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


class Firewall:
    """The tables of one network namespace: that of `namespace`, or the one we are in.

    The library's context is kept: closing its socket waits until the kernel has freed what
    the last transaction replaced (8 to 40 ms), though the change itself was made at once.
    """

    def __init__(self, namespace: Path | None = None) -> None:
        self._namespace = namespace
        self._context: int | None = None
        self._belongs = (0, 0)
        # A context is not made for two threads, and ctypes lets them in together.
        self._lock = threading.Lock()

    def apply(self, commands: str) -> None:
        """Make all changes of `commands` (nft(8) language) in one transaction, or none.

        Raises `FirewallFailed` with the library's own message.
        """
        self._run(commands, flags=0)

    def read(self, command: str = "list ruleset", *, terse: bool = False) -> list[dict[str, Any]]:
        """The answer to a `list` command, as libnftables-json(5) describes it.

        A `terse` one leaves out what is in sets with a name: lists of addresses that are kept
        out, of which some hosts have tens of thousands.
        """
        flags = NFT_CTX_OUTPUT_JSON | (NFT_CTX_OUTPUT_TERSE if terse else 0)
        answer = self._run(command, flags=flags)
        objects: list[dict[str, Any]] = json.loads(answer)["nftables"] if answer else []
        return objects

    def close(self) -> None:
        """Let go of the kernel's socket, which holds the namespace."""
        if self._context is not None:
            self._free()
        self._context = None

    def _run(self, commands: str, flags: int) -> str:
        library = _library()
        with self._lock:
            context = self._open()
            library.nft_ctx_output_set_flags(context, flags)
            if library.nft_run_cmd_from_buffer(context, commands.encode()) != 0:
                raise FirewallFailed(_text(library.nft_ctx_get_error_buffer(context)), commands)
            return _text(library.nft_ctx_get_output_buffer(context))

    def _open(self) -> int:
        # The socket belongs to the namespace it was made in, which may have been made
        # anew, and a child of a fork must not share it with its parent.
        belongs = (os.getpid(), (self._namespace or netlink.OWN_NAMESPACE).stat().st_ino)
        if self._context is not None and self._belongs == belongs:
            return self._context
        self.close()
        with netlink.inside(self._namespace) if self._namespace else nullcontext():
            context = _library().nft_ctx_new(0)
        if not context:
            raise MemoryError("nft_ctx_new")
        _library().nft_ctx_buffer_output(context)
        _library().nft_ctx_buffer_error(context)
        self._context, self._belongs = context, belongs
        # One that nobody has any more keeps megabytes. A process that ends does not wait for it.
        self._free = weakref.finalize(self, _library().nft_ctx_free, context)
        self._free.atexit = False
        return int(context)


def _text(buffer: bytes | None) -> str:
    return (buffer or b"").decode("utf-8", "replace")


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
