"""The flow as an attacker meets it."""

import asyncio
import re
import ssl
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest

from fhir_server.auth.clients import Client, save_client
from fhir_server.auth.users import new_user, save_user
from fhir_server.serving.tls import context_of, with_certificate
from fhir_server.settings import Settings
from tests.conformance.smart.conftest import BASE, PASSWORD, PUBLIC, REDIRECT, VERIFIER, Ehr, started
from tests.conformance.smart.requirements import requirement

FOREIGN: list[dict[str, str]] = [
    {"sec-fetch-site": "cross-site"}, {"sec-fetch-site": "same-site"}, {"origin": "https://evil.example"},
    {"origin": "null"}, {"origin": "http://ehr.example.evil.example"},
]  # fmt: skip


async def form_of(ehr: Ehr, scope: str = "user/*.rs") -> dict[str, str]:
    """Walk to the page of consent; return its hidden fields and ticks."""
    answer = await ehr.asked(scope)
    await ehr.walked(answer, decision="deny")
    page = await ehr.http.get((await ehr.asked(scope)).headers["location"])
    tags = [dict(re.findall(r'(\w+)="([^"]*)"', tag)) for tag in re.findall(r"<input[^>]*>", page.text)]
    return {tag["name"]: tag["value"] for tag in tags} | {"decision": "allow"}


@requirement("231")
async def test_connections_are_of_tls_1_2_or_later(tmp_path: Path) -> None:
    settings = with_certificate(Settings(data_dir=tmp_path, tls_self_signed=True, tls_minimum="1.2"))
    context = context_of(settings)
    assert context is not None and context.minimum_version == ssl.TLSVersion.TLSv1_2
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0, ssl=context)
    port = server.sockets[0].getsockname()[1]
    spoken = []
    for newest in (ssl.TLSVersion.TLSv1_3, ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_1):
        client = ssl.create_default_context()
        client.check_hostname, client.verify_mode = False, ssl.CERT_NONE
        client.set_ciphers("ALL:@SECLEVEL=0")
        with pytest.warns(DeprecationWarning) if newest is ssl.TLSVersion.TLSv1_1 else nullcontext():
            client.minimum_version = ssl.TLSVersion.TLSv1_1 if newest is ssl.TLSVersion.TLSv1_1 else newest
            client.maximum_version = newest
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=client)
            spoken.append(newest)
            writer.close()
        except (ssl.SSLError, OSError):
            pass
    server.close()
    assert spoken == [ssl.TLSVersion.TLSv1_3, ssl.TLSVersion.TLSv1_2]


@pytest.mark.parametrize("headers", FOREIGN)
async def test_forms_of_other_pages_are_refused(ehr: Ehr, headers: dict[str, str]) -> None:
    """Signing a victim in as the attacker, deciding for them, ending access or signing out."""
    form = await form_of(ehr)
    for url, data in (
        ("sign-in", {"name": "doc", "password": PASSWORD}), ("consent", form), ("manage", form), ("sign-out", form),
        ("password", form | {"password": "x" * 20, "again": "x" * 20}),
    ):  # fmt: skip
        answer = await ehr.http.post(f"/auth/{url}", data=data, headers=headers)
        assert (url, answer.status_code, "set-cookie" in answer.headers) == (url, 403, False)


async def test_a_decision_takes_the_secret_of_the_page(ehr: Ehr) -> None:
    form = await form_of(ehr)
    for other in ("", "guess", "é", form["form"][:-1]):
        answer = await ehr.http.post("/auth/consent", data=form | {"form": other})
        assert (answer.status_code, "location" in answer.headers) == (400, False)
    async with ehr.browser() as victim:
        await victim.granted("user/*.rs", "clerk")
        answer = await victim.http.post("/auth/consent", data=form)
        assert answer.status_code == 400, "the secret of one session is nothing in another"
    assert "code=" in (await ehr.http.post("/auth/consent", data=form)).headers["location"]


async def test_consent_gives_no_more_than_was_asked_for(ehr: Ehr) -> None:
    form = await form_of(ehr, "user/Patient.rs")
    more = {"scope-8": "user/*.cruds", "scope-9": "system/*.cruds", "scope-7": "__launch", "patient": "bob"}
    answer = await ehr.http.post("/auth/consent", data=form | more)
    code = dict(parse_qsl(urlsplit(answer.headers["location"]).query))["code"]
    body = (await ehr.redeemed(code)).json()
    assert (body["scope"], "patient" in body) == ("user/Patient.rs", False)


async def test_a_patient_cannot_choose_another_patient(ehr: Ehr) -> None:
    answer = await ehr.asked("patient/*.rs")
    told = await ehr.walked(answer, "ann")
    body = (await ehr.redeemed(told["code"])).json()
    assert body["patient"] == "ann"
    page = await ehr.http.get((await ehr.asked("patient/*.rs")).headers["location"] + "&patient=bob&find=Baker")
    assert "Baker" not in page.text and 'value="bob"' not in page.text


