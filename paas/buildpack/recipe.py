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
from paas.model.buildpacks import MADE

UID = 1000
APP = "/app"
PACKS = "/opt/paas/buildpacks"
SETUP = "/opt/paas/setup"
DRIVER = "/opt/paas/driver"
LAUNCHER = "/opt/paas/launch"
RESULTS = "tmp/paas-results"
"""Where the driver says how it ended, relative to the root."""

STATUS = "/opt/paas/stack.status"
"""What dpkg(1) knows of the image that apps run on, where the image of builds has more."""

CACHE = "/tmp/cache"  # noqa: S108  a mount in the container
CONFIG_PREFIX = "PAAS_CONFIG_"
"""How config vars come to the driver, which makes files of them in memory."""

DOCKERFILE = "buildpack.Dockerfile"

# An image of Ubuntu or Heroku has a user of that number already.
_USER = (
    f"RUN if other=$(id -un {UID} 2>/dev/null); then userdel $other; fi"
    f" && useradd --uid {UID} --user-group --home-dir {APP} --no-create-home --shell /bin/bash app"
    f" && install -d -o app -g app {APP}"
)
_AS_APP = f"ENV HOME={APP}\nUSER app\nWORKDIR {APP}"


CACHES = "stack"
"""Whose the cache mounts of these Dockerfiles are: of nobody who builds anything else, since
apt(8) installs what lies there by its name and size."""

_ARCHIVES = "--mount=type=cache,id=apt-{stack},target=/var/cache/apt/archives,sharing=locked"
_KEEP = "/var/cache/apt/archives/keep"
"""Packages that are wanted to build with and to run on are fetched once."""


def stack_name(stack: str) -> str:
    """What STACK says to buildpacks: `paas-13` of `debian-13`, and a pulled stack's own name."""
    return f"paas-{stack.removeprefix(MADE)}" if stack.startswith(MADE) else stack


def build_base(packs: Sequence[Buildpack], stack: str) -> str:
    """The image that `packs` run in; its context has a folder for each."""
    lines = [
        f"FROM paas/stack-build:{stack}",
        _USER,
        f"COPY --from=paas/stack:{stack} /var/lib/dpkg/status {STATUS}",
        _document("driver.sh", DRIVER),
    ]
    archives = _ARCHIVES.format(stack=stack)
    for pack in packs:
        if pack.has_setup:
            # Alone, so that it is not done again for every change of the others.
            lines.append(f"COPY --chmod=0755 {pack.name}/bin/setup {SETUP}/{pack.name}")
            lines.append(f"RUN {archives} touch {_KEEP}; {SETUP}/{pack.name}")
    for pack in packs:
        # Theirs to write: `export` is written beside `bin`.
        lines.append(f"COPY --chown=app:app {pack.name} {PACKS}/{pack.name}")
        lines.append(f"RUN chmod -R a+rX,u+w {PACKS}/{pack.name} && chmod a+x {_bin(pack)}/*")
    return _text([*lines, f"ENV STACK={stack_name(stack)}", _AS_APP])


def dependencies(base: str, pack: Buildpack, paths: Sequence[str]) -> str:
    """The layers of one buildpack's dependencies on the image `base`, from `paths` alone."""
    copies = [f"COPY --chown=app:app {path} {APP}/{path}" for path in paths]
    return _text([f"FROM {base}", *copies, f"RUN {DRIVER} dependencies {pack.name}"])


def run_base(packs: Sequence[Buildpack], stack: str) -> str:
    """The image that what `packs` make runs on."""
    packages = sorted({word for pack in packs for word in pack.declaration.packages})
    lines = [f"FROM paas/stack:{stack}"]
    if packages:
        lines.append(_install(packages, stack))
    launcher = _document("launch.sh", LAUNCHER)
    return _text([*lines, _USER, launcher, f'ENTRYPOINT ["{LAUNCHER}"]', _AS_APP])


def _install(packages: Sequence[str], stack: str) -> str:
    """Debian packages as a RUN that says what it does, and apt's words only if it fails."""
    names = " ".join(packages)
    apt = f"apt-get update --error-on=any && apt-get install -y --no-install-recommends {names}"
    # Java's packages link manual pages, for which a small image has no directory.
    return (
        f"RUN {_ARCHIVES.format(stack=stack)} touch {_KEEP};"
        f" echo '       Installing {names} on the stack'; mkdir -p /usr/share/man/man1;"
        " export DEBIAN_FRONTEND=noninteractive;"
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
