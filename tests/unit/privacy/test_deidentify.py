"""De-identification: what is kept, what is changed, and that nothing of a person is left in Synthea's records."""

import bz2
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from fhir_server.definitions import load
from fhir_server.model.json import decode, encode
from fhir_server.privacy.deidentify import PROFILES, BadRules, Deidentifier, profile, read_rules
from fhir_server.privacy.deidentify.key import Key
from fhir_server.privacy.deidentify.methods import SMALL_ZIPS
from tests.builders import identifier, observation, patient
from tests.shared_data import shared_data

SECRET = b"s" * 32
YEAR = 2026


def worker(*rules: Any, project: str = "") -> Deidentifier:
    found = read_rules(encode({"rules": list(rules)}), load()) if rules else profile("safe-harbor", load())
    return Deidentifier(found, Key(SECRET, project), load(), YEAR)


def rule(path: str, method: str, **options: Any) -> Any:
    return {"path": path, "method": method, **options}


def left(resource: Any, *rules: Any) -> Any:
    found = worker(*rules).resource(decode(encode(resource)))
    found.pop("meta", None)
    return found


def test_what_no_rule_keeps_is_left_out() -> None:
    one = patient("p", gender="male", birthDate="1970-05-06", unheardOf="secret", _gender={"extension": []})
    assert left(one, rule("Patient.gender", "keep")) == {"resourceType": "Patient", "gender": "male"}


def test_keeping_an_element_keeps_what_is_below_but_no_extension() -> None:
    one = observation("o", code={"text": "x", "coding": [{"code": "1", "extension": [{"url": "u", "valueCode": "c"}]}]})
    assert left(one, rule("Observation.code", "keep"))["code"] == {"text": "x", "coding": [{"code": "1"}]}


def test_a_special_rule_wins_over_a_general_one() -> None:
    one = observation("o", code={"text": "x", "coding": [{"code": "1", "display": "d"}]})
    kept = left(one, rule("Observation.code", "keep"), rule("Coding.display", "redact"), rule("string", "redact"))
    assert kept["code"] == {"text": "x", "coding": [{"code": "1"}]}


def test_choices_are_told_apart_by_their_type() -> None:
    rules = (rule("Observation.value.ofType(Quantity)", "keep"),)
    assert left(observation(valueQuantity={"value": 1}), *rules)["valueQuantity"] == {"value": 1}
    assert "valueString" not in left(observation(valueString="Jane"), *rules)


def test_any_expression_may_choose() -> None:
    one = patient("p", telecom=[{"system": "phone", "value": "1"}, {"system": "email", "value": "2"}])
    kept = left(one, rule("Patient.telecom.where(system = 'email')", "keep"))
    assert kept["telecom"] == [{"system": "email", "value": "2"}]


def test_an_extension_that_is_chosen_is_kept_whole() -> None:
    race = {"url": "urn:race", "extension": [{"url": "text", "valueString": "White"}]}
    one = patient("p", extension=[race, {"url": "urn:other", "valueString": "Jane"}])
    assert left(one, rule("Patient.extension.where(url = 'urn:race')", "keep"))["extension"] == [race]


def test_dates_of_a_patient_move_together() -> None:
    rules = (rule("date", "dateShift", days=50), rule("dateTime", "dateShift", days=50))
    born = left(patient("p", birthDate="2000-01-01"), *rules)["birthDate"]
    seen = left(observation(subject="Patient/p", effectiveDateTime="2000-01-11T10:00:00Z"), *rules)["effectiveDateTime"]
    assert born != "2000-01-01"
    assert seen.endswith("T10:00:00Z")
    assert (_day(seen[:10]) - _day(born)).days == 10
    assert 0 < abs((_day(born) - _day("2000-01-01")).days) <= 50
    bundled = left(observation(subject="urn:uuid:p", effectiveDateTime="2000-01-11"), *rules)
    assert bundled["effectiveDateTime"] == seen[:10]


def _day(text: str) -> Any:
    from datetime import date

    return date.fromisoformat(text)


def test_a_date_of_nobody_is_not_kept_by_a_shift() -> None:
    assert "effectiveDateTime" not in left(observation(effectiveDateTime="2000-01-11"), rule("dateTime", "dateShift"))


def test_generalizing_numbers_and_dates() -> None:
    assert left(patient("p", birthDate="1970-05-06"), rule("date", "generalize", to="month"))["birthDate"] == "1970-05"
    quantity = observation(valueQuantity={"value": 87})
    assert left(quantity, rule("Quantity.value", "generalize", to="step", step=10))["valueQuantity"] == {"value": 80}


def test_perturbed_numbers_stay_near_and_the_same() -> None:
    rules = (rule("Quantity.value", "perturb", span=0.1),)
    one = json.loads(
        '{"resourceType":"Observation","subject":{"reference":"Patient/p"},"valueQuantity":{"value":70.50}}'
    )
    text = encode(worker(*rules).resource(decode(encode(one)))["valueQuantity"]).decode()
    value = float(re.findall(r"[\d.]+", text)[0])
    assert 63.4 <= value <= 77.6
    assert encode(worker(*rules).resource(decode(encode(one)))["valueQuantity"]).decode() == text


def test_substituted_hashed_and_encrypted_values() -> None:
    one = patient("p", identifier=identifier("4711"), name=[{"family": "Jane"}])
    rules = (
        rule("Identifier.value", "cryptoHash"),
        rule("Identifier.system", "encrypt"),
        rule("HumanName", "substitute", **{"with": {"text": "someone"}}),
    )
    found = left(one, *rules)
    assert found["name"] == [{"text": "someone"}]
    assert re.fullmatch(r"[0-9a-f]{64}", found["identifier"][0]["value"])
    assert "urn:test" not in json.dumps(found)


