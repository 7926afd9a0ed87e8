"""The Bundles that searches answer with. What a search finds is tested in tests/conformance/search.

Spec: https://hl7.org/fhir/R4/http.html#search, https://hl7.org/fhir/R4/search.html
"""

from dataclasses import replace

import pytest

from fhir_server.context import Caller
from fhir_server.dispatch import entrance
from tests.builders import identifier, observation, patient, resource
from tests.conformance.http.fhir import BASE, Fhir, Serve


async def _grow(fhir: Fhir) -> None:
    await fhir.put_all(
        patient("a", identifier=identifier("1"), active=True, name=[{"family": "Ames"}]),
        patient("b", identifier=identifier("2"), active=True, name=[{"family": "Bell"}]),
        patient("c", identifier=identifier("3"), active=False, name=[{"family": "Cole"}]),
        observation("o1", subject="Patient/a"),
        observation("o2", subject="Patient/a"),
        observation("o3", subject="Patient/b"),
    )


async def test_a_search_answers_a_searchset_of_matches(fhir: Fhir) -> None:
    await _grow(fhir)
    answer = await fhir.get("Patient?active=true&_sort=family")
    assert answer.status == 200
    assert (answer.json["resourceType"], answer.json["type"]) == ("Bundle", "searchset")
    assert answer.ids == ["a", "b"]
    assert [entry["fullUrl"] for entry in answer.entries] == [f"{BASE}/Patient/a", f"{BASE}/Patient/b"]
    assert {entry["search"]["mode"] for entry in answer.entries} == {"match"}
    assert answer.resources[0]["meta"]["versionId"] == "1"


async def test_a_search_without_matches_is_an_empty_bundle_without_entries(fhir: Fhir) -> None:
    answer = await fhir.get("Patient?active=true")
    assert answer.status == 200
    assert "entry" not in answer.json
    assert answer.json["total"] == 0


@pytest.mark.parametrize("url", ["Patient/_search", "Patient/_search?active=true"])
async def test_a_post_search_means_the_same_and_its_self_link_is_for_get(fhir: Fhir, url: str) -> None:
    await _grow(fhir)
    answer = await fhir("POST", f"{url}{'&' if '?' in url else '?'}active=true&_sort=family")
    assert answer.ids == ["a", "b"]
    assert (answer.link("self") or "").startswith(f"{BASE}/Patient?active=true")


async def test_a_search_by_get_may_name_search_in_its_path(fhir: Fhir) -> None:
    await _grow(fhir)
    answer = await fhir.get("Patient/_search?active=true&_sort=family")
    assert answer.ids == ["a", "b"]
    assert (answer.link("self") or "").startswith(f"{BASE}/Patient?active=true")
    assert sorted((await fhir.get("_search?_type=Patient,Observation&_id=a,o1")).ids) == ["a", "o1"]
    assert sorted((await fhir.get("Patient/a/Observation/_search?status=final")).ids) == ["o1", "o2"]


async def test_system_search_takes_types(fhir: Fhir) -> None:
    await _grow(fhir)
    answer = await fhir.get("?_type=Patient,Observation&_id=a,o1")
    assert sorted(answer.ids) == ["a", "o1"]
    assert answer.link("self") == f"{BASE}?_type=Patient,Observation&_id=a,o1"


async def test_system_search_without_types_searches_all(fhir: Fhir) -> None:
    await _grow(fhir)
    assert sorted((await fhir.get("?_id=a,o1")).ids) == ["a", "o1"]


async def test_system_search_takes_only_parameters_that_all_types_have(fhir: Fhir) -> None:
    assert (await fhir.get("?active=true")).status == 400
    assert (await fhir.get("?_type=Patient,Observation&birthdate=2000")).status == 400
    assert (await fhir.get("?_type=Patient,Nothing")).status == 400


async def test_compartment_search_of_a_type_and_of_all(fhir: Fhir) -> None:
    await _grow(fhir)
    answer = await fhir.get("Patient/a/Observation?status=final")
    assert sorted(answer.ids) == ["o1", "o2"]
    assert answer.link("self") == f"{BASE}/Patient/a/Observation?status=final"
    assert sorted((await fhir.get("Patient/a/*")).ids) == ["a", "o1", "o2"]
    assert sorted((await fhir.get("Patient/a/*?_type=Observation")).ids) == ["o1", "o2"]


