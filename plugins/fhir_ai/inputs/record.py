"""Record: what of a patient's record the inputs are looked for in, as the caller may see it."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from fhir_ai.inputs.newest import Newest
from fhir_ai.inputs.tables import INPUTS, LOINC, PANELS, PLACES
from fhir_server.plugin_api import Client, Forbidden, decode

Resource = Mapping[str, Any]

_FIRST: Final = 100
"""The newest Observations, whatever they are of: mostly they hold all that was measured lately."""
_PAGE: Final = 1_000
_TURN: Final = 200
_MEDICINES: Final = ("MedicationRequest", "MedicationStatement")


@dataclass(frozen=True, slots=True)
class Record:
    """What was read. now: milliseconds since 1970. cut: older Observations were left out, beyond the limit.

    hidden: types that the caller may not see at all; what they would tell is not known, not absent.
    """

    patient: Resource
    now: int
    observations: Sequence[Resource] = ()
    conditions: Sequence[Resource] = ()
    medicines: Sequence[Resource] = ()
    cut: bool = False
    hidden: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to read. names: of inputs. hours: how far back Observations go. most: how many are looked at.

    depth: how many instants of each code are kept; scores want the newest alone.
    """

    names: tuple[str, ...]
    hours: float
    most: int = 5_000
    medicines: bool = True
    depth: int = 1

    @property
    def codes(self) -> frozenset[str]:
        """The codes that the inputs are recorded under."""
        return frozenset(code for name in self.names if name in PLACES for code in PLACES[name].codes)

    def since(self, now: int) -> int:
        """Return the time before which nothing is read, in milliseconds."""
        return now - int(self.hours * 3_600_000)


@dataclass(frozen=True, slots=True)
class Read:
    """What was read of one patient; `observations` with the time that each counts from."""

    observations: Sequence[tuple[int, Resource]]
    conditions: Sequence[Resource]
    medicines: Sequence[Resource]
    cut: bool
    hidden: frozenset[str]

    def record(self, patient: Resource, now: int, since: int) -> Record:
        """Return it as the record of a patient at a time."""
        kept = [each for at, each in self.observations if at >= since]
        return Record(patient, now, kept, self.conditions, self.medicines, self.cut, self.hidden)


async def read_record(client: Client, patient: Resource, now: int, wanted: Wanted) -> Record:
    """Read what scores need of a patient, as the caller may see it."""
    return (await read(client, str(patient["id"]), now, wanted)).record(patient, now, wanted.since(now))


async def read(client: Client, id_: str, now: int, wanted: Wanted) -> Read:
    """Read what scores need of a patient by id; types that the caller may not search are said to be hidden."""
    subject, hidden = f"Patient/{id_}", set[str]()
    types = ("Condition", *(_MEDICINES if wanted.medicines else ()))
    others = asyncio.gather(*(_all(client, type_, subject, hidden) for type_ in types))
    (observations, cut), found = await asyncio.gather(_observations(client, subject, now, wanted, hidden), others)
    conditions, medicines = found[0], [each for one in found[1:] for each in one]
    return Read(observations, conditions, medicines, cut, frozenset(hidden))


async def _observations(
    client: Client, subject: str, now: int, wanted: Wanted, hidden: set[str]
) -> tuple[list[tuple[int, Resource]], bool]:
    """Read the newest of each code: first among the newest of all, then by the codes that were not among them."""
    newest = Newest(wanted.codes.union(wanted.names), wanted.depth)
    since = datetime.fromtimestamp(wanted.since(now) / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    criteria = [("patient", subject), ("date", f"ge{since}"), ("_sort", "-date")]
    try:
        first = min(_FIRST, wanted.most)
        looked = await _look(client, criteria, newest, (first, first))
        if looked < first or not newest.open:
            return newest.found, False
        left = wanted.most - looked
        if not left:
            return newest.found, True
        looked = await _look(client, [*criteria, ("code", tokens(newest.open))], newest, (_PAGE, left))
        return newest.found, looked > left
    except Forbidden:
        hidden.add("Observation")
        return [], False


async def _look(client: Client, criteria: list[tuple[str, str]], newest: Newest, most: tuple[int, int]) -> int:
    """Take Observations of a search until no code is open, or there were too many; return how many there were."""
    page, limit = most
    looked = 0
    async for version in client.versions("Observation", criteria, page=min(page, max(limit, 1))):
        looked += 1
        if looked > limit:
            return looked
        newest.take(version.pid, version.body.data)
        if not newest.open or looked == page == limit:
            return looked
        if looked % _TURN == 0:
            await asyncio.sleep(0)
    return looked


def tokens(codes: frozenset[str]) -> str:
    """Return the value of a search by codes; panels hold others as components, and our own names are a system."""
    return ",".join([*(f"{LOINC}|{code}" for code in sorted(codes.union(PANELS)) if "-" in code), f"{INPUTS}|"])


async def _all(client: Client, type_: str, subject: str, hidden: set[str]) -> list[Resource]:
    try:
        return [decode(each.body.data) async for each in client.versions(type_, [("patient", subject)])]
    except Forbidden:
        hidden.add(type_)
        return []
