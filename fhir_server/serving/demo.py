"""Demo patients for a first look: a synthetic cohort of the `carebundle` package under stable ids."""

import json
from collections.abc import Iterator
from datetime import date

from fhir_server.model.keys import ResourceKey

PATIENTS = 20
DEMO_PATIENT = ResourceKey("Patient", "demo-1")
_SEED = 2026


class DemoUnavailable(Exception):
    """The package that makes the demo patients is not installed."""


def demo_bundles(patients: int = PATIENTS) -> Iterator[bytes]:
    """Yield one transaction Bundle for each patient; the patients are `Patient/demo-1` and on.

    Every entry is a PUT under an id made from its number, so loading twice changes nothing.

    Raises:
        DemoUnavailable: `carebundle` is missing.
    """
    try:
        import carebundle
    except ImportError:
        raise DemoUnavailable("demo patients need the package carebundle: pip install 'fhir-server[demo]'") from None
    cohort = carebundle.generate_cohort(count=patients, seed=_SEED, reference_date=date(2026, 9, 1), age_range=(18, 90))
    for number, bundle in enumerate(cohort, start=1):
        yield json.dumps(_with_stable_ids(json.loads(carebundle.to_json(bundle)), number)).encode()


def _with_stable_ids(bundle: dict, number: int) -> dict:  # type: ignore[type-arg]
    for entry in bundle["entry"]:
        type_ = entry["resource"]["resourceType"]
        id_ = f"demo-{number}" if type_ == "Patient" else entry["fullUrl"].removeprefix("urn:uuid:")
        entry["resource"]["id"] = id_
        entry["request"] = {"method": "PUT", "url": f"{type_}/{id_}"}
    return bundle
