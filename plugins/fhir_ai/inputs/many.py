"""Many: what scores need of many patients, read by a search for each type instead of one for each patient."""

import asyncio
import re
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from typing import Final

from fhir_ai.inputs.newest import Newest
from fhir_ai.inputs.record import Read, Resource, Wanted, read, tokens
from fhir_server.plugin_api import Client, Forbidden, Version, decode

_SUBJECT: Final = re.compile(rb'"subject":\{[^{}]*?"reference":"(?:[^"]*/)?Patient/([A-Za-z0-9.\-]{1,64})')
_PAGE: Final = 1_000
_EACH: Final = 200
"""Observations of one patient on average, up to which reading all at once is faster than the newest of each alone."""


async def read_many(client: Client, ids: Sequence[str], now: int, wanted: Wanted) -> dict[str, Read]:
    """Read what scores need of patients, as the caller may see it."""
    hidden: set[str] = set()
    newest = await _observations(client, ids, now, wanted, hidden)
    if newest is None:
        return {id_: await read(client, id_, now, wanted) for id_ in ids}
    types = ("Condition", *(("MedicationRequest", "MedicationStatement") if wanted.medicines else ()))
    found = await asyncio.gather(*(_by_patient(client, type_, ids, hidden) for type_ in types))
    return {
        id_: Read(
            newest[id_].found, found[0].get(id_, ()), [each for one in found[1:] for each in one.get(id_, ())], False,
            frozenset(hidden),
        )
        for id_ in ids
    }  # fmt: skip


async def _observations(
    client: Client, ids: Sequence[str], now: int, wanted: Wanted, hidden: set[str]
) -> dict[str, Newest] | None:
    """Return the newest of each code of each patient; None where they have so many that each is better read alone."""
    codes = wanted.codes.union(wanted.names)
    found = {id_: Newest(codes, wanted.depth) for id_ in ids}
    since = datetime.fromtimestamp(wanted.since(now) / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    criteria = [("patient", _named(ids)), ("date", f"ge{since}"), ("_sort", "-date"), ("code", tokens(codes))]
    looked = 0
    try:
        async for version in client.versions("Observation", criteria, page=_PAGE):
            looked += 1
            if looked > _EACH * len(ids):
                return None
            newest = found.get(_subject(version))
            if newest is not None:
                newest.take(version.pid, version.body.data)
            if looked % _PAGE == 0:
                await asyncio.sleep(0)
    except Forbidden:
        hidden.add("Observation")
    return found


async def _by_patient(client: Client, type_: str, ids: Sequence[str], hidden: set[str]) -> dict[str, list[Resource]]:
    found: dict[str, list[Resource]] = defaultdict(list)
    try:
        async for version in client.versions(type_, [("patient", _named(ids))], page=_PAGE):
            found[_subject(version)].append(decode(version.body.data))
    except Forbidden:
        hidden.add(type_)
    return found


def _named(ids: Sequence[str]) -> str:
    return ",".join(f"Patient/{id_}" for id_ in ids)


def _subject(version: Version) -> str:
    met = _SUBJECT.search(version.body.data)
    return met[1].decode() if met else ""


async def patients(client: Client, ids: Sequence[str]) -> AsyncIterator[Resource]:
    """Yield those of these patients that are there and may be seen."""
    async for version in client.versions("Patient", [("_id", ",".join(ids))], page=_PAGE):
        yield decode(version.body.data)
