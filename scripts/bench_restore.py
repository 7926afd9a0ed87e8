"""Fill a data folder with resources of realistic shape, for measuring backup, archive and restore drill.

python scripts/bench_restore.py --dir DIR [--resources 1000000]    then `fhir-server serve`, `backup base`, `drill`
"""

import argparse
import asyncio
import json
import random
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from fhir_server.app import extract_by
from fhir_server.model.keys import ResourceKey
from fhir_server.model.version import Body
from fhir_server.settings import Settings
from fhir_server.storage.base import Change
from fhir_server.storage.sqlite.store import open_store

EACH = 40  # resources of a patient: one Patient, three Encounters, else Observations
_NARRATIVE = "x" * 500
_START = datetime(2005, 1, 1, tzinfo=UTC)


def patients(seed: int) -> Iterator[list[dict[str, Any]]]:
    """Yield the resources of one patient after the other, without end."""
    dice = random.Random(seed)
    ids = iter(range(seed << 100, 1 << 126))
    while True:
        patient = str(uuid.UUID(int=next(ids)))
        made: list[dict[str, Any]] = [_patient(patient, dice)]
        encounters = [(str(uuid.UUID(int=next(ids))), _START + timedelta(hours=dice.randrange(180_000))) for _ in "123"]
        made += [_encounter(id_, patient, at) for id_, at in encounters]
        while len(made) < EACH:
            made.append(_observation(str(uuid.UUID(int=next(ids))), patient, dice.choice(encounters), dice))
        yield made


def _patient(id_: str, dice: random.Random) -> dict[str, Any]:
    return {
        "resourceType": "Patient", "id": id_, "meta": {},
        "text": {"status": "generated", "div": f'<div xmlns="http://www.w3.org/1999/xhtml">{_NARRATIVE}</div>'},
        "identifier": [{"system": "urn:mrn", "value": f"{dice.randrange(10**9):09d}"}],
        "name": [{"family": f"Family{dice.randrange(5000)}", "given": [f"Given{dice.randrange(3000)}"]}],
        "gender": dice.choice(("male", "female")), "active": True,
        "birthDate": f"{dice.randrange(1930, 2020)}-{dice.randrange(1, 13):02d}-11",
    }  # fmt: skip


def _encounter(id_: str, patient: str, at: datetime) -> dict[str, Any]:
    return {
        "resourceType": "Encounter", "id": id_, "meta": {}, "status": "finished",
        "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "AMB"},
        "subject": {"reference": f"Patient/{patient}"},
        "period": {"start": at.isoformat(), "end": (at + timedelta(hours=1)).isoformat()},
    }  # fmt: skip


def _observation(id_: str, patient: str, encounter: tuple[str, datetime], dice: random.Random) -> dict[str, Any]:
    return {
        "resourceType": "Observation", "id": id_, "meta": {}, "status": "final",
        "category": [{"coding": [{"system": "http://terminology.hl7.org/CodeSystem/observation-category",
                                  "code": "vital-signs"}]}],
        "code": {"coding": [{"system": "http://loinc.org", "code": f"{dice.randrange(200)}-4", "display": "Measure"}]},
        "subject": {"reference": f"Patient/{patient}"}, "encounter": {"reference": f"Encounter/{encounter[0]}"},
        "effectiveDateTime": encounter[1].isoformat(), "issued": encounter[1].isoformat(),
        "valueQuantity": {"value": dice.randrange(1000) / 10, "unit": "kg", "system": "http://unitsofmeasure.org",
                          "code": "kg"},
    }  # fmt: skip


async def fill(folder: Path, count: int) -> None:
    """Write so many resources into the default tenant, in commits of ten patients."""
    settings = Settings(data_dir=folder, durable=False, reserve_bytes=0)
    extract, made, done, began = extract_by(settings), patients(1), 0, time.monotonic()
    store = await open_store(folder / "tenants" / "default", settings)
    try:
        while done < count:
            changes = [_change(each, extract) for _ in range(10) for each in next(made)]
            await store.commit(changes)
            done += len(changes)
            if done % 100_000 == 0:
                print(f"{done:,} after {time.monotonic() - began:.0f} s", flush=True)
    finally:
        await store.close()


def _change(resource: dict[str, Any], extract: Any) -> Change:
    data = json.dumps(resource, separators=(",", ":")).encode()
    splice = data.index(b'"meta":{') + len(b'"meta":{')
    return Change(
        ResourceKey(resource["resourceType"], resource["id"]), "PUT", Body(data, splice),
        extract(resource["resourceType"], data),
    )  # fmt: skip


def main() -> None:
    """Fill the folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dir", type=Path, required=True)
    parser.add_argument("--resources", type=int, default=1_000_000)
    arguments = parser.parse_args()
    asyncio.run(fill(arguments.dir, arguments.resources))


if __name__ == "__main__":
    main()
