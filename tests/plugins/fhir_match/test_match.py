"""`$match` finds who is meant, says how sure it is and why, and nobody who may not be seen."""

import httpx
import pytest

from tests.plugins.fhir_match.conftest import found, patient, stored

MRN = [{"system": "http://hospital.example/mrn", "value": "A-12 345"}]
PHONE = [{"system": "phone", "value": "+49 30 1234567"}]
HOME = [{"line": ["Lange Str. 5"], "postalCode": "10115", "city": "Berlin"}]


async def test_same_identifier_and_name_is_certain(http: httpx.AsyncClient) -> None:
    await stored(http, patient("Schulz", "Bernd", "1950-01-01"))
    meant = await stored(http, patient(identifier=MRN))
    [match] = await found(http, patient(identifier=MRN))
    assert (match["id"], match["grade"]) == (meant, "certain")
    assert match["levels"]["identifier"] == "same"
    assert match["score"] > 0.99


async def test_each_field_is_explained_and_the_weights_make_the_score(http: httpx.AsyncClient) -> None:
    await stored(http, patient(gender="female", telecom=PHONE, address=HOME))
    [match] = await found(http, patient(gender="female", telecom=PHONE, address=HOME))
    assert match["levels"] == {
        "family": "exact", "given": "exact", "birthDate": "exact", "gender": "same", "telecom": "same",
        "address": "same",
    }  # fmt: skip
    bits = sum(match["weights"].values()) - 13.2877  # log2 of the least population
    assert match["score"] == pytest.approx(1 / (1 + 2**-bits), abs=0.0001)


@pytest.mark.parametrize(
    ("written", "level"),
    [
        (patient("Mayer"), "similar"), (patient("Meier"), "similar"), (patient("Meyre"), "similar"),
        (patient("Anna", "Meyer"), "swapped"), (patient("Meyer-Schmidt"), "exact"), (patient("MEYER"), "exact"),
    ],
)  # fmt: skip
async def test_a_misspelt_family_name_is_still_found(http: httpx.AsyncClient, written: dict, level: str) -> None:
    meant = await stored(http, patient(gender="female", telecom=PHONE))
    [match] = await found(http, {**written, "gender": "female", "telecom": PHONE})
    assert (match["id"], match["levels"]["family"]) == (meant, level)
    assert match["grade"] in ("certain", "probable")


async def test_a_name_that_sounds_alike_is_still_found(http: httpx.AsyncClient) -> None:
    meant = await stored(http, patient("Philipps", telecom=PHONE))
    [match] = await found(http, patient("Filips", telecom=PHONE))
    assert (match["id"], match["levels"]["family"]) == (meant, "sounds")


@pytest.mark.parametrize(
    ("born", "level"),
    [("1980-12-03", "swapped"), ("1980-03-21", "swapped"), ("1980-03-13", "close"), ("1981-03-12", "close"),
     ("1980-03", "month"), ("1980", "year")],
)  # fmt: skip
async def test_a_mistaken_birth_date_is_still_found(http: httpx.AsyncClient, born: str, level: str) -> None:
    meant = await stored(http, patient(address=HOME))
    [match] = await found(http, patient(born=born, address=HOME))
    assert (match["id"], match["levels"]["birthDate"]) == (meant, level)
    assert match["grade"] != "certainly-not"


async def test_a_twin_is_never_more_than_possible(http: httpx.AsyncClient) -> None:
    await stored(http, patient(given="Maria", telecom=PHONE, address=HOME))
    [match] = await found(http, patient(given="Anna", telecom=PHONE, address=HOME))
    assert (match["grade"], match["score"], match["levels"]["given"]) == ("possible", 0.6, "different")


async def test_only_certain_matches_gives_none_where_two_come_into_question(http: httpx.AsyncClient) -> None:
    await stored(http, patient(telecom=PHONE))
    assert len(await found(http, patient(telecom=PHONE), onlyCertainMatches=True)) == 1
    await stored(http, patient(telecom=PHONE, gender="female"))
    assert await found(http, patient(telecom=PHONE), onlyCertainMatches=True) == []
    assert len(await found(http, patient(telecom=PHONE))) == 2


async def test_a_record_that_another_stands_for_is_no_match(http: httpx.AsyncClient) -> None:
    kept = await stored(http, patient(identifier=MRN))
    link = [{"other": {"reference": f"Patient/{kept}"}, "type": "replaced-by"}]
    await stored(http, patient(identifier=MRN, active=False, link=link))
    assert [each["id"] for each in await found(http, patient(identifier=MRN))] == [kept]


async def test_answers_are_in_order_and_as_many_as_asked_for(http: httpx.AsyncClient) -> None:
    for number in range(4):
        await stored(http, patient(gender="female" if number % 2 else "male"))
    matches = await found(http, patient(gender="female"), count=3)
    scores = [each["score"] for each in matches]
    assert len(matches) == 3
    assert scores == sorted(scores, reverse=True)
    assert matches[0]["levels"]["gender"] == "same"


async def test_nobody_is_an_empty_searchset(http: httpx.AsyncClient) -> None:
    body = {"resourceType": "Parameters", "parameter": [{"name": "resource", "resource": patient()}]}
    answer = (await http.post("/Patient/$match", json=body)).json()
    assert (answer["type"], answer["total"], answer.get("entry")) == ("searchset", 0, None)


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        ({"resourceType": "Patient"}, 400, "nothing to look a patient up by"),
        ({"resourceType": "Patient", "gender": "female", "birthDate": "1980"}, 400, "nothing to look a patient up by"),
        ({"resourceType": "Patient", "birthDate": "yesterday", "name": [{"family": "X"}]}, 400, "birthDate"),
        ({"resourceType": "Patient", "name": "X"}, 400, "name"),
        ({"resourceType": "Person", "name": [{"family": "X"}]}, 400, "Patient"),
        ({"resourceType": "Parameters", "parameter": []}, 400, "resource"),
        ({"resourceType": "Parameters", "parameter": [{"name": "resource", "resource": patient()},
          {"name": "count", "valueInteger": 0}]}, 400, "count=0"),
        ({"resourceType": "Parameters", "parameter": [{"name": "patient", "resource": patient()}]}, 400, "patient"),
        ({"resourceType": "Patient", "identifier": [{"value": "a,b|c$d\\"}], "telecom": [{"value": ",|"}]}, 200, ""),
        ({"resourceType": "Patient", "name": [{"text": "王 小明"}], "birthDate": "1980-01-01"}, 200, ""),
    ],
)  # fmt: skip
async def test_bad_input_is_answered_with_what_is_wrong(
    http: httpx.AsyncClient, body: dict, status: int, said: str
) -> None:
    answer = await http.post("/Patient/$match", json=body)
    assert answer.status_code == status, answer.text
    assert said in answer.text


async def test_a_mistaken_birth_date_is_never_certain_without_an_identifier(http: httpx.AsyncClient) -> None:
    await stored(http, patient(identifier=MRN, address=HOME, telecom=PHONE))
    [match] = await found(http, patient(born="1980-12-03", address=HOME, telecom=PHONE))
    assert match["grade"] == "probable"
    [match] = await found(http, patient(born="1980-12-03", identifier=MRN))
    assert match["grade"] == "certain"
