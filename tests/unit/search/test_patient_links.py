"""Every resource has rows that say whose it is, and nobody can search by them."""

from typing import Any

import pytest

from fhir_server.definitions import load
from fhir_server.search.indexing import Extractor
from fhir_server.search.parameters import ParameterRegistry
from fhir_server.search.parameters_links import LINK, VIA

REGISTRY = ParameterRegistry.standard()
EXTRACTOR = Extractor(REGISTRY)
ANN, GROUP, NOTE = {"reference": "Patient/ann"}, {"reference": "Group/g"}, {"reference": "DocumentReference/d"}


def links(resource: dict[str, Any]) -> set[tuple[str, str | None, str | None]]:
    entries = EXTRACTOR.extract(resource["resourceType"], resource)
    return {row[:3] for row in entries.references if row[0] in (LINK, VIA)}


DOCUMENT = {
    "resourceType": "Bundle",
    "type": "document",
    "entry": [
        {"resource": {"resourceType": "Composition", "subject": ANN}},
        {"resource": {"resourceType": "Observation", "subject": {"reference": "Patient/bob"}}},
    ],
}


@pytest.mark.parametrize(
    ("resource", "rows"),
    [
        ({"resourceType": "Observation", "subject": ANN}, {(LINK, "Patient", "ann")}),
        ({"resourceType": "Observation", "subject": GROUP}, set()),
        ({"resourceType": "Task", "for": ANN, "focus": NOTE},
         {(LINK, "Patient", "ann"), (VIA, "DocumentReference", "d")}),
        ({"resourceType": "Binary", "securityContext": NOTE}, {(VIA, "DocumentReference", "d")}),
        ({"resourceType": "Group", "member": [{"entity": ANN}, {"entity": {"reference": "Patient/bob"}}]},
         {(LINK, "Patient", "ann"), (LINK, "Patient", "bob")}),
        (DOCUMENT, {(LINK, "Patient", "ann")}),
        ({"resourceType": "Practitioner", "active": True}, set()),
    ],
)  # fmt: skip
def test_rows_say_whose_a_resource_is(resource: dict[str, Any], rows: set[tuple[str, str | None, str | None]]) -> None:
    assert links(resource) == rows


def test_every_type_with_links_has_rows_for_them() -> None:
    for type_, found in load().patient_links.items():
        codes = {LINK if link.via is None else VIA for link in found}
        assert codes == REGISTRY.indexed(type_).keys() & {LINK, VIA}, type_


def test_nobody_can_search_by_them() -> None:
    assert not [code for type_ in REGISTRY.types for code in REGISTRY.of(type_) if code.startswith("~")]