async def test_a_type_outside_the_compartment_is_not_found(fhir: Fhir) -> None:
    assert (await fhir.get("Patient/a/Organization")).status == 404


async def test_pages_lead_through_all_matches_whatever_others_write(fhir: Fhir) -> None:
    await _grow(fhir)
    first = await fhir.get("Patient?_count=1&_sort=family")
    await fhir.put_all(patient("0", name=[{"family": "Aaron"}]), patient("b", name=[{"family": "Zed"}]))
    await fhir.delete("Patient/c")
    second = await fhir.get(first.link("next") or "")
    third = await fhir.get(second.link("next") or "")
    assert first.ids + second.ids + third.ids == ["a", "b", "c"]
    assert second.resources[0]["name"] == [{"family": "Bell"}]
    assert third.link("next") is None


async def test_every_page_links_to_itself_and_to_the_first(fhir: Fhir) -> None:
    await _grow(fhir)
    first = await fhir.get("Patient?_count=1")
    second = await fhir.get(first.link("next") or "")
    assert first.link("self") == first.link("first") == second.link("first") == f"{BASE}/Patient?_count=1"
    assert (await fhir.get(second.link("self") or "")).ids == second.ids


async def test_page_links_keep_the_format_that_was_asked_for(fhir: Fhir) -> None:
    await _grow(fhir)
    first = await fhir.get("Patient?_count=1&_format=application/fhir%2Bjson&_pretty=true")
    assert "_format=application/fhir%2Bjson&_pretty=true" in (first.link("next") or "")


@pytest.mark.parametrize("change", ["x", "_count=2&", "active=true&"])
async def test_a_page_link_that_was_changed_is_refused(fhir: Fhir, change: str) -> None:
    await _grow(fhir)
    link = (await fhir.get("Patient?_count=1")).link("next") or ""
    changed = link + "x" if change == "x" else link.replace("_count=1&", change)
    answer = await fhir.get(changed)
    assert (answer.status, answer.expressions) == (400, ["http._page"])


async def test_a_page_link_older_than_its_life_is_gone_and_says_so(serve: Serve) -> None:
    fhir = await serve(link_life=60)
    await _grow(fhir)
    link = (await fhir.get("Patient?_count=1")).link("next") or ""
    await fhir.put_all(patient("d"))
    fhir.clock.now += 3_600_000
    await fhir.put_all(patient("e"))
    answer = await fhir.get(link)
    assert answer.status == 410
    assert answer.json["issue"][0]["code"] == "expired"


async def test_count_zero_and_summary_count_tell_the_total_alone(fhir: Fhir) -> None:
    await _grow(fhir)
    for query in ("_count=0", "_summary=count"):
        answer = await fhir.get(f"Patient?active=true&{query}")
        assert answer.json["total"] == 2
        assert answer.entries == []
        assert answer.link("next") is None


async def test_total_is_accurate_when_asked_for(fhir: Fhir) -> None:
    await _grow(fhir)
    assert (await fhir.get("Patient?active=true&_count=1&_total=accurate")).json["total"] == 2


async def test_includes_follow_their_matches_with_a_mode_of_their_own(fhir: Fhir) -> None:
    await _grow(fhir)
    answer = await fhir.get("Observation?_include=Observation:subject&_sort=_id")
    modes = {entry["resource"]["id"]: entry["search"]["mode"] for entry in answer.entries}
    assert modes == {"o1": "match", "o2": "match", "o3": "match", "a": "include", "b": "include"}
    assert answer.json["total"] == 3
    answer = await fhir.get("Patient?_id=a&_revinclude=Observation:subject")
    assert [entry["search"]["mode"] for entry in answer.entries] == ["match", "include", "include"]


async def test_unknown_parameters_are_refused_by_name(fhir: Fhir) -> None:
    answer = await fhir.get("Patient?colour=red")
    assert (answer.status, answer.expressions) == (400, ["http.colour"])
    assert "colour" in answer.text


