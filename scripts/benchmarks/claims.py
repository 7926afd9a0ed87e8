"""Claims of ten lines: adjudicated by the engine alone, submitted one by one, submitted in Bundles of fifty."""

import argparse
import json
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
from fhir_billing.adjudication.engine import adjudicate
from fhir_billing.adjudication.facts import Case, Line, Member
from fhir_billing.adjudication.library import SHIPPED, load_all

from scripts.benchmarks.client import post
from scripts.benchmarks.client import run as send
from scripts.benchmarks.processor import spent
from scripts.benchmarks.servers import ours

_LINES, _MEMBERS, _BUNDLE = 10, 60, 50
_CODES = ("99213", "99214", "80053", "85025", "71046", "70553", "97110", "29881", "D2740", "87070")
_DAY = date(2026, 3, 2)
_PLAN = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/coverage-class", "code": "plan"}]}


def engine(seconds: float) -> float:
    """Return how many claims one process adjudicates in a second."""
    compiled = load_all(SHIPPED).find("us-ppo", _DAY)
    lines = tuple(Line(n, (code,), _DAY, Decimal("130.00")) for n, code in enumerate(_CODES, 1))
    case = Case("USD", date(2026, 3, 10), Member(date(1980, 1, 1), date(2025, 1, 1)), lines, "clinic")
    used = {"2026:deductible": Decimal("400.00"), "2026:out-of-pocket": Decimal("700.00")}
    done, begun = 0, time.perf_counter()
    while time.perf_counter() - begun < seconds:
        adjudicate(compiled, case, used, Decimal("0.01"))
        done += 1
    return done / (time.perf_counter() - begun)


def run(options: argparse.Namespace, folder: Path) -> None:
    """Print claims a second of each."""
    with ProcessPoolExecutor(options.workers) as pool:
        rates = list(pool.map(engine, [3.0] * options.workers))
    print(f"  the engine, {options.workers} processes: {sum(rates):,.0f} claims/s of {_LINES} lines")
    with ours(folder, workers=options.workers) as (port, process, _):
        covers = _members(port)
        before = spent(process)
        single = list(_claims(covers, 0, 1_500))
        result = send(port, (post("/fhir/Claim/$submit", each) for each in single), connections=8)
        _say("submitted one by one", result.rate, result.quantile(0.5), result.failed)
        print(f"    {(spent(process) - before) / len(single) * 1e3:.1f} ms of processor for each claim")
        before = spent(process)
        bundles = [_bundle(list(_claims(covers, 1_800 + n * _BUNDLE, _BUNDLE))) for n in range(30)]
        result = send(port, (post("/fhir/Claim/$submit", each) for each in bundles), connections=4)
        _say(f"in Bundles of {_BUNDLE}", result.rate * _BUNDLE, result.quantile(0.5), result.failed)
        print(f"    {(spent(process) - before) / len(bundles) / _BUNDLE * 1e3:.1f} ms of processor for each claim")
        estimates = list(_claims(covers, 3_600, 1_500))
        result = send(port, (post("/fhir/Claim/$estimate", each) for each in estimates), connections=8)
        _say("estimated", result.rate, result.quantile(0.5), result.failed)


def _say(what: str, rate: float, median: float, failed: int) -> None:
    print(f"  {what}: {rate:,.0f} claims/s of {_LINES} lines, median {median:.0f} ms, {failed} failed", flush=True)


def _members(port: int) -> list[tuple[str, str, str]]:
    """Make patients with a coverage each; return references of patient, coverage and provider."""
    with httpx.Client(base_url=f"http://127.0.0.1:{port}/fhir", timeout=60) as http:

        def made(resource: dict[str, Any]) -> str:
            answer = http.post(f"/{resource['resourceType']}", json=resource).raise_for_status()
            return f"{resource['resourceType']}/{answer.json()['id']}"

        payor = made({"resourceType": "Organization", "name": "Payer"})
        clinic = made({"resourceType": "Organization", "name": "Clinic"})
        found = []
        for _ in range(_MEMBERS):
            patient = made({"resourceType": "Patient", "birthDate": "1980-01-01"})
            cover = {
                "resourceType": "Coverage", "status": "active", "beneficiary": {"reference": patient},
                "payor": [{"reference": payor}], "period": {"start": "2025-01-01"},
                "class": [{"type": _PLAN, "value": "us-ppo"}],
            }  # fmt: skip
            found.append((patient, made(cover), clinic))
        return found


def _claims(covers: list[tuple[str, str, str]], first: int, count: int) -> Iterator[bytes]:
    for number in range(first, first + count):
        yield json.dumps(_claim(*covers[number % len(covers)], number)).encode()


def _claim(patient: str, coverage: str, provider: str, number: int) -> dict[str, Any]:
    # Each claim of a member is for another day, and none came too late: what is denied costs less.
    day = date.fromordinal(datetime.now(UTC).date().toordinal() - 1 - number // _MEMBERS).isoformat()
    return {
        "resourceType": "Claim", "status": "active", "use": "claim", "type": {"coding": [{"code": "professional"}]},
        "identifier": [{"system": "urn:bench", "value": str(number)}], "patient": {"reference": patient},
        "created": "2026-03-10", "provider": {"reference": provider}, "priority": {"coding": [{"code": "normal"}]},
        "insurance": [{"sequence": 1, "focal": True, "coverage": {"reference": coverage}}],
        "item": [
            {
                "sequence": n, "productOrService": {"coding": [{"code": code}]}, "servicedDate": day,
                "net": {"value": 130, "currency": "USD"},
            }
            for n, code in enumerate(_CODES, 1)
        ],
    }  # fmt: skip


def _bundle(claims: list[bytes]) -> bytes:
    entries = [{"fullUrl": f"urn:x:{n}", "resource": json.loads(each)} for n, each in enumerate(claims)]
    return json.dumps({"resourceType": "Bundle", "type": "collection", "entry": entries}).encode()
