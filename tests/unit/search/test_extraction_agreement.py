"""Generated extraction and the general FHIRPath engine find the same rows, by every parameter of every type."""

import zipfile
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from fhir_server import definitions
from fhir_server.search.entries import IndexEntries
from fhir_server.search.extraction.general import General
from fhir_server.search.extraction.leaves import LISTS
from fhir_server.search.extraction.plan import COLUMNS
from fhir_server.search.extraction.readers import Readers
from fhir_server.search.indexing import Extractor
from fhir_server.search.parameters import ParameterRegistry
from tests.shared_data import shared_data
from tests.unit.search.full_resources import full_resources

REGISTRY = ParameterRegistry.standard()
EXTRACTOR = Extractor(REGISTRY)
READERS = Readers()
_general: dict[tuple[str, str], General] = {}


def by_general_engine(type_: str, resource: dict[str, Any]) -> IndexEntries:
    local = {inner["id"]: inner["resourceType"] for inner in resource.get("contained", ()) if "id" in inner}
    entries = IndexEntries()
    for code, parameter in REGISTRY.indexed(type_).items():
        if parameter.expression is not None and code not in COLUMNS:
            if (type_, code) not in _general:
                _general[type_, code] = General(parameter, definitions.load(), READERS)
            _general[type_, code].add(resource, ("", local), entries)
    return entries


def rows(entries: IndexEntries) -> dict[str, set[Any]]:
    return {name: set(getattr(entries, name)) for name in LISTS.values()}


def examples() -> Iterator[tuple[str, dict[str, Any]]]:
    decoder = msgspec.json.Decoder(dict[str, Any], float_hook=Decimal)
    with zipfile.ZipFile(shared_data("hl7-examples") / "r4-examples.zip") as archive:
        for name in archive.namelist():
            if name.endswith(".json"):
                resource = decoder.decode(archive.read(name))
                if resource["resourceType"] in REGISTRY.types:
                    yield name, resource


def test_every_hl7_example_gives_the_same_rows_both_ways() -> None:
    compared = 0
    for name, resource in examples():
        type_ = resource["resourceType"]
        assert rows(EXTRACTOR.extract(type_, resource)) == rows(by_general_engine(type_, resource)), name
        compared += 1
    assert compared > 600


@pytest.mark.parametrize("type_", REGISTRY.types)
def test_a_resource_with_every_element_gives_the_same_rows_both_ways(type_: str) -> None:
    for resource in full_resources(type_):
        assert rows(EXTRACTOR.extract(type_, resource)) == rows(by_general_engine(type_, resource))


def test_every_parameter_finds_something_in_a_resource_with_every_element() -> None:
    nothing = set()
    for type_ in REGISTRY.types:
        found = {
            row[0].partition(":")[0]
            for resource in full_resources(type_)
            for values in rows(EXTRACTOR.extract(type_, resource)).values()
            for row in values
        }
        nothing |= {
            (type_, code)
            for code, parameter in REGISTRY.of(type_).items()
            if parameter.expression is not None and code not in COLUMNS and code not in found
        }
    assert nothing == set()
