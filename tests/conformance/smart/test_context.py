"""Launch from an EHR, and the context that comes with a token."""

import json
from typing import Any

import pytest

from fhir_server.auth.clients import Client, save_client
from tests.conformance.smart.conftest import BASE, LAUNCH_URI, PUBLIC, REDIRECT, SERVICE, Ehr
from tests.conformance.smart.requirements import requirement

WIDE = "launch patient/*.rs"
ITEMS = [
    {"reference": "Observation/ann-lab"},
    {"reference": "Observation/ann-pulse", "role": "https://ehr.example/role/shown"},
    {"canonical": "http://example.org/Questionnaire/phq-9|1.0", "type": "Questionnaire"},
    {"identifier": {"system": "urn:x", "value": "1"}, "type": "ImagingStudy", "role": "launch"},
    {"reference": "Patient/ann", "role": "https://ehr.example/role/shown"},
]


@requirement("149", "168", "169", "170", "171", "172", "173", "174", "176", "352", "359", "361", "362", "83", "361")
async def test_an_app_that_the_ehr_launches_learns_what_the_ehr_said(ehr: Ehr) -> None:
    context = {
        "patient": "ann", "encounter": "visit", "fhirContext": ITEMS, "need_patient_banner": False,
        "intent": "reconcile-medications", "tenant": "ward-7", "__color": "blue",
    }  # fmt: skip
    body = await ehr.launched(context, f"{WIDE} launch/encounter")
    assert ehr.steps == ["/auth/sign-in", "/auth/consent"], "nothing is left to choose"
    assert {name: body[name] for name in context} == context
    assert (await ehr.fhir("Patient/bob", body["access_token"])).status_code == 404
    assert (await ehr.fhir("Observation/ann-lab", body["access_token"])).status_code == 200


@requirement("175", "360")
async def test_an_app_can_look_like_the_ehr(ehr: Ehr) -> None:
    body = await ehr.launched({"patient": "ann"}, WIDE)
    style = await ehr.http.get(body["smart_style_url"])
    assert (style.status_code, style.headers["content-type"]) == (200, "application/json")
    assert style.json()["color_background"].startswith("#")
    own = await ehr.launched({"patient": "ann", "smart_style_url": "https://ehr.example/style.json"}, WIDE)
    assert own["smart_style_url"] == "https://ehr.example/style.json"


@requirement("363", "364", "167", "171")
async def test_an_app_that_launches_itself_lets_the_user_choose(ehr: Ehr) -> None:
    body = await ehr.granted("launch/patient launch/encounter", find="Able", patient="ann", encounter="visit")
    assert (body["patient"], body["encounter"], body["need_patient_banner"]) == ("ann", "visit", True)
    none = await ehr.granted("launch/patient launch/encounter", find="Able", patient="ann", encounter="-")
    assert "encounter" not in none


@requirement("164")
async def test_a_launch_without_a_patient_lets_the_user_choose_one(ehr: Ehr) -> None:
    body = await ehr.launched({"intent": "x"}, WIDE, find="Able", patient="ann")
    assert (body["patient"], body["intent"]) == ("ann", "x")
    free = await ehr.launched({"intent": "x"}, "launch user/*.rs")
    assert "patient" not in free


@requirement("159", "154")
async def test_a_role_that_is_not_known_gets_the_context_all_the_same(ehr: Ehr) -> None:
    body = await ehr.granted("launch/patient?role=https://x.example/y", find="Able", patient="ann")
    assert body["patient"] == "ann"
    more = await ehr.launched({"patient": "ann", "fhirContext": ITEMS[:1]}, f"{WIDE} launch/imagingstudy")
    assert more["fhirContext"] == ITEMS[:1]


@requirement("177", "178", "179", "180", "181", "182", "183", "184", "185", "186", "187", "188", "189", "190", "192")
@pytest.mark.parametrize(
    ("items", "good"),
    [
        (ITEMS, True),
        ([{"canonical": "http://example.org/ValueSet/x"}], True),
        ([{"identifier": {"value": "1"}}], True),
        ([{"reference": "Task/1", "role": "launch"}] * 1, None),
        ([{"type": "Observation"}], False),
        ([{"role": "launch"}], False),
        ([{"reference": "Patient/ann"}], False),
        ([{"reference": "Encounter/visit", "role": "launch"}], False),
        ([{"identifier": {"value": "1"}, "type": "Patient"}], False),
        ([{"reference": "Observation/ann-lab", "role": ""}], False),
        ([{"reference": "Observation/ann-lab", "role": "shown"}], False),
        ([{"reference": "https://else.example/Observation/1"}], False),
        ([{"reference": "Observation/ann-lab/_history/1"}], False),
        ([{"reference": 1}], False),
        (["Observation/ann-lab"], False),
        ({"reference": "Observation/ann-lab"}, False),
    ],
)
async def test_items_of_context_follow_the_rules(ehr: Ehr, items: Any, good: bool | None) -> None:
    answer = await ehr.launch({"fhirContext": items})
    assert answer.status_code == (201 if good else 400), answer.text


