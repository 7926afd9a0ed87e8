"""The authorization request and its answer."""

from dataclasses import replace
from urllib.parse import parse_qsl, urlsplit

import pytest

from fhir_server.auth.clients import Client, find_client, save_client
from fhir_server.auth.records import CODES
from fhir_server.auth.secrets import digest
from tests.conformance.smart.conftest import BASE, CHALLENGE, PUBLIC, REDIRECT, VERIFIER, Ehr
from tests.conformance.smart.requirements import requirement

FORM = {
    "response_type": "code", "client_id": PUBLIC.id, "redirect_uri": REDIRECT, "scope": "user/*.rs", "state": "s1",
    "aud": BASE, "code_challenge": CHALLENGE, "code_challenge_method": "S256",
}  # fmt: skip


@requirement("14", "53", "56", "57", "73", "205", "353", "355")
async def test_a_code_comes_back_for_a_challenge_by_s256(ehr: Ehr) -> None:
    told = await ehr.walked(await ehr.asked("user/*.rs"))
    assert told.keys() == {"code", "state", "iss"}
    assert (await ehr.redeemed(told["code"])).status_code == 200


@requirement("15")
@pytest.mark.parametrize("method", ["plain", "", "s256", "PLAIN", "none"])
async def test_no_other_challenge_is_taken(ehr: Ehr, method: str) -> None:
    told = await ehr.walked(await ehr.asked("user/*.rs", code_challenge_method=method, code_challenge=VERIFIER))
    assert told["error"] == "invalid_request"


@requirement("31")
@pytest.mark.parametrize("verifier", ["", "w" * 64, "v" * 42, CHALLENGE, "v" * 129, "v" * 63 + "!"])
async def test_a_code_is_nothing_without_its_verifier(ehr: Ehr, verifier: str) -> None:
    code = (await ehr.walked(await ehr.asked("user/*.rs")))["code"]
    refused = await ehr.redeemed(code, code_verifier=verifier)
    assert (refused.status_code, refused.json()["error"]) == (400, "invalid_grant")


@requirement("48", "49", "354")
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_an_app_may_ask_by_get_and_by_post(ehr: Ehr, method: str) -> None:
    where = {"params": FORM} if method == "GET" else {"data": FORM}
    answer = await ehr.http.request(method, "/auth/authorize", **where)
    assert answer.status_code == 303, "a browser goes on by GET"
    assert "code" in await ehr.walked(answer)


@requirement("54")
async def test_a_denial_goes_back_to_the_app(ehr: Ehr) -> None:
    told = await ehr.walked(await ehr.asked("user/*.rs"), decision="deny")
    assert told == {"error": "access_denied", "state": "s1", "iss": BASE}


@requirement("59")
@pytest.mark.parametrize("state", ["s1", "a b+c%20&=#?/", "ü€\U0001f600", "x" * 2000, '"<script>'])
@pytest.mark.parametrize("decision", ["allow", "deny"])
async def test_state_comes_back_letter_by_letter(ehr: Ehr, state: str, decision: str) -> None:
    assert (await ehr.walked(await ehr.asked("user/*.rs", state=state), decision=decision))["state"] == state


@requirement("58")
async def test_a_code_lives_for_a_minute(ehr: Ehr) -> None:
    code = (await ehr.walked(await ehr.asked("user/*.rs")))["code"]
    record = await ehr.desk.get(CODES.name, digest(code))
    assert record is not None and isinstance(record.value["expires"], int)
    assert 0 < record.value["expires"] - ehr.desk.now() <= 60_000
    late = replace(ehr.desk, now=lambda: ehr.desk.now() + 60_001)
    assert await late.get(CODES.name, digest(code)) is None


@requirement("96")
@pytest.mark.parametrize("aud", ["", "http://ehr.example", "https://ehr.example/fhir", f"{BASE}/x", "http://evil/fhir"])
async def test_the_audience_is_this_endpoint_and_no_other(ehr: Ehr, aud: str) -> None:
    assert (await ehr.walked(await ehr.asked("user/*.rs", aud=aud)))["error"] == "invalid_request"


@requirement("18")
async def test_an_address_that_is_not_registered_gets_nothing(ehr: Ehr) -> None:
    for uri in (f"{REDIRECT}/", f"{REDIRECT}?a=b", REDIRECT.upper(), "https://app.example.evil.example/callback",
                f"{REDIRECT}#x", "https://app.example/callback/../evil", f"{REDIRECT}%00", "//app.example/callback",
                "https://app.example\\@evil.example/callback", ""):  # fmt: skip
        answer = await ehr.http.get("/auth/authorize", params=FORM | {"redirect_uri": uri})
        assert (uri, answer.status_code, "location" in answer.headers) == (uri, 400, False)


@requirement("145", "129")
async def test_scopes_may_be_granted_in_part(ehr: Ehr) -> None:
    narrow = Client("narrow-app", "Narrow", redirect_uris=(REDIRECT,), scopes="user/Observation.rs")
    await save_client(ehr.desk, narrow)
    told = await ehr.walked(await ehr.asked("user/*.cruds user/Patient.rs user/Observation.sr bad/one", narrow))
    body = (await ehr.redeemed(told["code"], narrow)).json()
    assert body["scope"] == "user/Observation.rs"


