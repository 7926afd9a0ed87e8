"""One tenant, open; and what it may hold."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from fhir_server.errors import Forbidden, Misdirected, StoreFull
from fhir_server.packages import Library, Package
from fhir_server.search.indexing import Extractor
from fhir_server.search.parameters import ParameterRegistry
from fhir_server.settings import Settings
from fhir_server.storage.base import Change, Store
from fhir_server.tenancy.registration import Registration, public_base
from fhir_server.terminology import Terminology
from fhir_server.validation import Validator

_WEIGHED_EVERY: Final = 2_000
"""Milliseconds for which the size of a tenant's files is believed."""


class Suspended(Forbidden):
    """The tenant is suspended."""

    code = "suppressed"

    def __init__(self, registration: Registration) -> None:
        why = f": {registration.reason}" if registration.reason else ""
        super().__init__(f"this tenant is suspended{why}")


class Elsewhere(Misdirected):
    """The tenant is bound to another region, and its data are not touched here."""

    def __init__(self, registration: Registration, settings: Settings) -> None:
        urls = dict(pair.split("=", 1) for pair in settings.region_urls)
        url = public_base(
            settings.model_copy(update={"base_url": urls.get(registration.region, "")}), registration.name
        )
        where = f" at {url}" if url else ""
        super().__init__(f"this tenant is served in the region {registration.region}{where}, and nowhere else")
        if url:
            self.headers["link"] = f'<{url}>; rel="alternate"'


@dataclass(slots=True)
class Tenant:
    """One tenant.

    `parameters` and `extractor` are replaced together when a SearchParameter changes; `library`, `terminology` and
    `validator` when a conformance resource or a package does; `settings` when its registration does.

    registration: None for the default tenant. held: how much is under way that must not lose the store.
    used: when it was last asked for, milliseconds. weighed: bytes of its files, and when they were counted.
    """

    name: str
    store: Store
    settings: Settings
    link_secret: bytes
    parameters: ParameterRegistry
    extractor: Extractor
    library: Library
    terminology: Terminology
    validator: Validator
    packages: tuple[Package, ...] = ()
    token: str = ""
    terms_token: str = ""
    terms_revision: int = 0
    packages_token: str = ""
    generation: int = 0
    checked: int = 0
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    registration: Registration | None = None
    held: int = 0
    used: int = 0
    weighed: tuple[int, int] = (0, 0)


def refused(registration: Registration, settings: Settings) -> Exception:
    """Return why a tenant is not served: as if it were not there, unless it is suspended or served elsewhere."""
    if registration.state == "active":
        return Elsewhere(registration, settings)
    return Suspended(registration) if registration.state == "suspended" else KeyError(registration.name)


async def keep_to_limits(tenant: Tenant, changes: Sequence[Change], size: Callable[[str], int], now: int) -> None:
    """Raise StoreFull where a commit that writes something would go beyond what a tenant may hold.

    Commits of several workers at the same moment may overstep a limit by what they hold.
    """
    known = tenant.registration
    written = [change.key for change in changes if change.method != "DELETE"]
    if known is None or not written:
        return
    if known.max_resources:
        there = sum((await tenant.store.statistics()).values())
        if there + len(written) > known.max_resources:
            found = (await tenant.store.read_many(written)).values()
            if there + len(written) - sum(not version.deleted for version in found) > known.max_resources:
                raise StoreFull(f"this tenant may hold {known.max_resources} resources; it has {there}")
    if known.max_bytes:
        if now - tenant.weighed[1] >= _WEIGHED_EVERY:
            tenant.weighed = (await asyncio.to_thread(size, tenant.name), now)
        if tenant.weighed[0] > known.max_bytes:
            raise StoreFull(f"this tenant may take {known.max_bytes} bytes; it takes {tenant.weighed[0]}")
