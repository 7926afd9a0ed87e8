"""Links between the entries of a transaction."""

import json
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_server.definitions import load
from fhir_server.interactions.transaction.links import replace_links
from fhir_server.interactions.transaction.references import (
    References,
    conditional_references,
    named_with_version,
    root_of,
)

UUIDS = [f"urn:uuid:{UUID(int=number)}" for number in range(3)]
TARGETS = {
    UUIDS[0]: "Patient/p",
    UUIDS[1]: "Encounter/e",
    "urn:oid:1.2.3": "Device/d",
    "http://one.org/fhir/Patient/1": "Patient/one",
    "http://one.org/fhir/Patient/1.2": "Patient/one-two",
}
CRITERIA = {"Patient?identifier=1": "Patient/found"}


def references(targets: dict[str, str] = TARGETS, criteria: dict[str, str] = CRITERIA) -> References:
    return References(load(), targets, criteria, {"Patient/one": 1, "Patient/p": 4})


def subject(reference: str, full_url: str | None = None, **targets: Any) -> Any:
    raw = json.dumps({"resourceType": "Observation", "subject": {"reference": reference}}, separators=(",", ":"))
    return json.loads(references(**targets).rewrite(raw.encode(), full_url))["subject"]["reference"]


REWRITTEN = {
    UUIDS[0]: "Patient/p",
    UUIDS[2]: UUIDS[2],
    UUIDS[0].upper(): UUIDS[0].upper(),
    "urn:oid:1.2.3": "Device/d",
    "urn:oid:1.2.3.4": "urn:oid:1.2.3.4",
    "http://one.org/fhir/Patient/1": "Patient/one",
    "http://one.org/fhir/Patient/12": "http://one.org/fhir/Patient/12",
    "http://one.org/fhir/Patient/1.2": "Patient/one-two",
    "http://one.org/fhir/Patient/1/_history/7": "Patient/one/_history/1",
    f"{UUIDS[0]}/_history/7": "Patient/p/_history/4",
    f"{UUIDS[1]}/_history/7": "Encounter/e",
    "Patient/1": "Patient/1",
    "Patient?identifier=1": "Patient/found",
    "Patient?identifier=2": "Patient?identifier=2",
    "#local": "#local",
    "": "",
}


@pytest.mark.parametrize("reference", REWRITTEN)
def test_references_that_are_full_urls_are_rewritten_and_no_others(reference: str) -> None:
    assert subject(reference) == REWRITTEN[reference]


@pytest.mark.parametrize(
    ("full_url", "found"),
    [
        ("http://one.org/fhir/Observation/9", "Patient/one"),
        ("http://one.org/fhir/Observation/9/_history/2", "Patient/one"),
        ("http://two.org/fhir/Observation/9", "Patient/1"),
        ("urn:uuid:x", "Patient/1"),
        (None, "Patient/1"),
    ],
)
def test_relative_references_are_resolved_against_the_root_of_their_own_full_url(
    full_url: str | None, found: str
) -> None:
    assert subject("Patient/1", full_url) == found


def test_without_targets_nothing_is_touched() -> None:
    raw = b'{"resourceType":"Observation", "subject" : {"reference":"urn:uuid:x"}}'
    assert references({}, {}).rewrite(raw, None) is raw


links = st.sampled_from([*REWRITTEN, "text", "http://example.org"])
observations = st.fixed_dictionaries(
    {"resourceType": st.just("Observation")},
    optional={
        "subject": st.fixed_dictionaries({"reference": links}),
        "hasMember": st.lists(st.fixed_dictionaries({"reference": links, "display": links}), max_size=3),
        "identifier": st.lists(st.fixed_dictionaries({"system": links, "value": links}), max_size=2),
        "extension": st.lists(
            st.fixed_dictionaries(
                {"url": st.just("http://example.org/x")},
                optional={"valueUri": links, "valueString": links, "valueCanonical": links, "valueUrl": links},
            ),
            max_size=2,
        ),
        "contained": st.lists(
            st.fixed_dictionaries(
                {"resourceType": st.just("Basic"), "subject": st.fixed_dictionaries({"reference": links})}
            ),
            max_size=2,
        ),
        "text": st.fixed_dictionaries({"div": links.map(lambda link: f'<div><a href="{link}">{link}</a></div>')}),
        "note": st.lists(st.fixed_dictionaries({"text": links}), max_size=1),
    },
)