@requirement("165")
async def test_a_scope_about_a_patient_asks_for_one_by_itself(ehr: Ehr) -> None:
    grant = await ehr.granted("patient/*.rs", find="Able", patient="ann")
    assert grant["patient"] == "ann"


async def test_a_parameter_that_comes_twice_is_refused(ehr: Ehr) -> None:
    for name in FORM:
        answer = await ehr.http.get("/auth/authorize", params=[*FORM.items(), (name, FORM[name])])
        assert (name, answer.status_code, "location" in answer.headers) == (name, 400, False)


@requirement("206")
async def test_prompt_and_max_age_are_honoured(ehr: Ehr) -> None:
    assert (await ehr.walked(await ehr.asked("user/*.rs", prompt="none")))["error"] == "login_required"
    await ehr.granted("user/*.rs")
    ehr.steps.clear()
    assert (await ehr.walked(await ehr.asked("user/*.rs", prompt="none")))["error"] == "consent_required"
    await ehr.granted("user/*.rs")
    assert ehr.steps == ["/auth/consent"], "who has signed in need not again"
    for more in ({"prompt": "login"}, {"prompt": "login consent"}):
        ehr.steps.clear()
        await ehr.walked(await ehr.asked("user/*.rs", **more))
        assert ehr.steps[0] in ("/auth/sign-in", "/auth/consent")
    for bad in ("none login", "nonsense"):
        assert (await ehr.walked(await ehr.asked("user/*.rs", prompt=bad)))["error"] == "invalid_request"
    for name in ("request", "request_uri"):
        told = await ehr.walked(await ehr.asked("user/*.rs", **{name: "x"}))
        assert told["error"] == f"{name}_not_supported"
    assert (await ehr.walked(await ehr.asked("user/*.rs", response_mode="fragment")))["error"]


async def test_a_fresh_sign_in_cannot_be_skipped(ehr: Ehr) -> None:
    """Neither by going to the page of consent at once, nor with a session from before."""
    await ehr.granted("user/*.rs")
    later = replace(ehr.desk, now=lambda: ehr.desk.now() + 5_000)
    service = ehr.app.authorization
    assert service is not None
    before = service.desk_of

    async def in_five_seconds(tenant: str, base: str) -> object:
        return later

    service.desk_of = in_five_seconds  # type: ignore[assignment]
    try:
        for more in ({"prompt": "login"}, {"max_age": "3"}, {"max_age": "0"}):
            answer = await ehr.asked("user/*.rs", **more)
            page = await ehr.http.get(answer.headers["location"])
            assert urlsplit(page.headers["location"]).path == "/auth/sign-in"
        answer = await ehr.asked("user/*.rs", max_age="60")
        assert (await ehr.http.get(answer.headers["location"])).status_code == 200
    finally:
        service.desk_of = before


async def test_a_hint_fills_in_the_name(ehr: Ehr) -> None:
    answer = await ehr.asked("user/*.rs", login_hint='d"><b>oc')
    page = await ehr.http.get((await ehr.http.get(answer.headers["location"])).headers["location"])
    assert 'value="d&#34;&gt;&lt;b&gt;oc"' in page.text


async def test_an_app_of_the_house_asks_nobody(ehr: Ehr) -> None:
    house = Client("house-app", "Ours", redirect_uris=(REDIRECT,), scopes="user/*.rs patient/*.rs", trusted=True)
    await save_client(ehr.desk, house)
    assert "code" in await ehr.walked(await ehr.asked("user/*.rs", house))
    assert ehr.steps == ["/auth/sign-in"]
    told = await ehr.walked(await ehr.asked("user/*.rs", house, prompt="none"))
    assert "code" in told
    told = await ehr.walked(await ehr.asked("patient/*.rs", house, prompt="none"))
    assert told["error"] == "interaction_required", "the patient would have to be chosen"


async def test_a_client_that_is_switched_off_is_gone_at_once(ehr: Ehr) -> None:
    passing = Client("passing-app", "Passing", redirect_uris=(REDIRECT,), scopes="user/*.rs")
    await save_client(ehr.desk, passing)
    answer = await ehr.asked("user/*.rs", passing)
    told = await ehr.walked(answer)
    await save_client(ehr.desk, replace(passing, active=False))
    assert await find_client(ehr.desk, passing.id) is None
    assert (await ehr.redeemed(told["code"], passing)).json()["error"] == "invalid_client"
    assert (await ehr.asked("user/*.rs", passing)).status_code == 400


async def test_who_answers_is_told(ehr: Ehr) -> None:
    """`iss` in the answer is what keeps an app from giving the code of one server to another (RFC 9207)."""
    told = (await ehr.configuration())["authorization_response_iss_parameter_supported"]
    location = (await ehr.asked("user/*.rs", aud="x")).headers["location"]
    assert (told, dict(parse_qsl(urlsplit(location).query))["iss"]) == (True, BASE)