async def test_pages_cannot_be_framed_nor_run_what_others_wrote(ehr: Ehr) -> None:
    hostile = Client("hostile-app", '<script>alert(1)</script>"', redirect_uris=(REDIRECT,), scopes="user/*.rs")
    await save_client(ehr.desk, hostile)
    answer = await ehr.asked("user/*.rs", hostile, login_hint="<img src=x onerror=alert(1)>")
    page = await ehr.http.get(answer.headers["location"])
    for shown in (await ehr.http.get(page.headers["location"]), await ehr.http.get("/auth/authorize?client_id=<b>")):
        assert "<script>alert" not in shown.text and "<img" not in shown.text and "<b>" not in shown.text
        policy = shown.headers["content-security-policy"]
        assert "frame-ancestors 'none'" in policy and "default-src 'none'" in policy and "form-action 'self'" in policy
        assert (shown.headers["x-frame-options"], shown.headers["x-content-type-options"]) == ("DENY", "nosniff")
        assert shown.headers["cache-control"] == "no-store"


async def test_a_session_is_new_at_each_sign_in(ehr: Ehr) -> None:
    """A cookie that somebody planted is worth nothing, before and after."""
    ehr.http.cookies.set("fhir-session", "planted", domain="ehr.example", path="/")
    await ehr.granted("user/*.rs")
    first = ehr.http.cookies["fhir-session"]
    assert first != "planted"
    answer = await ehr.http.post("/auth/sign-in", data={"name": "doc", "password": PASSWORD})
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie and "SameSite=lax" in cookie and first not in cookie
    async with ehr.browser() as old:
        for planted in (first, "planted"):
            old.http.cookies.set("fhir-session", planted)
            page = await old.http.get("/auth/manage")
            assert page.headers["location"].endswith("/auth/sign-in"), "what was left behind opens nothing"


async def test_over_https_no_other_host_can_plant_a_cookie(tmp_path: Path) -> None:
    async with started(tmp_path, base_url="https://ehr.example/fhir") as ehr:
        answer = await ehr.http.post("/auth/sign-in", data={"name": "doc", "password": PASSWORD})
        cookie = answer.headers["set-cookie"]
        assert cookie.startswith("__Host-fhir-session=") and "Secure" in cookie and "Path=/" in cookie
        value = cookie.partition("=")[2].partition(";")[0]
        planted = await ehr.http.get("/auth/manage", headers={"cookie": f"fhir-session={value}"})
        assert planted.status_code == 303
        held = await ehr.http.get("/auth/manage", headers={"cookie": f"__Host-fhir-session={value}"})
        assert held.status_code == 200


async def test_a_code_serves_one_client_one_address_and_one_time(ehr: Ehr) -> None:
    other = Client("second-app", "Second", redirect_uris=(REDIRECT, f"{REDIRECT}/2"), scopes="user/*.rs")
    await save_client(ehr.desk, other)
    code = (await ehr.walked(await ehr.asked("user/*.rs")))["code"]
    for changes in ({"client_id": other.id}, {"redirect_uri": f"{REDIRECT}/2"}, {"redirect_uri": ""},
                    {"code_verifier": VERIFIER[:-1]}, {"code_verifier": ""}):  # fmt: skip
        refused = await ehr.redeemed(code, **changes)
        assert (refused.status_code, refused.json()["error"]) == (400, "invalid_grant"), changes
    answers = await asyncio.gather(*(ehr.redeemed(code) for _ in range(5)))
    good = [answer.json()["access_token"] for answer in answers if answer.status_code == 200]
    assert len(good) <= 1, "of five at the same time one is served at most"
    for token in good:
        assert (await ehr.fhir("Patient/ann", token)).status_code == 401, "and the others end it"


async def test_names_and_clients_cannot_be_told_apart_from_those_that_do_not_exist(ehr: Ehr) -> None:
    async def wrong(name: str) -> str:
        answer = await ehr.http.post("/auth/sign-in", data={"name": name, "password": "wrong password"})
        return answer.text.replace(name, "NAME") + str(answer.status_code)

    await save_user(ehr.desk, replace(new_user("real"), password=ehr.doctor.password))
    await save_user(ehr.desk, new_user("unset"))
    assert await wrong("real") == await wrong("missing") == await wrong("unset")
    form = {"grant_type": "authorization_code", "client_secret": "x"}
    answers = [
        (await ehr.token(form | {"client_id": name})).json() for name in ("secret-app", "missing", "signing-app")
    ]
    assert answers[0] == answers[1] == answers[2]


