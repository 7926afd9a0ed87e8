"""What an archive has of which tenant, and what is let go of it."""

import time
from collections.abc import Collection, Mapping
from typing import Final

from fhir_server.storage.sqlite.archive import catalog
from fhir_server.storage.sqlite.archive.places.place import Spot
from fhir_server.storage.sqlite.archive.pruning import Pruned, prune
from fhir_server.tenancy.registration import is_name

_DAY: Final = 24 * 3600.0


def tenant_folder(archive: Spot, tenant: str) -> Spot:
    """Return where the archive of a tenant is."""
    return archive / "tenants" / tenant


def restorable(archive: Spot) -> list[str]:
    """Return the tenants of which there is a base backup, sound or not. Raises OSError."""
    return [
        name
        for name in archived(archive)
        if any(True for line in catalog.lineages(tenant_folder(archive, name)) for _ in catalog.complete(line))
    ]


def prune_all(archive: Spot, days: int, there: Collection[str]) -> dict[str, Pruned]:
    """Remove what only leads to instants that are more days ago; blocks. `there`: the tenants that exist."""
    before = int((time.time() - days * _DAY) * 1000)
    return {name: prune(tenant_folder(archive, name), before, gone=name not in there) for name in archived(archive)}


def left(archive: Spot, gone: Mapping[str, Pruned]) -> str:
    """Say what is left of what was pruned; empty for nothing."""
    kept = sum(each.kept for each in gone.values())
    said = [f"{kept} files may not be removed yet, and go later"] if kept else []
    return "; ".join([*said, *filter(None, [archive.place.afterlife()])])


def archived(archive: Spot) -> list[str]:
    """Return the tenants that an archive has something of. Raises OSError."""
    names = (archive / "tenants").folders()
    return sorted(name for name in names if is_name(name) and catalog.lineages(tenant_folder(archive, name)))