def test_projects_cannot_be_linked() -> None:
    one = worker(project="a").resource(patient("p"))["id"]
    assert one == worker(project="a").resource(patient("p"))["id"]
    assert one != worker(project="b").resource(patient("p"))["id"]


@pytest.mark.parametrize(
    ("zip_", "area"), [("02139", "021"), ("02139-4307", "021"), ("03601", "000"), ("59201", "592"), ("SW1A 1AA", None)]
)
def test_safe_harbor_keeps_three_digits_of_a_zip(zip_: str, area: str | None) -> None:
    found = left(patient("p", address=[{"state": "MA", "city": "Boston", "line": ["1 Main St"], "postalCode": zip_}]))
    assert found["address"][0].get("postalCode") == area
    assert set(found["address"][0]) <= {"state", "postalCode"}
    assert len(SMALL_ZIPS) == 17


def test_safe_harbor_tells_no_age_over_89() -> None:
    assert left(patient("p", birthDate="1970-05-06"))["birthDate"] == "1970"
    assert "birthDate" not in left(patient("p", birthDate="1930-05-06"))
    old = {"resourceType": "Condition", "onsetAge": {"value": 95, "code": "a", "system": "http://unitsofmeasure.org"}}
    assert left(old)["onsetAge"]["value"] == 90
    age = observation(code={"coding": [{"system": "http://loinc.org", "code": "30525-0"}]}, valueQuantity={"value": 95})
    assert "valueQuantity" not in left(age)


def test_a_reference_by_search_names_nobody() -> None:
    found = left(observation(performer=[{"reference": "Practitioner?identifier=npi|99", "display": "Dr. Jane"}]))
    assert "performer" not in found


def test_contained_resources_stay_referred_to() -> None:
    one = observation(
        "o", contained=[patient("c", name=[{"family": "Jane"}])], subject="#c", performer=[{"reference": "#c"}]
    )
    found = left(one)
    assert found["subject"] == {"reference": f"#{found['contained'][0]['id']}"}
    assert "Jane" not in json.dumps(found)


def test_what_was_done_stands_in_the_security_labels() -> None:
    labels = worker().resource(patient("p", meta={"security": [{"code": "R"}]}))["meta"]["security"]
    assert [label["code"] for label in labels] == ["R", "PSEUDED", "REDACTED"]


@pytest.mark.parametrize(
    "bad",
    [
        rule("Patient.birthdate", "keep"),
        rule("Nothing.at", "keep"),
        rule("Patient.address.state", "keep"),
        rule("Patient.gender", "shred"),
        rule("Patient.gender", "keep", days=3),
        rule("date", "dateShift", days=0),
        rule("date", "generalize", to="century"),
        rule("Patient.name.where(", "keep"),
        rule("Quantity.value", "perturb"),
        {"method": "keep"},
    ],
)
def test_rules_that_mean_nothing_are_refused(bad: Any) -> None:
    with pytest.raises(BadRules, match="rule 0"):
        worker(bad)


def test_every_profile_can_be_read() -> None:
    for name in PROFILES:
        assert profile(name, load()).name == name


# --- Synthea


def bundles() -> Iterator[Any]:
    for path in sorted(shared_data("synthea").glob("*.json.bz2"))[:12]:
        yield decode(bz2.decompress(path.read_bytes()))


def secrets_of(bundle: Any) -> set[str]:
    """What tells who a patient is: names, streets, cities, numbers, ids."""
    found: set[str] = set()
    for resource in (entry["resource"] for entry in bundle["entry"]):
        if resource["resourceType"] not in ("Patient", "Practitioner"):
            continue
        found |= {each["value"] for each in (*resource.get("identifier", ()), *resource.get("telecom", ()))}
        for name in resource.get("name", ()):
            found |= {name.get("family", ""), *name.get("given", ())}
        for address in resource.get("address", ()):
            found |= {*address.get("line", ()), address.get("city", ""), address.get("postalCode", "")}
        found |= {resource["id"], resource.get("birthDate", "")}
    return {text for text in found if len(text) > 3}


def test_nothing_of_any_synthea_patient_is_left_and_references_resolve() -> None:
    work = worker()
    for bundle in bundles():
        found = work.resource(bundle)
        text = encode(found).decode()
        assert len(found["entry"]) == len(bundle["entry"])
        for secret in secrets_of(bundle):
            assert not re.search(rf"(?<![A-Za-z0-9]){re.escape(secret)}(?![A-Za-z0-9])", text), secret
        assert not re.search(r"\d{4}-\d{2}-\d{2}(?!T00:00:00Z)", re.sub(r"[0-9a-f-]{36}", "", text))
        urls = {entry["fullUrl"] for entry in found["entry"]}
        references = set(re.findall(r'"reference":"(urn:uuid:[^"]+)"', text))
        known = set(re.findall(r'"reference":"(urn:uuid:[^"]+)"', encode(bundle).decode()))
        assert len(references) == len(known)
        assert {each for each in references if each not in urls} == set()


def test_a_patient_stays_the_same_from_call_to_call() -> None:
    bundle = next(bundles())
    assert encode(worker().resource(bundle)) == encode(worker().resource(bundle))
    alone = next(entry["resource"] for entry in bundle["entry"] if entry["resource"]["resourceType"] == "Patient")
    within = [
        e["resource"]["id"] for e in worker().resource(bundle)["entry"] if e["resource"]["resourceType"] == "Patient"
    ]
    assert worker().resource(alone)["id"] in within
