"""Archives of images: of `docker save`, and of OCI."""

from __future__ import annotations

import json
from pathlib import Path

from paas.host import processes

DOCKER, OCI = "docker-archive", "oci-archive"
_REF_NAME = "org.opencontainers.image.ref.name"


def archive_kind(archive: Path) -> str:
    """skopeo's transport for an archive: an OCI one has no `manifest.json` of Docker's."""
    listing = processes.run(["tar", "--list", "--file", archive], check=False).text.splitlines()
    return DOCKER if "manifest.json" in listing else OCI


def names_in(archive: Path, kind: str) -> list[str]:
    """The names that an archive has for its images."""
    index = "manifest.json" if kind == DOCKER else "index.json"
    found = processes.run(["tar", "-xOf", archive, index, f"./{index}"], check=False)
    try:
        document = json.loads(found.stdout)
        if kind == DOCKER:
            return [name for image in document for name in image.get("RepoTags") or ()]
        annotations = [entry.get("annotations") or {} for entry in document["manifests"]]
        return [one[_REF_NAME] for one in annotations if _REF_NAME in one]
    except (AttributeError, KeyError, TypeError, ValueError):
        return []
