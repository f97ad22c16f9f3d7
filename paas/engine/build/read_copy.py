"""Reading COPY and ADD."""

from __future__ import annotations

import re
from dataclasses import replace

from paas.engine.build.flags import Flags
from paas.engine.build.instructions import Copy, Document
from paas.engine.build.parse import Heredoc, Node
from paas.engine.build.remote import is_remote

HEREDOC = re.compile(r"""(\d*)<<(-?)(['"]?)([A-Za-z_][\w.]*)\3""")
_COPY_FLAGS = {
    "from": "text",
    "chown": "text",
    "chmod": "text",
    "link": "bool",
    "parents": "bool",
    "exclude": "list",
}
_ADD_FLAGS = {
    "chown": "text",
    "chmod": "text",
    "link": "bool",
    "exclude": "list",
    "unpack": "bool",
    "checksum": "text",
    "keep-git-dir": "bool",
}


def read_copy(node: Node) -> Copy:
    """COPY. Raises `DockerfileError`."""
    _two_arguments(node)
    flags = Flags(node, _COPY_FLAGS)
    origin = flags.text("from")
    if origin and "$" in origin:
        raise node.at.error(
            "variable expansion is not supported for --from, define a new stage with FROM"
            " using ARG from global scope as a workaround"
        )
    for source in node.words[:-1]:
        if is_remote(source):
            raise node.at.error(
                f"source can't be a URL for COPY: {source}", resolution="ADD can fetch; see ADD."
            )
    return _copy(node, flags, origin=origin, unpack=False)


def read_add(node: Node) -> Copy:
    """ADD. Raises `DockerfileError`."""
    _two_arguments(node)
    flags = Flags(node, _ADD_FLAGS)
    remote = [source for source in node.words[:-1] if is_remote(source) or "$" in source]
    if flags.text("checksum") and len(node.words) > 2:
        raise node.at.error("checksum can't be specified for multiple sources")
    if flags.text("checksum") and not remote:
        raise node.at.error("checksum requires HTTP(S) or Git sources")
    unpack = flags.text("unpack")
    copied = _copy(node, flags, origin=None, unpack=None if unpack is None else unpack == "true")
    return replace(
        copied,
        fetches=True,
        checksum=flags.text("checksum") or "",
        keep_git=flags.true("keep-git-dir"),
    )


def _two_arguments(node: Node) -> None:
    if len(node.words) < 2:
        raise node.at.error(
            f"{node.keyword} requires at least two arguments, but only {len(node.words)}"
            " was provided. Destination could not be determined"
        )


def _copy(node: Node, flags: Flags, *, origin: str | None, unpack: bool | None) -> Copy:
    *sources, target = node.words
    if HEREDOC.fullmatch(target):
        raise node.at.error(f"{node.keyword} cannot accept a heredoc as a destination")
    documents = {document.name: document for document in node.heredocs}
    paths, inline = [], []
    for source in sources:
        match = HEREDOC.fullmatch(source)
        if match and match[4] in documents:
            inline.append(_document(match, documents[match[4]]))
        else:
            paths.append(source)
    if len(sources) > 1 and not target.endswith("/") and target not in (".", "..", ""):
        # A variable may end in a slash: that is looked at again once it is expanded.
        _needs_slash(node, target)
    return Copy(
        at=node.at,
        text=node.text,
        sources=tuple(paths),
        documents=tuple(inline),
        target=target,
        origin=origin,
        chown=flags.text("chown") or "",
        chmod=flags.text("chmod") or "",
        exclude=flags.many("exclude"),
        parents=flags.true("parents"),
        link=flags.true("link"),
        unpack=unpack,
    )


def _needs_slash(node: Node, target: str) -> None:
    if "$" not in target:
        raise node.at.error(
            f"When using {node.keyword} with more than one source file, the destination must"
            " be a directory and end with a /",
            resolution=f"Write {target}/ as the destination.",
        )


def _document(match: re.Match[str], found: Heredoc) -> Document:
    """`<<-` strips leading tabs; a quoted name keeps variables as text."""
    content = found.content
    if match[2]:
        content = re.sub(r"^\t+", "", content, flags=re.MULTILINE)
    return Document(found.name, content, expand=not match[3])
