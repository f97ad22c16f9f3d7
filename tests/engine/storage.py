"""The storage half of an engine in a root of its own, and acting inside its containers."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path

from paas.engine.gc import Collector
from paas.engine.images import Images
from paas.engine.layers import LayerId, Layers
from paas.engine.registry import Registry
from paas.engine.rootfs import Rootfs
from paas.engine.userns import UserRange, UserRanges, open_user_namespace
from paas.host import syscalls
from paas.host.database import Database
from paas.host.files import remove_tree
from paas.model.layout import Layout


class Storage:
    """Layers, images and root filesystems; `destroy` leaves nothing on the machine."""

    def __init__(self, root: Path | None = None) -> None:
        # On a real disk: idmapped mounts of a tmpfs are younger than the oldest kernel served.
        self.root = root or Path(tempfile.mkdtemp(prefix="paas-test-", dir="/var/tmp"))
        self.layout = Layout.at(self.root)
        self.db = Database(self.layout.engine_database, files("paas.engine") / "migrations")
        self.layers = Layers(self.layout, self.db)
        self.images = Images(self.db)
        etc = self.root / "etc"
        etc.mkdir(parents=True, exist_ok=True)
        self.ranges = UserRanges(self.layout, self.db, etc=etc)
        self.rootfs = Rootfs(self.layout, self.layers)
        self.registry = Registry(self.layout, self.images, self.layers)
        self.collector = Collector(self.layout, self.images, self.layers)

    @property
    def range(self) -> UserRange:
        return self.ranges.range_for("app:1")

    def layer(self, make: Callable[[Path], object] | None = None) -> LayerId:
        """A layer of what `make` puts into an empty directory."""
        upper = self.layers.new_upper()
        if make is not None:
            make(upper)
        return self.layers.commit(upper)

    def destroy(self) -> None:
        self.rootfs.teardown()
        self.db.close()
        remove_tree(self.layout.run)
        remove_tree(self.root)


def inside(user_range: UserRange, root: Path, act: Callable[[], object]) -> None:
    """Run `act` as root of a container whose root filesystem is `root`.

    In a child that is in a user namespace of the range before it looks at `root`, as the
    OCI runtime is. Raises AssertionError with what went wrong.
    """
    namespace = open_user_namespace(user_range)
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            syscalls.setns(namespace, syscalls.CLONE_NEWUSER)
            os.setgroups([])
            os.setresgid(0, 0, 0)
            os.setresuid(0, 0, 0)
            os.chroot(root)
            os.chdir("/")
            act()
        except BaseException as error:  # noqa: BLE001
            os.write(write, f"{type(error).__name__}: {error}".encode())
        finally:
            os._exit(0)
    os.close(write)
    os.close(namespace)
    with os.fdopen(read) as messages:
        said = messages.read()
    os.waitpid(child, 0)
    assert not said, said
