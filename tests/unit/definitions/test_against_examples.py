"""The facts hold for what others published: HL7's examples and Synthea's patients."""

import bz2
import json
import zipfile
from collections import Counter
from collections.abc import Iterator
from typing import Any

from fhir_server.definitions import Element, TypeDefinition, load
from tests.shared_data import shared_data

DEFINITIONS = load()
Json = dict[str, Any]


def hl7_examples() -> Iterator[Json]:
    with zipfile.ZipFile(shared_data("hl7-examples") / "r4-examples.zip") as archive:
        for name in archive.namelist():
            if name.endswith(".json"):
                document = json.loads(archive.read(name))
                if "resourceType" in document:
                    yield document


def synthea_resources(bundles: int) -> Iterator[Json]:
    for path in sorted(shared_data("synthea").glob("**/*.json.bz2"))[:bundles]:
        for entry in json.loads(bz2.decompress(path.read_bytes()))["entry"]:
            yield entry["resource"]


def faults(value: Json, definition: TypeDefinition, where: str) -> Iterator[str]:
    """Unknown members, wrong cardinalities and missing members of one object and all below it."""
    for name, member in value.items():
        if name == "resourceType" and definition.kind == "resource":
            continue  # elsewhere it is an element: ExampleScenario.instance.resourceType
        element = definition.by_name.get(name.removeprefix("_"))
        if element is None:
            yield f"{where}.{name} is unknown"
            continue
        if isinstance(member, list) != (element.max is None or element.max > 1):
            yield f"{where}.{name} has the wrong cardinality"
        below = definition_below(element, name.removeprefix("_"))
        for item in member if isinstance(member, list) else [member]:
            if isinstance(item, dict):
                resource = below.kind == "resource"
                of = DEFINITIONS.types[item["resourceType"]] if resource else below
                yield from faults(item, of, f"{where}.{name}")
    for element in definition.elements:
        if element.min and not any(n in value or "_" + n in value for n in element.json_names):
            yield f"{where}.{element.name} is missing"


def definition_below(element: Element, name: str) -> TypeDefinition:
    if element.type_key:
        return DEFINITIONS.types[element.type_key]
    type_ = element.json_names[name]
    assert type_ is not None
    return DEFINITIONS.types[type_.code]


# Published examples that break R4 itself: two drafts of the core guide, and items of a questionnaire without linkId.
FAULTY_EXAMPLES = {("ImplementationGuide", "fhir"), ("Questionnaire", "qs1")}


def test_hl7_examples_have_no_member_that_the_tables_do_not_know() -> None:
    found: dict[tuple[str, str], list[str]] = {}
    count = 0
    for document in hl7_examples():
        count += 1
        name = document["resourceType"]
        if wrong := list(faults(document, DEFINITIONS.types[name], name)):
            found[name, document["id"]] = wrong
    assert count == 720
    assert found.keys() == FAULTY_EXAMPLES
    assert all(line.endswith("missing") for wrong in found.values() for line in wrong)


def test_synthea_resources_have_no_member_that_the_tables_do_not_know() -> None:
    found: Counter[str] = Counter()
    count = 0
    for document in synthea_resources(5):
        count += 1
        found.update(faults(document, DEFINITIONS.types[document["resourceType"]], document["resourceType"]))
    assert count > 500
    assert not found
