"""Bundles as a whole: full URLs, references, documents, messages, searchsets, links."""

from typing import Any

import pytest

from tests.unit.validation.resources.told import issues, told

BASE = "http://example.org/fhir"


def entry(resource: dict[str, Any], url: str | None = None) -> dict[str, Any]:
    return {"fullUrl": url or f"{BASE}/{resource['resourceType']}/{resource['id']}", "resource": resource}


def bundle(type_: str, *entries: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"resourceType": "Bundle", "type": type_, "entry": list(entries), **more}


def patient(id_: str = "p", **more: Any) -> dict[str, Any]:
    return {"resourceType": "Patient", "id": id_, **more}


def composition(**more: Any) -> dict[str, Any]:
    return {"resourceType": "Composition", "id": "c", "author": [{"display": "x"}], **more}


def to(reference: str) -> dict[str, str]:
    return {"reference": reference}


def test_an_entry_of_a_collection_has_a_full_url() -> None:
    assert told(bundle("collection", {"resource": patient()})) == ["Bundle.entry[0]"]


@pytest.mark.parametrize("type_", ["transaction", "batch", "transaction-response", "batch-response"])
def test_an_entry_of_a_transaction_needs_no_full_url(type_: str) -> None:
    assert told(bundle(type_, {"resource": patient()})) == []


@pytest.mark.parametrize("url", ["Patient/p", f"{BASE}/Patient/other", f"{BASE}/Group/p"])
def test_a_full_url_is_absolute_and_agrees_with_the_resource(url: str) -> None:
    assert told(bundle("collection", entry(patient(), url))) == ["Bundle.entry[0]"]


@pytest.mark.parametrize("url", ["urn:uuid:54fc3e09-e279-4b74-a8ff-2649ec968642", "resource:0", f"{BASE}/x/p"])
def test_a_full_url_that_is_not_of_a_server_may_be_anything(url: str) -> None:
    assert told(bundle("collection", entry(patient(), url))) == []


def test_a_full_url_of_a_server_needs_an_id() -> None:
    assert told(bundle("collection", {"fullUrl": f"{BASE}/Patient/p", "resource": {"resourceType": "Patient"}}))
    assert not told(bundle("transaction", {"fullUrl": f"{BASE}/Patient/p", "resource": {"resourceType": "Patient"}}))


def test_a_reference_that_means_two_entries_is_told_at_its_place() -> None:
    practitioner = entry({"resourceType": "Practitioner", "id": "d"})
    who = patient(generalPractitioner=[to("Practitioner/d")])
    found = told(bundle("collection", entry(who), practitioner, practitioner))
    assert found == ["Bundle.entry[0].resource.generalPractitioner[0]"]


def test_a_version_tells_two_entries_of_one_url_apart() -> None:
    versions = [entry({"resourceType": "Practitioner", "id": "d", "meta": {"versionId": v}}) for v in "12"]
    who = patient(generalPractitioner=[to("Practitioner/d/_history/2")])
    assert told(bundle("collection", entry(who), *versions)) == []


def test_a_relative_reference_by_uuid_says_the_type_that_the_entry_has() -> None:
    who = patient(generalPractitioner=[to("Practitioner/5d9588d8-3cd6-4b32-8fb7-ad13694e069d")])
    other = entry({"resourceType": "Organization", "id": "o"}, "urn:uuid:5d9588d8-3cd6-4b32-8fb7-ad13694e069d")
    found = told(bundle("collection", entry(who, "urn:uuid:54fc3e09-e279-4b74-a8ff-2649ec968642"), other))
    assert found == ["Bundle.entry[0].resource.generalPractitioner[0]"]


@pytest.mark.parametrize(("type_", "bad"), [("Organization", False), ("Location", True)])
def test_a_reference_is_to_what_its_element_may_refer_to(type_: str, bad: bool) -> None:
    uuid = "urn:uuid:5d9588d8-3cd6-4b32-8fb7-ad13694e069d"
    inner = {"resourceType": "PractitionerRole", "id": "r", "organization": to(uuid)}
    who = patient(managingOrganization=to(uuid), contained=[inner])
    found = told(bundle("collection", entry(who), entry({"resourceType": type_, "id": "o"}, uuid)))
    base = "Bundle.entry[0].resource"
    assert sorted(found) == ([f"{base}.contained[0].organization", f"{base}.managingOrganization"] if bad else [])


def test_a_urn_that_is_not_in_the_bundle_is_a_warning() -> None:
    who = patient(managingOrganization=to("urn:uuid:5d9588d8-3cd6-4b32-8fb7-ad13694e069d"))
    assert told(bundle("collection", entry(who)), severity="warning") == [
        "Bundle.entry[0].resource.managingOrganization"
    ]
    assert told(bundle("collection", entry(who))) == []


