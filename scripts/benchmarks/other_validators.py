"""Other validators on the same documents: fhir.resources (R4B), fhirkit-rs and jsonschema-rs."""

import json
import statistics
import time
from collections.abc import Callable
from importlib import import_module
from importlib.metadata import version
from typing import Any

import fhirkit
import jsonschema_rs

from fhir_server.definitions import load
from fhir_server.model.json import decode
from fhir_server.validation import Validator, Wanted
from scripts.benchmarks.documents import DOCUMENTS
from scripts.benchmarks.json_schema import json_schema

_ROUNDS, _REPEATS = 7, 300
Read = Callable[[bytes], object]


def bench_others(validator: Validator) -> None:
    """Print a table: from the bytes of a document to a verdict, the best median of some rounds, in us."""
    rows = {"fhir-server, structure": _ours(validator, Wanted("structure"))}
    rows["fhir-server, full"] = _ours(validator, Wanted())
    rows[f"fhirkit-rs {version('fhirkit-rs')}"] = fhirkit.validate
    print(f"bytes to verdict, us{'':<12}" + "".join(f"{name:>14}" for name in DOCUMENTS))
    for name, read in rows.items():
        print(f"  {name:<30}" + "".join(f"{_median(read, content):>14.1f}" for content in DOCUMENTS.values()))
    pydantic = [_median(_model(content), content) for content in DOCUMENTS.values()]
    print(f"  {'fhir.resources R4B ' + version('fhir.resources'):<30}" + "".join(f"{time:>14.1f}" for time in pydantic))
    schema = [_median(_schema(content), content) for content in DOCUMENTS.values()]
    print(f"  {'jsonschema-rs ' + version('jsonschema_rs'):<30}" + "".join(f"{time:>14.1f}" for time in schema))


def _ours(validator: Validator, wanted: Wanted) -> Read:
    return lambda content: validator.look(decode(content), None, wanted)


def _type(content: bytes) -> str:
    return str(json.loads(content)["resourceType"])


def _model(content: bytes) -> Read:
    """The pydantic model of fhir.resources. There is none for R4; R4B is nearest."""
    name = _type(content)
    model: Any = getattr(import_module(f"fhir.resources.R4B.{name.lower()}"), name)
    read: Read = model.model_validate_json
    return read


def _schema(content: bytes) -> Read:
    """A schema made of our definitions: closed objects, patterns, cardinalities and listed codes."""
    validator = jsonschema_rs.validator_for(json_schema(load(), _type(content)))
    if not validator.is_valid(json.loads(content)):
        raise ValueError(str(next(validator.iter_errors(json.loads(content)))))
    return lambda raw: validator.is_valid(json.loads(raw))


def _median(read: Read, content: bytes) -> float:
    """The best of the medians of some rounds."""
    return min(_round(read, content) for _ in range(_ROUNDS))


def _round(read: Read, content: bytes) -> float:
    times = []
    for _ in range(_REPEATS):
        start = time.perf_counter()
        read(content)
        times.append((time.perf_counter() - start) * 1e6)
    return statistics.median(times)