async def test_lenient_handling_ignores_and_says_so_in_self_and_in_an_outcome(fhir: Fhir) -> None:
    await _grow(fhir)
    answer = await fhir.get("Patient?colour=red&active=false", prefer="handling=lenient")
    assert answer.status == 200
    assert answer.link("self") == f"{BASE}/Patient?active=false"
    match, said = answer.entries
    assert match["resource"]["id"] == "c"
    assert said["search"]["mode"] == "outcome"
    issues = said["resource"]["issue"]
    assert "colour" in issues[0]["diagnostics"]
    assert {issue["severity"] for issue in issues} <= {"warning", "information"}


async def test_lenience_can_be_the_rule_of_the_server_and_strictness_the_wish_of_the_client(serve: Serve) -> None:
    fhir = await serve(unknown_parameters="lenient")
    assert (await fhir.get("Patient?colour=red")).status == 200
    assert (await fhir.get("Patient?colour=red", prefer="handling=strict")).status == 400


async def test_what_is_empty_is_ignored_and_what_no_resource_can_have_finds_nothing(fhir: Fhir) -> None:
    await _grow(fhir)
    answer = await fhir.get("Patient?name=&active=false")
    assert ([each["resource"].get("id") for each in answer.entries[:-1]], answer.entries[-1]["search"]["mode"]) == (
        ["c"],
        "outcome",
    )
    assert answer.link("self") == f"{BASE}/Patient?active=false"
    for impossible in ("Observation?encounter=Patient/a", "Observation?encounter:Patient=a"):
        (said,) = (await fhir.get(impossible)).entries
        assert "never to Patient" in said["resource"]["issue"][0]["diagnostics"]
        assert (await fhir.get(impossible, prefer="handling=strict")).status == 400
    assert (await fhir.get("Patient?name=", prefer="handling=strict")).status == 400


@pytest.mark.parametrize("url", ["Patient?identifier=", "Observation?encounter=Patient/a"])
async def test_what_would_be_ignored_is_refused_where_something_is_written(fhir: Fhir, url: str) -> None:
    await _grow(fhir)
    assert (await fhir.delete(url)).status in (400, 412)
    assert (await fhir.get("Patient")).json["total"] == 3


@pytest.mark.parametrize(
    "query", ["_count=-1", "_count=x", "birthdate=x", "_summary=x", "_total=x", "_sort=colour", "_elements=,"]
)
async def test_bad_values_are_refused(fhir: Fhir, query: str) -> None:
    answer = await fhir.get(f"Patient?{query}")
    assert answer.status == 400
    assert answer.json["issue"][0]["severity"] == "error"


async def test_a_count_over_the_limit_is_cut_and_self_says_so(serve: Serve) -> None:
    fhir = await serve(max_page_size=2)
    await _grow(fhir)
    answer = await fhir.get("Patient?_count=100")
    assert [entry["search"]["mode"] for entry in answer.entries] == ["match", "match", "outcome"]
    assert answer.link("self") == f"{BASE}/Patient?_count=2"


async def test_elements_are_for_matches_and_not_for_includes(fhir: Fhir) -> None:
    await _grow(fhir)
    answer = await fhir.get("Observation?_id=o1&_include=Observation:subject&_elements=status")
    match, included = answer.resources
    assert match.keys() == {"resourceType", "id", "meta", "status", "code"}
    assert match["meta"]["tag"][0]["code"] == "SUBSETTED"
    assert "name" in included
    assert "tag" not in included["meta"]


async def test_summary_cuts_matches(fhir: Fhir) -> None:
    await fhir.put_all(patient("a", active=True, maritalStatus={"text": "m"}))
    (found,) = (await fhir.get("Patient?_summary=true")).resources
    assert "maritalStatus" not in found
    assert (await fhir.get("Patient?_summary=false")).resources[0]["maritalStatus"] == {"text": "m"}


async def test_summary_text_cannot_be_combined_with_includes(fhir: Fhir) -> None:
    assert (await fhir.get("Observation?_summary=text&_include=Observation:subject")).status == 400


