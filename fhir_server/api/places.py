"""Where a tenant is served: below `/t/{tenant}`, or at the root of a host of its own."""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from fhir_server.api.headers import Scope, named_host
from fhir_server.settings import Settings
from fhir_server.tenancy.registration import DEFAULT, is_name

PLACE: Final = "fhir.place"
"""Key of an ASGI scope under which the place of its tenant stands."""

_BELOW: Final = "/t/"
_NOBODY: Final = "?"
"""No tenant is called so."""


class Place(NamedTuple):
    """A tenant, and the path below which its clients know it: `/t/{tenant}`, or nothing on a host of its own.

    inside: the path below which the routes of this application have it.
    """

    tenant: str
    prefix: str
    inside: str


def place_of(scope: Scope) -> Place | None:
    """Return the place that the request was found to be at; None at that of the default tenant."""
    place: Place | None = scope.get(PLACE)
    return place


def placed(scope: Scope, headers: Mapping[str, str], hosts: Mapping[str, str], settings: Settings) -> Scope | None:
    """Return the scope of a request to a tenant, its path below `/t/{tenant}`; None for one to the default tenant.

    On the host of a tenant there is nothing but that tenant.
    """
    root = scope.get("root_path") or ""
    path = scope["path"].removeprefix(root)
    tenant = hosts.get(named_host(scope, headers, settings)) if hosts else None
    if tenant is not None:
        return None if tenant == DEFAULT else _moved(scope, root, tenant)
    if not path.startswith(_BELOW):
        return None
    name = path[len(_BELOW) :].partition("/")[0]
    inside = f"{_BELOW}{name}"
    raw = scope.get("raw_path")
    plain = raw is None or raw.startswith(f"{root}{inside}".encode())
    known = name if plain and is_name(name) and name != DEFAULT else _NOBODY
    return {**scope, PLACE: Place(known, inside, inside)}


def _moved(scope: Scope, root: str, tenant: str) -> Scope:
    inside = f"{_BELOW}{tenant}"
    below: Any = scope.get("raw_path")
    moved = {**scope, "path": f"{root}{inside}{scope['path'].removeprefix(root)}", PLACE: Place(tenant, "", inside)}
    if below is not None:
        moved["raw_path"] = f"{root}{inside}".encode() + below.removeprefix(root.encode())
    return moved
