"""`_include` and `_revinclude` by canonical URLs.

Spec: https://hl7.org/fhir/R4/search.html#revinclude
"""

from typing import Any

import pytest

from fhir_server.search.query import Ids, Not
from tests.builders import resource
from tests.conformance.http.callers import Sees, let_in
from tests.conformance.http.fhir import Fhir, Serve

ASKED, OTHER = "http://forms.org/Questionnaire/phq", "http://forms.org/Questionnaire/gad"


def _questionnaire(id_: str, url: str, version: str | None, **elements: Any) -> Any:
    named = {"url": url} | ({"version": version} if version else {})
    return resource("Questionnaire", id_, status="active", **named, **elements)


def _answers(id_: str, questionnaire: str) -> Any:
    return resource("QuestionnaireResponse", id_, status="completed", questionnaire=questionnaire)


LIBRARY = [
    _questionnaire("v1", ASKED, "1"),
    _questionnaire("v2", ASKED, "2", derivedFrom=[f"{ASKED}|1"]),
    _questionnaire("plain", OTHER, None),
    _answers("newest", ASKED),
    _answers("first", f"{ASKED}|1"),
    _answers("third", f"{ASKED}|3"),
    _answers("bare", OTHER),
    _answers("nowhere", "http://forms.org/none"),
    resource("Library", "lib", status="active", type={"text": "logic"}, url="http://lib.org/l", version="5"),
    resource(
        "Measure", "m", status="active", url="http://m.org/m", library=["http://lib.org/l|5"],
        relatedArtifact=[{"type": "depends-on", "resource": ASKED}],
    ),
    resource(
        "MeasureReport", "r", status="complete", type="summary", period={"start": "2020", "end": "2021"},
        measure="http://m.org/m",
    ),
]  # fmt: skip
QR = "QuestionnaireResponse"
ROWS = [
    (f"{QR}?_id=newest&_include={QR}:questionnaire", "v2"),
    (f"{QR}?_id=first&_include={QR}:questionnaire", "v1"),
    (f"{QR}?_id=first,newest,bare&_include={QR}:questionnaire:Questionnaire", "v1 v2 plain"),
    (f"{QR}?_id=third,nowhere&_include={QR}:questionnaire", ""),
    (f"{QR}?_id=bare&_include={QR}:*", "plain"),
    (f"{QR}?_id=bare&_include=*", "plain"),
    (f"{QR}?_id=bare&_include={QR}:subject", ""),
    ("MeasureReport?_include=MeasureReport:measure", "m"),
    ("MeasureReport?_include=MeasureReport:measure&_include=Measure:depends-on", "m"),
    ("MeasureReport?_include=MeasureReport:measure&_include:iterate=Measure:depends-on", "m lib v2"),
    ("MeasureReport?_include=MeasureReport:measure&_include:iterate=Measure:depends-on:Library", "m lib"),
    (f"Questionnaire?_id=v1&_revinclude={QR}:questionnaire", "newest first"),
    (f"Questionnaire?_id=v2&_revinclude={QR}:questionnaire", "newest"),
    (f"Questionnaire?_id=plain&_revinclude={QR}:questionnaire", "bare"),
    (f"Questionnaire?_id=v1,plain&_revinclude={QR}:*", "newest first bare"),
    ("Library?_revinclude=Measure:depends-on&_revinclude:iterate=MeasureReport:measure", "m r"),
    (f"Questionnaire?_id=v1,v2&_revinclude={QR}:questionnaire&_summary=count", None),
]


async def _included(fhir: Fhir, url: str) -> list[str]:
    answer = await fhir.get(url)
    assert answer.status == 200
    return sorted(each["resource"]["id"] for each in answer.entries if each["search"]["mode"] == "include")


async def test_a_canonical_brings_what_is_stored_under_its_url(fhir: Fhir, monkeypatch: pytest.MonkeyPatch) -> None:
    await fhir.put_all(*LIBRARY)
    for url, expected in ROWS:
        if expected is None:
            assert (await fhir.get(url)).json.get("entry") is None
        else:
            assert await _included(fhir, url) == sorted(expected.split()), url
    let_in(monkeypatch, Sees({"Questionnaire": Not(Ids(("v2",))), QR: Not(Ids(("first",)))}))
    # What may not be seen is as if it were not there: the newest is another one then.
    assert await _included(fhir, f"{QR}?_id=newest&_include={QR}:questionnaire") == ["v1"]
    assert await _included(fhir, f"Questionnaire?_id=v1&_revinclude={QR}:questionnaire") == ["newest"]
    let_in(monkeypatch, Sees({}, unasked={"Questionnaire": frozenset({"url"})}))
    assert await _included(fhir, f"{QR}?_id=newest&_include={QR}:questionnaire") == []


async def test_the_limit_of_includes_holds_for_canonicals_and_pages_bring_their_own(serve: Serve) -> None:
    fhir = await serve(max_includes=2)
    await fhir.put_all(_questionnaire("q", ASKED, None), *(_answers(f"a{number}", ASKED) for number in range(3)))
    answer = await fhir.get(f"Questionnaire?_revinclude={QR}:questionnaire")
    assert [each["search"]["mode"] for each in answer.entries] == ["match", "include", "include", "outcome"]
    first = await fhir.get(f"{QR}?_count=2&_include={QR}:questionnaire")
    second = await fhir.get(first.link("next") or "")
    for page in (first, second):
        assert [each["resource"]["id"] for each in page.entries if each["search"]["mode"] == "include"] == ["q"]