async def test_contained_matches_come_as_their_container_or_by_themselves(fhir: Fhir) -> None:
    inner = [patient("p", name=[{"family": "Inner"}]), patient("q", name=[{"family": "Other"}])]
    await fhir.put_all(
        observation("o", subject="#p", contained=inner, note=[{"authorReference": {"reference": "#q"}, "text": "x"}])
    )
    container = await fhir.get("Patient?family=inner&_contained=true")
    assert [entry["fullUrl"] for entry in container.entries] == [f"{BASE}/Observation/o"]
    itself = await fhir.get("Patient?family=inner&_contained=true&_containedType=contained")
    assert [entry["fullUrl"] for entry in itself.entries] == [f"{BASE}/Observation/o#p"]
    assert itself.resources == [inner[0]]
    twice = await fhir.get("Patient?family=inner,other&_contained=true")
    assert len(twice.entries) == 1


async def test_explain_is_for_administrators(fhir: Fhir, monkeypatch: pytest.MonkeyPatch) -> None:
    await _grow(fhir)
    plan = await fhir.get("Patient?active=true&__explain=true")
    assert plan.status == 200
    assert plan.json
    monkeypatch.setattr(entrance, "authorize", lambda server, request: (Caller(), entrance.Open()))
    assert (await fhir.get("Patient?active=true&__explain=true")).status == 403


async def test_bytes_of_resources_are_copied_as_they_are(fhir: Fhir) -> None:
    body = (
        b'{"resourceType":"Observation","id":"o","status":"final","code":{"text":"x"},"valueQuantity":{"value":1.200}}'
    )
    await fhir.put("Observation/o", body)
    assert b'"valueQuantity":{"value":1.200}' in (await fhir.get("Observation?_id=o")).body


async def test_page_links_hold_on_another_worker(fhir: Fhir) -> None:
    await _grow(fhir)
    link = (await fhir.get("Patient?_count=1")).link("next") or ""
    tenants = fhir.server.tenants
    other = Fhir(
        replace(fhir.server, tenants=type(tenants)(tenants._stores, fhir.server.settings, fhir.clock)), fhir.clock
    )
    assert (await other.get(link)).status == 200


async def test_lists_of_thousands_of_values_are_one_search(fhir: Fhir) -> None:
    await _grow(fhir)
    many = ",".join(f"x{number}" for number in range(4_000))
    assert (await fhir.get(f"Patient?identifier={many},1")).ids == ["a"]
    assert (await fhir.get(f"Patient?identifier={many},{many}")).status in (400, 403)


async def test_list_parameter_finds_what_a_list_names(fhir: Fhir) -> None:
    await _grow(fhir)
    await fhir.put_all(
        resource("List", "l", status="current", mode="working", entry=[{"item": {"reference": "Patient/b"}}])
    )
    assert (await fhir.get("Patient?_list=l")).ids == ["b"]


async def test_includes_that_were_cut_are_said_to_be(serve: Serve) -> None:
    fhir = await serve(max_includes=2)
    await fhir.put_all(patient("a"), *(observation(f"o{number}", subject="Patient/a") for number in range(5)))
    answer = await fhir.get("Patient?_revinclude=Observation:subject")
    modes = [entry["search"]["mode"] for entry in answer.entries]
    assert modes == ["match", "include", "include", "outcome"]
    assert answer.resources[-1]["issue"][0]["severity"] == "warning"


@pytest.mark.parametrize(
    "url",
    [
        "QuestionnaireResponse?questionnaire.title=x",
        "Questionnaire?_has:QuestionnaireResponse:questionnaire:status=completed",
        "QuestionnaireResponse?_filter=questionnaire.title eq x",
    ],
)
async def test_a_chain_over_canonicals_says_that_it_finds_nothing(fhir: Fhir, url: str) -> None:
    (found,) = (await fhir.get(url)).entries
    assert found["search"]["mode"] == "outcome"
    assert "questionnaire of QuestionnaireResponse holds canonical URLs" in str(found["resource"]["issue"])