@given(observations, st.sampled_from([None, "http://one.org/fhir/Observation/9"]), st.booleans(), st.booleans())
def test_the_quick_ways_agree_with_the_exact_one(
    resource: dict[str, Any], full_url: str | None, only_uuids: bool, escaped: bool
) -> None:
    targets = {url: target for url, target in TARGETS.items() if not only_uuids or "uuid" in url}
    made = references(targets, {} if only_uuids else CRITERIA)
    root = root_of(full_url)
    exact = replace_links(load(), "Observation", resource, lambda link, place: made.resolve(link, root, place))
    raw = json.dumps(resource, separators=(",", ":"))
    raw = raw.replace("urn:", "\\u0075rn:") if escaped else raw
    assert json.loads(made.rewrite(raw.encode(), full_url)) == exact


def test_links_are_replaced_where_links_stand() -> None:
    link = UUIDS[0]
    value = {
        "resourceType": "Observation",
        "identifier": [{"system": link, "value": link}],
        "extension": [{"url": "http://x", "valueOid": link, "valueUuid": link, "valueCanonical": link}],
        "note": [{"text": link}],
        "unknown": link,
    }
    found = json.loads(references().rewrite(json.dumps(value).encode(), None))
    assert found.pop("identifier") == [{"system": "Patient/p", "value": link}]
    value.pop("identifier")
    assert found == value


@pytest.mark.parametrize(
    ("div", "found"),
    [
        (f'<a href="{UUIDS[0]}">', '<a href="Patient/p">'),
        (f"<a href='{UUIDS[0]}'>", "<a href='Patient/p'>"),
        (f'<img alt="x" src = "{UUIDS[0]}"/>', '<img alt="x" src = "Patient/p"/>'),
        (f'<a href="{UUIDS[0]}#part">', '<a href="Patient/p#part">'),
        (f'<a title="{UUIDS[0]}">', f'<a title="{UUIDS[0]}">'),
        (f"<p>{UUIDS[0]}</p>", f"<p>{UUIDS[0]}</p>"),
    ],
)
def test_links_in_the_narrative_are_attributes(div: str, found: str) -> None:
    value = {"resourceType": "Observation", "text": {"status": "generated", "div": f"<div>{div}</div>"}}
    assert json.loads(references().rewrite(json.dumps(value).encode(), None))["text"]["div"] == f"<div>{found}</div>"


def test_conditional_references_are_searches_by_type() -> None:
    raws = [
        b'{"subject":{"reference":"Patient?identifier=a|b"},"x":{"reference":"Patient/1"}}',
        b'{"subject":{"reference":"Practitioner?name=\\u00e9"},"note":"reference?"}',
        b'{"subject":{"reference":"http://x?y"},"z":{"reference":"?x=1"}}',
    ]
    assert conditional_references(raws) == {"Patient?identifier=a|b", "Practitioner?name=é"}


@pytest.mark.parametrize("text", ["Patient?x=\\u0000", "\\u0000", "\\ud800"])
def test_text_that_fhir_does_not_allow_is_left_to_be_refused_later(text: str) -> None:
    raw = f'{{"resourceType":"Observation","subject":{{"reference":"{text}"}}}}'.encode()
    assert references().rewrite(raw, None) == raw
    assert conditional_references([raw]) <= {"Patient?x="}


def test_links_with_a_version_are_known_by_what_they_name() -> None:
    assert named_with_version([b'{"a":"Patient/1/_history/2","b":"urn:x/_history/1","c":"x"}']) == {
        "Patient/1",
        "urn:x",
    }