def test_the_place_of_a_choice_names_its_type() -> None:
    observation = {
        "resourceType": "Observation",
        "id": "o",
        "extension": [{"url": "x", "valueReference": to("urn:x:y")}],
    }
    found = told(bundle("collection", entry(observation)), severity="warning")
    assert found == ["Bundle.entry[0].resource.extension[0].value.ofType(Reference)"]


def test_a_document_starts_with_a_composition() -> None:
    assert told(bundle("document", entry(patient()))) == ["Bundle.entry[0].resource"]
    assert told(bundle("message", entry(patient()))) == ["Bundle.entry[0].resource"]


def test_a_document_has_entries() -> None:
    assert told({"resourceType": "Bundle", "type": "document"}) == ["Bundle"]


def test_a_document_brings_what_its_composition_refers_to() -> None:
    section = {"section": [{"section": [{"entry": [to("Condition/c")]}]}]}
    found = told(bundle("document", entry(composition(subject=to("Patient/p"), **section))))
    assert found == [
        "Bundle.entry[0].resource.subject",
        "Bundle.entry[0].resource.section[0].section[0].entry[0]",
    ]


def test_what_is_not_linked_with_the_composition_does_not_belong_into_a_document() -> None:
    assert told(bundle("document", entry(composition()), entry(patient()))) == ["Bundle.entry[1]"]


def test_only_provenance_may_refer_to_a_document_from_outside() -> None:
    provenance = {"resourceType": "Provenance", "id": "v", "target": [to("Composition/c")]}
    listed = {"resourceType": "List", "id": "l", "entry": [{"item": to("Composition/c")}]}
    made = bundle("document", entry(composition()), entry(provenance), entry(listed))
    assert told(made) == []
    assert told(made, severity="warning") == ["Bundle.entry[2]"]


def test_a_stylesheet_of_a_document_is_in_it() -> None:
    style = entry({"resourceType": "Binary", "id": "css"})
    links = [{"relation": "stylesheet", "url": url} for url in ("Binary/css", "Binary/none", "https://a.example/x.css")]
    made = bundle("document", entry(composition()), style, link=links)
    assert told(made) == ["Bundle.link[1].url"]
    assert told(made, severity="warning") == ["Bundle.link[2].url"]


def test_a_message_brings_its_focus_and_what_is_beside_it_is_questioned() -> None:
    header = {"resourceType": "MessageHeader", "id": "m", "focus": [to("Patient/none")]}
    made = bundle("message", entry(header), entry(patient()))
    assert told(made) == ["Bundle.entry[0].resource.focus[0]"]
    assert told(made, severity="warning") == ["Bundle.entry[1]"]


def searchset(resource: dict[str, Any], mode: str | None = "match", url: str = "Patient?name=x") -> dict[str, Any]:
    search = {"search": {"mode": mode}} if mode else {}
    one = {"fullUrl": "urn:x:1", "resource": resource, **search}
    return bundle("searchset", one, link=[{"relation": "self", "url": f"{BASE}/{url}"}])


@pytest.mark.parametrize(
    ("made", "count"),
    [
        (searchset(patient()), 0),
        (searchset({"resourceType": "Group", "id": "g"}), 1),
        (searchset({"resourceType": "Group", "id": "g"}, "include"), 0),
        (searchset({"resourceType": "Group", "id": "g"}, url="?_type=Group,Patient"), 0),
        (searchset({"resourceType": "Group", "id": "g"}, url="Group/_search"), 0),
        (searchset({"resourceType": "Patient"}), 1),
        (searchset({"resourceType": "OperationOutcome"}, "outcome"), 0),
        (searchset(patient(), "outcome"), 1),
        (searchset({"resourceType": "Group"}, None), 0),
    ],
)
def test_a_searchset_holds_what_was_searched_for(made: dict[str, Any], count: int) -> None:
    assert len(told(made)) == count


def test_an_entry_of_a_searchset_has_a_resource() -> None:
    assert told(bundle("searchset", {"fullUrl": "urn:x:1"})) == ["Bundle.entry[0]"]


def test_only_what_has_pages_links_to_them_and_once() -> None:
    links = [{"relation": "next", "url": "x"}, {"relation": "self", "url": "x"}, {"relation": "self", "url": "y"}]
    assert told(bundle("collection", link=links)) == ["Bundle.link[0].relation", "Bundle.link[2]"]
    assert told(bundle("history", link=links)) == ["Bundle.link[2]"]


@pytest.mark.parametrize(
    "broken", [None, 1, "x", [], [None], [1], [{}], [{"resource": 1}], [{"fullUrl": 2, "resource": {}}]]
)
@pytest.mark.parametrize("type_", ["document", "message", "searchset", "collection", None, 3])
def test_misshapen_bundles_are_not_the_end(broken: Any, type_: Any) -> None:
    issues({"resourceType": "Bundle", "type": type_, "entry": broken, "link": broken})
