"""The Dockerfiles behind a buildpack build: what it runs in and what its app runs on.

    build base    stack-build, the user `app`, the driver, the buildpacks, their tools
      dependencies of each buildpack that declares some
        (the compile, in a container: see paas.deploy.compile)
    run base      stack, the Debian packages the buildpacks declare, `app`, the launcher
      the same dependencies, then the compiled app: the image

Being Dockerfiles, they are cached, shared and collected like everything that is built.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files

from paas.buildpack.catalogue import Buildpack

STACK = "debian-13"
STACK_NAME = "paas-13"
"""What STACK says to buildpacks."""

UID = 1000
APP = "/app"
PACKS = "/opt/paas/buildpacks"
DRIVER = "/opt/paas/driver"
LAUNCHER = "/opt/paas/launch"
RESULTS = "tmp/paas-results"
"""Where the driver says how it ended, relative to the root."""

CACHE = "/tmp/cache"  # noqa: S108  a mount in the container
CONFIG_PREFIX = "PAAS_CONFIG_"
"""How config vars come to the driver, which makes files of them in memory."""

DOCKERFILE = "buildpack.Dockerfile"

_USER = (
    f"RUN useradd --uid {UID} --user-group --home-dir {APP} --no-create-home --shell /bin/bash app"
    f" && install -d -o app -g app {APP}"
)
_AS_APP = f"ENV HOME={APP}\nUSER app\nWORKDIR {APP}"


def build_base(packs: Sequence[Buildpack]) -> str:
    """The image that `packs` run in; its context has a folder for each."""
    lines = [f"FROM paas/stack-build:{STACK}", _USER, _document("driver.sh", DRIVER)]
    for pack in packs:
        # Theirs to write: `export` is written beside `bin`.
        lines.append(f"COPY --chown=app:app {pack.name} {PACKS}/{pack.name}")
        lines.append(f"RUN chmod -R a+rX,u+w {PACKS}/{pack.name} && chmod a+x {_bin(pack)}/*")
        if pack.has_setup:
            lines.append(f"RUN {_bin(pack)}/setup")
    return _text([*lines, f"ENV STACK={STACK_NAME}", _AS_APP])


def dependencies(base: str, pack: Buildpack, paths: Sequence[str]) -> str:
    """The layers of one buildpack's dependencies on the image `base`, from `paths` alone."""
    copies = [f"COPY --chown=app:app {path} {APP}/{path}" for path in paths]
    return _text([f"FROM {base}", *copies, f"RUN {DRIVER} dependencies {pack.name}"])


def run_base(packs: Sequence[Buildpack]) -> str:
    """The image that what `packs` make runs on."""
    packages = sorted({word for pack in packs for word in pack.declaration.packages})
    lines = [f"FROM paas/stack:{STACK}"]
    if packages:
        lines.append(_install(packages))
    launcher = _document("launch.sh", LAUNCHER)
    return _text([*lines, _USER, launcher, f'ENTRYPOINT ["{LAUNCHER}"]', _AS_APP])


def _install(packages: Sequence[str]) -> str:
    """Debian packages as a RUN that says what it does, and apt's words only if it fails."""
    names = " ".join(packages)
    apt = f"apt-get update && apt-get install -y --no-install-recommends {names}"
    return (
        f"RUN echo '       Installing {names} on the stack'; export DEBIAN_FRONTEND=noninteractive;"
        f" {{ {apt}; }} >/tmp/apt.log 2>&1 || {{ tail -n 15 /tmp/apt.log; exit 1; }};"
        " rm -rf /tmp/apt.log /var/lib/apt/lists/* /var/log/*"
    )


def _bin(pack: Buildpack) -> str:
    return f"{PACKS}/{pack.name}/bin"


def _document(name: str, target: str) -> str:
    """A program of this package as a COPY of what stands in the Dockerfile itself."""
    program = (files("paas.buildpack") / name).read_text("utf-8")
    return f"COPY --chmod=0755 <<'PAAS_END' {target}\n{program.rstrip()}\nPAAS_END"


def _text(lines: Sequence[str]) -> str:
    return "".join(f"{line}\n" for line in lines)
