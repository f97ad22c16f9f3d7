"""Which capabilities a container's root has, within its own user namespace.

Docker's default set without MKNOD, NET_RAW and AUDIT_WRITE: devices cannot be made in a
user namespace, `ping` works through `ping_group_range`, and nothing audits a container.
Source: capabilities(7).
"""

from __future__ import annotations

DEFAULT = (
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_NET_BIND_SERVICE",
    "CAP_SETFCAP",
    "CAP_SETGID",
    "CAP_SETPCAP",
    "CAP_SETUID",
    "CAP_SYS_CHROOT",
)