@requirement("194")
async def test_an_intent_is_handed_on_as_it_is(ehr: Ehr) -> None:
    """What it means is between app and EHR."""
    intent = 'order: "stat" – ünique'
    assert (await ehr.launched({"patient": "ann", "intent": intent}, WIDE))["intent"] == intent


@pytest.mark.parametrize(
    "context",
    [
        {"patient": "no such"}, {"patient": 1}, {"patient": "../x"}, {"need_patient_banner": "yes"}, {"intent": ""},
        {"access_token": "mine"}, {"scope": "system/*.cruds"}, {"token_type": "x"}, {"id_token": "x"}, [], "x",
        {"__big": "x" * 9000}, {"smart_style_url": "javascript:alert(1)"}, {"iss": "x"},
    ],
)  # fmt: skip
async def test_a_context_cannot_say_what_is_not_context(ehr: Ehr, context: Any) -> None:
    assert (await ehr.launch(context)).status_code == 400


async def test_who_launches_must_be_able_to_see_what_it_is_about(ehr: Ehr) -> None:
    narrow = await ehr.bearer("__launch patient/*.rs", user=ehr.doctor, patient="ann")
    assert (await ehr.launch({"patient": "ann"}, narrow)).status_code == 201
    hidden, absent = await ehr.launch({"patient": "bob"}, narrow), await ehr.launch({"patient": "zed"}, narrow)
    assert (hidden.status_code, hidden.text.replace("bob", "zed")) == (400, absent.text)


async def test_a_launch_takes_the_scope_and_a_token(ehr: Ehr) -> None:
    without = await ehr.bearer("user/*.cruds", user=ehr.doctor)
    refused = await ehr.launch({}, without)
    assert (refused.status_code, refused.json()["error"]) == (403, "insufficient_scope")
    nobody = await ehr.http.post("/auth/launch", json={"client_id": PUBLIC.id})
    assert (nobody.status_code, nobody.headers["www-authenticate"]) == (401, 'Bearer realm="oauth"')
    assert (await ehr.launch({}, client_id="nobody")).status_code == 400
    assert (await ehr.launch({}, more=1)).status_code == 400


async def test_a_launch_is_for_one_app_one_user_and_one_time(ehr: Ehr) -> None:
    made = (await ehr.launch({"patient": "ann"})).json()
    assert made["launch_url"].startswith(f"{LAUNCH_URI}?iss=http%3A%2F%2Fehr.example%2Ffhir&launch=")
    other = Client("thief-app", "Thief", redirect_uris=(REDIRECT,), scopes="patient/*.rs launch")
    await save_client(ehr.desk, other)
    async with ehr.browser() as thief:
        assert (await thief.walked(await thief.asked(WIDE, other, launch=made["launch"])))["error"] == "invalid_request"
    async with ehr.browser() as clerk:
        told = await clerk.walked(await clerk.asked(WIDE, launch=made["launch"]), "clerk")
        assert told["error"] == "invalid_request"
    assert "code" in await ehr.walked(await ehr.asked(WIDE, launch=made["launch"]))
    again = await ehr.walked(await ehr.asked(WIDE, launch=made["launch"]))
    assert again["error"] == "invalid_request"
    assert (await ehr.walked(await ehr.asked(WIDE, launch="guess")))["error"] == "invalid_request"


async def test_a_patient_is_not_launched_into_the_record_of_another(ehr: Ehr) -> None:
    service = await ehr.bearer("__launch system/*.rs", SERVICE)
    for user in ("ann", ""):
        made = await ehr.launch({"patient": "bob"}, service, **({"user": user} if user else {}))
        async with ehr.browser() as browser:
            told = await browser.walked(await browser.asked(WIDE, launch=made.json()["launch"]), "ann")
            assert told["error"] == "invalid_request"
    assert (await ehr.launch({}, service, user="nobody at all")).status_code == 400


async def test_a_service_with_the_scope_makes_launches_for_a_user(ehr: Ehr) -> None:
    token = (await ehr.served("system/*.rs __launch")).json()["access_token"]
    made = await ehr.launch({"patient": "ann"}, token, user="doc")
    assert made.status_code == 201
    told = await ehr.walked(await ehr.asked(WIDE, launch=made.json()["launch"]))
    body = (await ehr.redeemed(told["code"])).json()
    assert (body["patient"], json.dumps(body).count(BASE)) == ("ann", 0)
