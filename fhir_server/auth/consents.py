"""The Consents in force in one tenant, and what they and security labels hide from each caller.

A worker looks once in a second whether one has changed, so a Consent takes effect within a second of its commit.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import replace

from fhir_server.alerts import Alert, raise_alert
from fhir_server.auth.consent import Directive, read_consent
from fhir_server.auth.desk import Desk
from fhir_server.auth.grants import Grant
from fhir_server.auth.limits_of_consent import Bounds, Narrow, Who, boundaries, hidden_labels
from fhir_server.auth.mask import Mask
from fhir_server.auth.masks import RULES, Rule, masks_of, of_roles
from fhir_server.auth.records import MASKS
from fhir_server.auth.said import Said
from fhir_server.definitions import Definitions
from fhir_server.model.json import JsonError, decode
from fhir_server.model.version import Version
from fhir_server.search.parameters import ParameterRegistry
from fhir_server.search.query import EVERYTHING, And, Node, Reference, ReferenceValue, Search
from fhir_server.settings import Settings
from fhir_server.storage.base import HistoryQuery

_log = logging.getLogger("fhir_server.consent")

CHECK_EVERY = 500
"""Milliseconds after which a worker looks whether a Consent, or who works where, has changed."""

_WATCHED = ("Consent", "PractitionerRole")
_PAGE = 1_000
_MOST = 1_000


class Consents:
    """What a worker knows of the Consents of one tenant."""

    def __init__(
        self, facts: Definitions, narrow: Narrow, parameters: ParameterRegistry | None = None, tenant: str = "default"
    ) -> None:
        self._facts, self._narrow, self._tenant = facts, narrow, tenant
        self._parameters = parameters or ParameterRegistry.standard()
        self._hidden: Mapping[str, tuple[Rule, ...]] = {}
        self._masks: dict[tuple[str, ...], Mask | None] = {}
        self._turn = asyncio.Lock()
        self._state: tuple[object, ...] | None = None
        self._directives: dict[str, Directive] = {}
        self._alive: set[str] = set()
        self._newest = 0
        self._said = Said((), 0)
        self._checked = 0
        self._until = 0
        self._bounds: dict[tuple[str, ...], Bounds | None] = {}
        self.generation = 0
        """Counts how often what is hidden was found out anew: while it stays, and all is fresh, so do all limits."""

    async def limits(self, desk: Desk, grant: Grant) -> Bounds | None:
        """Return what is hidden from the holder of a grant; None where nothing is.

        Patients see their own record whatever they forbade others, and an emergency goes before all of it.
        """
        await self.refresh(desk)
        if desk.settings.consent == "off" or grant.emergency or grant.represented is not None:
            return None
        key = (grant.subject, grant.client, "user" if grant.user else "", *grant.roles)
        if key not in self._bounds:
            if len(self._bounds) >= _MOST:
                self._bounds.clear()
            bounds = self.bounds(desk, await who(desk, grant))
            self._bounds[key] = None if bounds.empty else bounds
        return self._bounds[key]

    async def mask(self, desk: Desk, grant: Grant) -> Mask | None:
        """Return what of each resource is hidden from the holder of a grant; None for nothing."""
        await self.refresh(desk)
        if not self._hidden or grant.emergency:
            return None
        roles = tuple(sorted(grant.roles))
        if roles not in self._masks:
            rules = of_roles(self._hidden, roles)
            self._masks[roles] = Mask(rules, self._facts, self._parameters) if rules else None
        return self._masks[roles]

    def bounds(self, desk: Desk, who: Who) -> Bounds:
        """Return what is hidden from somebody."""
        permits = desk.settings.consent_default == "permit"
        return Bounds(who, self._said, self._facts, self._narrow, permits, desk.now())

    def of(self, patient: str) -> tuple[Directive, ...]:
        """Return the Consents of a patient that are in force or will be."""
        return tuple(directive for directive in self._directives.values() if directive.patient == patient)

    async def refresh(self, desk: Desk) -> None:
        """Read what changed, or find out anew when a period began or ended; who comes meanwhile waits."""
        if self.fresh(desk.now()):
            return
        async with self._turn:
            if not self.fresh(desk.now()):
                await self._refresh(desk)

    def fresh(self, now: int) -> bool:
        """Tell whether it is too early to look for changes."""
        return self._state is not None and 0 <= now - self._checked < CHECK_EVERY and now < self._until

    async def _refresh(self, desk: Desk) -> None:
        now = desk.now()
        if self._state is None:
            await desk.store.declare(MASKS)
        state = await _state(desk)
        if state != self._state or now >= self._until:
            if not await self._take_changes(desk):
                await self._read_all(desk)
            found = self._directives.values()
            self._said = Said(found, now)
            self._until = min((instant for instant in boundaries(found) if instant > now), default=1 << 62)
            self._hidden = await masks_of(desk, self._facts)
            self._bounds.clear()
            self._masks.clear()
            self.generation += 1
        self._state, self._checked = state, now

    async def _read_all(self, desk: Desk) -> None:
        newest = (await desk.store.history(HistoryQuery(type="Consent", count=1))).versions
        self._directives.clear()
        self._alive.clear()
        async for version in _all(desk, "Consent", EVERYTHING):
            self._take(version)
        self._newest = newest[0].pid if newest else 0

    async def _take_changes(self, desk: Desk) -> bool:
        """Read what is newer than what is known, for there may be very many; False where that does not explain all."""
        if self._state is None:
            return False
        seen: set[str] = set()
        query, newest = HistoryQuery(type="Consent", count=_PAGE), self._newest
        while True:
            page = await desk.store.history(query)
            fresh = [version for version in page.versions if version.pid > self._newest]
            for version in fresh:
                newest = max(newest, version.pid)
                if version.key.id not in seen:
                    self._take(version)
                seen.add(version.key.id)
            if len(fresh) < len(page.versions) or page.next is None:
                break
            query = replace(query, before=page.next, until=page.txid)
        self._newest = newest
        return len(self._alive) == (await desk.store.statistics()).get("Consent", 0)

    def _take(self, version: Version) -> None:
        id_ = version.key.id
        self._directives.pop(id_, None)
        self._alive.discard(id_)
        if version.deleted:
            return
        self._alive.add(id_)
        directive = _read(version)
        if directive is not None:
            self._directives[id_] = directive
            if directive.fault:
                self._alert(directive)

    def _alert(self, directive: Directive) -> None:
        _log.error("Consent/%s cannot be read and denies all: %s", directive.id, directive.fault)
        said = "a Consent cannot be read and denies everything; the log says why"
        raise_alert(Alert("unreadable-consent", self._tenant, said, f"Consent/{directive.id}", directive.patient))


async def who(desk: Desk, grant: Grant) -> Who:
    """Return the caller as Consents know them: a practitioner acts for the organizations they work for too."""
    actors = {grant.subject, f"|{grant.client}"} | {f"Device/{grant.client}"}
    actors |= await _acts_for(desk, grant.subject)
    purposes = purposes_of(desk.settings, grant.roles)
    return Who(frozenset(filter(None, actors)), purposes, hidden_labels(desk.settings.label_roles, grant.roles))


def purposes_of(settings: Settings, roles: Iterable[str]) -> frozenset[str]:
    """Return the purposes for which the users of some roles act."""
    table = settings.consent_purposes
    found = {purpose for role in roles for purpose in table.get(role, ())}
    return frozenset(found or table.get("*", ()))


async def acting(desk: Desk, actor: str, purposes: frozenset[str]) -> Who:
    """Return somebody else as Consents know them, for explanations; labels do not count."""
    return Who(frozenset((actor, *await _acts_for(desk, actor))), purposes)


async def _state(desk: Desk) -> tuple[object, ...]:
    """Return what differs as soon as a watched resource does: how many there are, and the newest of them."""
    counts = await desk.store.statistics()
    masks = await desk.get(MASKS.name, RULES)
    found: list[object] = [masks.revision if masks else 0]
    for type_ in _WATCHED:
        newest = await desk.store.search(Search({type_: EVERYTHING}, count=1)) if counts.get(type_) else None
        found += [counts.get(type_, 0), newest.versions[0].pid if newest and newest.versions else 0]
    return tuple(found)


def _read(version: Version) -> Directive | None:
    try:
        resource = decode(version.stamped())
    except JsonError as error:
        return Directive(version.key.id, "", False, fault=str(error))
    return read_consent(resource)


async def _acts_for(desk: Desk, subject: str) -> set[str]:
    """Return the active PractitionerRoles of a practitioner, and their organizations."""
    type_, _, id_ = subject.partition("/")
    if type_ != "Practitioner":
        return set()
    of_them = Reference("practitioner", (ReferenceValue(type_, id_),), ("Practitioner",))
    found: set[str] = set()
    async for version in _all(desk, "PractitionerRole", of_them):
        role = decode(version.stamped())
        if role.get("active", True):
            found |= {str(version.key), str(role.get("organization", {}).get("reference", version.key))}
    return found


async def _all(desk: Desk, type_: str, node: Node) -> AsyncIterator[Version]:
    search = Search({type_: And((node,))}, count=_PAGE)
    while True:
        page = await desk.store.search(search)
        for version in page.versions:
            yield version
        if page.next is None:
            return
        search = replace(search, after=page.next)
