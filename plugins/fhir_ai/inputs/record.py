"""Record: what of a patient's record the inputs are looked for in, read in one go."""

import asyncio
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from fhir_ai.inputs.tables import INPUTS, LOINC, PANELS, PLACES
from fhir_server.plugin_api import Client, decode

Resource = Mapping[str, Any]

_CODE: Final = re.compile(rb'"code":"([0-9a-z_]+(?:-[0-9])?)"')
_PER_CODE: Final = 8
_PAGE: Final = 200
_FEW_HOURS: Final = 100
"""Up to so many hours it is faster to pass over the few observations of other codes than to search by all codes."""


@dataclass(frozen=True, slots=True)
class Record:
    """What was read. now: milliseconds since 1970. cut: older Observations were left out, beyond the limit."""

    patient: Resource
    now: int
    observations: Sequence[Resource] = ()
    conditions: Sequence[Resource] = ()
    medicines: Sequence[Resource] = ()
    cut: bool = False


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to read. names: of inputs. hours: how far back Observations go. most: how many are looked at."""

    names: Sequence[str]
    hours: float
    most: int = 5_000
    medicines: bool = True


async def read_record(client: Client, patient: Resource, now: int, wanted: Wanted) -> Record:
    """Read what scores need of a patient, as the caller may see it: a search for each type."""
    subject = f"Patient/{patient['id']}"
    medicines = _medicines(client, subject) if wanted.medicines else _none()
    (observations, cut), conditions, found = await asyncio.gather(
        _observations(client, subject, now, wanted), _all(client, "Condition", subject), medicines
    )
    return Record(patient, now, observations, conditions, found, cut)


async def _observations(client: Client, subject: str, now: int, wanted: Wanted) -> tuple[list[Resource], bool]:
    """Read the newest of each code; what could not be used anyway is not even parsed."""
    codes = frozenset(code for name in wanted.names if name in PLACES for code in PLACES[name].codes) | {*PANELS}
    tokens = [f"{LOINC}|{code}" for code in sorted(codes)] + [f"{INPUTS}|"]
    since = datetime.fromtimestamp(now / 1000 - wanted.hours * 3600, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    criteria = [("patient", subject), ("date", f"ge{since}"), ("_sort", "-date")]
    if wanted.hours > _FEW_HOURS:
        criteria.append(("code", ",".join(tokens)))
    useful = {code.encode() for code in codes.union(wanted.names)}
    seen: Counter[bytes] = Counter()
    found: list[Resource] = []
    looked = 0
    async for version in client.versions("Observation", criteria, page=_PAGE):
        if looked == wanted.most:
            return found, True
        looked += 1
        named = useful.intersection(_CODE.findall(version.body.data))
        if any(seen[code] < _PER_CODE for code in named):
            seen.update(named)
            found.append(decode(version.stamped()))
        if looked % _PAGE == 0:
            await asyncio.sleep(0)
    return found, False


async def _all(client: Client, type_: str, subject: str) -> list[Resource]:
    return [each async for each in client.each(type_, [("patient", subject)])]


async def _medicines(client: Client, subject: str) -> list[Resource]:
    ordered, told = await asyncio.gather(
        _all(client, "MedicationRequest", subject), _all(client, "MedicationStatement", subject)
    )
    return [*ordered, *told]


async def _none() -> list[Resource]:
    return []