@pytest.mark.parametrize("url", ["/auth/token", "/auth/introspect", "/auth/revoke", "/auth/authorize", "/auth/sign-in"])
async def test_what_is_too_large_or_malformed_is_refused(ehr: Ehr, url: str) -> None:
    kind = {"content-type": "application/x-www-form-urlencoded"}

    async def endless() -> Any:
        for _ in range(300):
            yield b"a=" + b"x" * 1000

    answers = [
        await ehr.http.post(url, content=b"a=" + b"x" * 200_000, headers=kind),
        await ehr.http.post(url, content=endless(), headers=kind),
        await ehr.http.post(url, content="&".join(f"a{n}=1" for n in range(5000)).encode(), headers=kind),
        await ehr.http.post(url, content=b"\xff\xfe=1&%ff=%fe", headers=kind),
        await ehr.http.post(url, content=b"{}", headers={"content-type": "application/json"}),
        await ehr.http.post(url, content=b"client_id=a&client_id=b", headers=kind),
        await ehr.http.post(url, content=b"client_id=\x00&name=\x00", headers=kind),
    ]
    assert all(400 <= answer.status_code < 500 for answer in answers), [a.status_code for a in answers]
    controls = [await ehr.http.post(url, content=f"name=a%{n:02x}b".encode(), headers=kind) for n in (0, 10, 27, 127)]
    assert [answer.status_code for answer in controls] == [400] * 4


async def test_nothing_that_is_sent_to_a_page_spoils_the_audit(ehr: Ehr) -> None:
    kind = {"content-type": "application/x-www-form-urlencoded"}
    for field in ("name", "password", "client_id", "code", "request"):
        await ehr.http.post(
            "/auth/sign-in", content=f"name=x&{field}x=1&{field}=%00%ff%ed%a0%80".encode(), headers=kind
        )
    await ehr.http.get("/auth/authorize?client_id=%ff%00%ed%a0%80")
    await ehr.http.post("/auth/sign-in", data={"name": "\ud7ff\uffff<script>\u202e", "password": "x"})
    await asyncio.sleep(0.3)
    answer = await ehr.fhir("AuditEvent?_count=100", await ehr.bearer("system/*.rs"))
    assert (answer.status_code, answer.json()["resourceType"]) == (200, "Bundle")


@pytest.mark.parametrize(
    "header", ["Bearer", "Bearer ", "Basic", "Basic x", "Basic /w==", "Basic Og==", "Digest x", "Bearer é", "\x00"]
)
async def test_headers_that_make_no_sense_are_refused(ehr: Ehr, header: str) -> None:
    for url in ("/auth/token", "/auth/introspect", "/auth/revoke", "/auth/launch"):
        request = httpx.Request(
            "POST", f"http://ehr.example{url}", headers={"authorization": header.encode("latin-1")}, data={"token": "x"}
        )
        assert (url, (await ehr.http.send(request)).status_code) in [(url, 401), (url, 400)]
    assert (await ehr.http.get("/fhir/Patient", headers={"authorization": header.encode("latin-1")})).status_code == 401


async def test_a_token_in_the_url_is_no_token(ehr: Ehr) -> None:
    token = await ehr.bearer("user/*.rs", user=ehr.doctor)
    assert (await ehr.fhir(f"Patient/ann?access_token={token}")).status_code == 401


async def test_a_cookie_is_no_token(ehr: Ehr) -> None:
    """Pages of others could send it along."""
    await ehr.granted("user/*.rs")
    assert (await ehr.fhir("Patient/ann")).status_code == 401


async def test_a_request_waits_for_one_decision(ehr: Ehr) -> None:
    form = await form_of(ehr)
    assert "code=" in (await ehr.http.post("/auth/consent", data=form)).headers["location"]
    again = await ehr.http.post("/auth/consent", data=form)
    assert (again.status_code, "location" in again.headers) == (400, False)


async def test_a_token_of_one_tenant_is_nothing_to_another(ehr: Ehr) -> None:
    token = await ehr.bearer("user/*.rs", user=ehr.doctor)
    answer = await ehr.http.get("/t/other/fhir/Patient/ann", headers={"authorization": f"Bearer {token}"})
    assert answer.status_code in (401, 404)
    assert "Able" not in answer.text


async def test_the_host_that_a_client_names_does_not_mislead_others(ehr: Ehr) -> None:
    """Discovery speaks of the host that was asked; a token stands for the tenant, and `aud` holds asker to asked."""
    told = await ehr.http.get("/fhir/.well-known/smart-configuration", headers={"host": "evil.example"})
    assert told.json()["issuer"] == "http://evil.example/fhir"
    assert (await ehr.walked(await ehr.asked("user/*.rs", aud="http://evil.example/fhir")))["error"]
    assert (await ehr.configuration())["issuer"] == BASE, "nothing of it is kept"


async def test_consent_ends_where_the_app_was_registered_alone(ehr: Ehr) -> None:
    page = await ehr.http.get((await ehr.asked("user/*.rs")).headers["location"])
    shown = await ehr.http.get(page.headers["location"])
    assert shown.headers["content-security-policy"].endswith("form-action 'self' https://app.example")
    assert PUBLIC.name in shown.text
