#!/usr/bin/env python3
"""How long structural validation takes: one Patient of 1.9 KB, and the resources of a folder of Synthea bundles.

    scripts/bench_validation.py [FOLDER [BUNDLES]]

FOLDER holds transaction Bundles (.json or .json.bz2). Only `Validator.check` is timed, on resources parsed one at a
time just before, as an import does it. Other work on the machine shows in the mean and less in the best of the rounds.
"""

import bz2
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from fhir_server.definitions import load
from fhir_server.model.json import decode, items, members, minify
from fhir_server.validation import Validator

ROUNDS = 5
LIMIT_US = 30.0

PATIENT = minify(b"""{
  "resourceType": "Patient", "id": "bench-patient",
  "meta": {"profile": ["http://hl7.org/fhir/us/core/StructureDefinition/us-core-patient"]},
  "text": {"status": "generated",
    "div": "<div xmlns=\\"http://www.w3.org/1999/xhtml\\"><p><b>Amy V. Shaw</b>, born 1987-02-20</p></div>"},
  "extension": [
    {"url": "http://hl7.org/fhir/us/core/StructureDefinition/us-core-race", "extension": [
      {"url": "ombCategory",
       "valueCoding": {"system": "urn:oid:2.16.840.1.113883.6.238", "code": "2106-3", "display": "White"}},
      {"url": "text", "valueString": "White"}]},
    {"url": "http://hl7.org/fhir/us/core/StructureDefinition/us-core-birthsex", "valueCode": "F"}],
  "identifier": [
    {"use": "usual", "type": {"coding": [
      {"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "MR", "display": "Medical Record Number"}],
      "text": "Medical Record Number"}, "system": "http://hospital.smarthealthit.org", "value": "1032702"},
    {"system": "http://hl7.org/fhir/sid/us-ssn", "value": "999-22-1962"}],
  "active": true,
  "name": [
    {"use": "official", "family": "Shaw", "given": ["Amy", "V."],
     "period": {"start": "2016-12-06", "end": "2020-07-22"}},
    {"use": "maiden", "family": "Baxter", "given": ["Amy"], "suffix": ["PharmD"]}],
  "telecom": [
    {"system": "phone", "value": "555-555-5555", "use": "home"},
    {"system": "email", "value": "amy.shaw@example.com"}],
  "gender": "female", "birthDate": "1987-02-20", "multipleBirthInteger": 2,
  "address": [
    {"use": "home", "line": ["183 Mountain View St"], "city": "Mounds", "state": "OK", "postalCode": "74048",
     "country": "US", "period": {"start": "2016-12-06"}}],
  "maritalStatus": {"coding": [
    {"system": "http://terminology.hl7.org/CodeSystem/v3-MaritalStatus", "code": "M", "display": "Married"}]},
  "contact": [
    {"relationship": [{"text": "Husband"}], "name": {"family": "Shaw", "given": ["John"]},
     "telecom": [{"system": "phone", "value": "555-555-5556"}]}],
  "communication": [{"language": {"coding": [{"system": "urn:ietf:bcp:47", "code": "en-US"}]}, "preferred": true}],
  "generalPractitioner": [{"reference": "Practitioner/42", "display": "Dr. Adam Careful"}],
  "managingOrganization": {"reference": "Organization/1"}
}""")


def main() -> None:
    """Print both figures; the exit code says whether the Patient stays below its budget."""
    best = bench_patient()
    if len(sys.argv) > 1:
        bench_folder(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 10)
    sys.exit(best > LIMIT_US)


def bench_patient() -> float:
    """The Patient of this file, again and again, and with a narrative not seen before each time."""
    validator = Validator(load())
    times = [microseconds(validator.check, decode(PATIENT)) for _ in range(2000)]
    fresh = [microseconds(validator.check, decode(new_narrative(number))) for number in range(2000)]
    print(f"Patient of this script, {len(PATIENT)} bytes minified, us")
    print(f"  narrative seen before  {summary(times)}")
    print(f"  new narrative          {summary(fresh)}")
    bad = decode(PATIENT) | {"gender": "man"}
    print(f"  with a bad gender      {summary([microseconds(validator.check, bad) for _ in range(200)])}")
    return min(times)


def bench_folder(folder: Path, bundles: int) -> None:
    """Every resource of some bundles."""
    raw = list(resources(folder, bundles))
    validator = Validator(load())
    rounds = [[microseconds(validator.check, decode(content)) for content in raw] for _ in range(ROUNDS)]
    size = sum(map(len, raw)) / len(raw)
    print(
        f"{len(raw)} resources of {bundles} bundles in {folder.name}, {size:.0f} bytes each minified, us per resource"
    )
    print(f"  first round, shapes compiled in it: mean {statistics.mean(rounds[0]):.1f}")
    for times in rounds[1:]:
        print(f"  later round: mean {statistics.mean(times):.2f}  median {statistics.median(times):.2f}")
    best = [min(times) for times in zip(*rounds, strict=True)]
    print(f"  best of {ROUNDS} rounds: mean {statistics.mean(best):.2f};  {validator.road.compiled} shapes compiled")
    for name, times in by_type(raw, best):
        print(f"    {name:<24} {len(times):>6} x {statistics.mean(times):6.2f}")


def by_type(raw: Iterable[bytes], times: Iterable[float]) -> list[tuple[str, list[float]]]:
    """The times of each resource type."""
    found: dict[str, list[float]] = defaultdict(list)
    for content, taken in zip(raw, times, strict=True):
        found[str(decode(content)["resourceType"])].append(taken)
    return sorted(found.items())


def resources(folder: Path, bundles: int) -> Iterator[bytes]:
    """Every resource of some bundles, minified."""
    for path in sorted(folder.glob("*.json*"))[:bundles]:
        content = path.read_bytes()
        bundle = members(minify(bz2.decompress(content) if path.suffix == ".bz2" else content))
        for entry in items(bundle["entry"]):
            yield members(entry)["resource"]


def new_narrative(number: int) -> bytes:
    """The Patient with a narrative of its own."""
    return PATIENT.replace(b"Amy V. Shaw</b>", b"Amy V. Shaw</b> %d" % number)


def microseconds(work: Callable[[object], object], value: object) -> float:
    """How long one call takes."""
    start = time.perf_counter()
    work(value)
    return (time.perf_counter() - start) * 1e6


def summary(times: list[float]) -> str:
    """Least, median and 95th percentile."""
    high = statistics.quantiles(times, n=20)[-1]
    return f"min {min(times):6.1f}  median {statistics.median(times):6.1f}  p95 {high:6.1f}"


if __name__ == "__main__":
    main()
