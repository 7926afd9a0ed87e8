"""Links and languages of narratives."""

from typing import Any

import pytest

from tests.unit.validation.resources.told import issues, told


def patient(html: str, attributes: str = "", **more: Any) -> dict[str, Any]:
    div = f'<div xmlns="http://www.w3.org/1999/xhtml"{attributes}>{html}</div>'
    return {"resourceType": "Patient", "text": {"status": "generated", "div": div}, **more}


@pytest.mark.parametrize(
    ("html", "bad"),
    [
        ('<a href="#a">x</a><p id="a">y</p>', False),
        ('<a href="#a">x</a><a name="a">y</a>', False),
        ('<a href="#">top</a>', False),
        ('<a href="http://example.org/#a">x</a>', False),
        ('<a href="#a">x</a><p id="b">y</p>', True),
        ('<a title="t" href="urn:uuid:7221aa91-d9e1-44fa-8b90-c5a8c7caeade">x</a>', True),
    ],
)
def test_a_link_leads_somewhere(html: str, bad: bool) -> None:
    assert told(patient(html)) == (["Patient.text.div"] if bad else [])


def test_a_link_may_lead_to_another_narrative_of_the_bundle() -> None:
    entries = [
        {"fullUrl": f"urn:x:{i}", "resource": patient(html)}
        for i, html in enumerate(('<a href="#a">x</a>', '<p id="a"/>'))
    ]
    assert told({"resourceType": "Bundle", "type": "collection", "entry": entries}) == []


def test_sections_of_a_composition_have_narratives_too() -> None:
    text = patient('<a href="#a">x</a>')["text"]
    composition = {"resourceType": "Composition", "section": [{"section": [{"text": text}]}]}
    assert told(composition) == ["Composition.section[0].section[0].text.div"]


@pytest.mark.parametrize(
    ("attributes", "language", "count"),
    [
        (' lang="en" xml:lang="en"', "en", 0),
        (' lang="en" xml:lang="de"', "en", 1),
        (' xml:lang="de"', "en", 1),
        (' lang="de"', None, 0),
    ],
)
def test_the_language_of_a_narrative_is_that_of_the_resource(attributes: str, language: str | None, count: int) -> None:
    more = {"language": language} if language else {}
    assert len(told(patient("x", attributes, **more), severity="warning")) == count


@pytest.mark.parametrize("broken", [None, 1, [], {"div": 3}, {"div": "<"}, {"div": '<a href="#'}])
def test_misshapen_narratives_are_not_the_end(broken: Any) -> None:
    issues({"resourceType": "Composition", "text": broken, "section": [broken, {"section": broken}]})
