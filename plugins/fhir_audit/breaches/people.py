"""Which patients are to be watched, and who is whose own or of whose household; asked of the record now and then."""

import logging
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from fhir_audit.breaches.homes import Home, home_of
from fhir_audit.settings import AuditSettings

_log = logging.getLogger("fhir_server.alerts")
_KIN_FOR: Final = 600.0
_FLAGS_FOR: Final = 3_600.0
_MOST_KNOWN: Final = 5_000
_MOST_LOOKED_AT: Final = 2_000
Resource = Mapping[str, Any]


class Record(Protocol):
    """The record of a tenant, all of it: what consents and labels hide from others too."""

    async def find(self, type_: str, id_: str, /) -> Resource | None:
        """Return a current resource, or None."""

    def each(self, type_: str, criteria: Sequence[tuple[str, str]], /) -> AsyncIterator[Resource]:
        """Yield the current resources that match the search criteria."""


@dataclass(frozen=True, slots=True)
class Kin:
    """Logical ids of the Patients who somebody is, and of those of the same household."""

    own: frozenset[str] = frozenset()
    household: frozenset[str] = frozenset()


class People:
    """What is known of the people of one tenant."""

    def __init__(self, settings: AuditSettings) -> None:
        self._settings = settings
        self._vips: frozenset[str] = frozenset()
        self._vips_until = 0.0
        self._kin: OrderedDict[str, tuple[float, Kin]] = OrderedDict()
        self._flags = Flagged(settings.vip_flags)

    async def vips(self, record: Record) -> frozenset[str]:
        """Return the patients to be watched."""
        if time.monotonic() >= self._vips_until:
            labelled = await _vips(record, self._settings)
            self._vips = labelled | await self._flags.patients(record)
            self._vips_until = time.monotonic() + self._settings.vip_life
        return self._vips

    async def kin(self, record: Record, subject: str) -> Kin:
        """Return who belongs to a user, by who that is in the record: `Practitioner/1`."""
        known = self._kin.get(subject)
        if known is not None and known[0] > time.monotonic():
            return known[1]
        try:
            kin = await _kin(record, subject, self._settings.household)
        except (AttributeError, KeyError, TypeError) as error:  # misshapen, stored without validation
            _log.warning("who belongs to %s cannot be told: %s", subject, error)
            kin = Kin()
        self._kin[subject] = time.monotonic() + _KIN_FOR, kin
        self._kin.move_to_end(subject)
        if len(self._kin) > _MOST_KNOWN:
            self._kin.popitem(last=False)
        return kin


class Flagged:
    """The patients with a Flag of some codes. R4 cannot search for these: all are read, later those that changed."""

    def __init__(self, codes: Sequence[str]) -> None:
        self._codes = frozenset(codes)
        self._of: dict[str, str] = {}
        self._since, self._anew = "", 0.0

    async def patients(self, record: Record) -> frozenset[str]:
        """Return them; that a Flag was deleted is noticed within an hour."""
        if not self._codes:
            return frozenset()
        if time.monotonic() >= self._anew:
            self._of, self._since, self._anew = {}, "", time.monotonic() + _FLAGS_FOR
        newer = [("_lastUpdated", f"ge{self._since}")] if self._since else []
        async for flag in record.each("Flag", newer):
            self._since = max(self._since, str(flag["meta"]["lastUpdated"]))
            if flag.get("status") == "active" and _codes(flag.get("code")) & self._codes:
                self._of |= {str(flag["id"]): id_ for id_ in _patients([flag.get("subject")])}
            else:
                self._of.pop(str(flag["id"]), None)
        return frozenset(self._of.values())


async def _vips(record: Record, settings: AuditSettings) -> frozenset[str]:
    found = set(settings.vip_patients)
    if settings.vip_labels:
        labels = [("_security", ",".join(settings.vip_labels))]
        found |= {str(patient["id"]) async for patient in record.each("Patient", labels)}
    if settings.vip_list:
        named = await record.find("List", settings.vip_list.removeprefix("List/"))
        found |= set(_patients(entry.get("item") for entry in (named or {}).get("entry", ())))
    return frozenset(found)


async def _kin(record: Record, subject: str, household: str) -> Kin:
    type_, _, id_ = subject.partition("/")
    resource = await record.find(type_, id_)
    homes = [home_of(resource)] if resource is not None else []
    own = {id_} if type_ == "Patient" else set()
    async for person in record.each("Person", [("link", subject)]):
        homes.append(home_of(person))
        own |= set(_patients(link.get("target") for link in person.get("link", ())))
    for home in tuple(homes):
        own |= {
            str(patient["id"]) async for patient in _namesakes(record, home) if home.is_same_person(home_of(patient))
        }
    for each in own:
        patient = await record.find("Patient", each)
        homes += [home_of(patient)] if patient is not None else []
    if household == "off":
        return Kin(frozenset(own))
    near = {id_ for home in dict.fromkeys(homes) async for id_ in _household(record, home, household)}
    return Kin(frozenset(own), frozenset(near - own))


async def _namesakes(record: Record, home: Home) -> AsyncIterator[Resource]:
    """Yield the patients with the same day of birth."""
    if home.birth and home.families and home.given:
        async for patient in record.each("Patient", [("birthdate", home.birth)]):
            yield patient


async def _household(record: Record, home: Home, rule: str) -> AsyncIterator[str]:
    """Yield the patients who live where somebody lives; of very many with one name in one place the first found."""
    looked = 0
    for criteria in home.by_street | (home.by_name if rule == "either" else frozenset()):
        async for patient in record.each("Patient", criteria):
            looked += 1
            other = home_of(patient)
            if home.shares_address(other) or (rule == "either" and home.shares_name_and_place(other)):
                yield str(patient["id"])
            if looked >= _MOST_LOOKED_AT:
                return


def _codes(concept: Any) -> set[str]:
    codings = concept.get("coding", ()) if isinstance(concept, dict) else ()
    return {str(coding.get("code")) for coding in codings if isinstance(coding, dict)}


def _patients(references: Iterable[Any]) -> Iterable[str]:
    for reference in references:
        named = reference.get("reference", "") if isinstance(reference, dict) else ""
        type_, _, id_ = str(named).rpartition("/")
        if type_.rpartition("/")[2] == "Patient":
            yield id_
