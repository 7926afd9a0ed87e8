"""The pages, and fhirclient in JavaScript, in headless Chromium as wide as a phone."""

import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest

from tests.conformance.smart.conftest import CHALLENGE, PUBLIC
from tests.conformance.smart.signing import EC, assertion
from tests.conformance.smart.walking import PASSWORD
from tests.integration.running import Running
from tests.integration.smart.conftest import MODULES, REDIRECT, SERVICE, Site

pytestmark = pytest.mark.xdist_group("smart-clients")
with_fhirclient = pytest.mark.skipif(
    not (MODULES / "fhirclient").is_dir(), reason="run `npm ci` in tests/integration first"
)


def authorize(base: str, scope: str, **changes: str) -> str:
    query = {
        "response_type": "code", "client_id": PUBLIC.id, "redirect_uri": REDIRECT, "scope": scope, "state": "s1",
        "aud": base, "code_challenge": CHALLENGE, "code_challenge_method": "S256",
    } | changes  # fmt: skip
    return f"{base.removesuffix('/fhir')}/auth/authorize?{urlencode(query)}"


async def sign_in(page: Any, name: str = "doc") -> None:
    await page.get_by_label("Name").fill(name)
    await page.get_by_label("Password").fill(PASSWORD)
    await page.get_by_role("button", name="Sign in").first.click()


async def choose(page: Any, name: str) -> None:
    await page.get_by_label("Name of the patient").fill(name)
    await page.get_by_role("button", name="Search").click()
    await page.get_by_role("radio").first.check()
    await page.get_by_role("button", name="Go on").click()


async def fits(page: Any) -> bool:
    """Tell whether nothing sticks out to the side."""
    sizes = [await page.locator("html").bounding_box()] + [
        await box.bounding_box() for box in await page.locator("main *:visible").all()
    ]
    return all(size is None or size["x"] + size["width"] <= 375.5 for size in sizes)


async def test_a_user_decides_on_a_phone_without_scripts(smart_server: Running, bare_page: Any, tmp_path: Path) -> None:
    page, told = bare_page, list[str]()

    async def caught(route: Any) -> None:
        told.append(route.request.url)
        await route.fulfill(body="back at the app")

    await page.route(f"{REDIRECT}**", caught)
    scope = "launch/patient patient/Observation.rs patient/Patient.rs openid fhirUser offline_access"
    await page.goto(authorize(smart_server.base, scope))
    assert await fits(page)
    await sign_in(page)
    await choose(page, "Able")
    await page.get_by_role("heading", name="Allow Growth Chart").wait_for()
    text = await page.locator("main").inner_text()
    assert "Ann Able" in text and "measurements and laboratory results" in text and "app.example" in text
    assert await fits(page)
    await page.screenshot(path=tmp_path / "consent.png", full_page=True)
    assert await page.evaluate("document.title") == "Allow Growth Chart?"
    for box in await page.get_by_role("checkbox").all():
        assert await box.is_checked()
    await page.get_by_label("name, address").uncheck()
    await page.get_by_role("button", name="Allow", exact=True).click()
    await page.get_by_text("back at the app").wait_for()
    code = re.search(r"[?&]code=([^&]+)", told[0])
    assert code, told
    form = {"grant_type": "authorization_code", "code": code[1], "redirect_uri": REDIRECT, "client_id": PUBLIC.id,
            "code_verifier": "v" * 64}  # fmt: skip
    body = httpx.post(f"{smart_server.base.removesuffix('/fhir')}/auth/token", data=form).json()
    assert "patient/Observation.rs" in body["scope"] and "patient/Patient.rs" not in body["scope"]
    await page.goto(f"{smart_server.base.removesuffix('/fhir')}/auth/manage")
    assert await fits(page)
    assert "Growth Chart" in await page.locator("main").inner_text()


async def test_a_page_of_another_site_cannot_sign_anybody_in(smart_server: Running, site: Site, page: Any) -> None:
    """The attacker's page sends the form of the sign-in by itself."""
    action = f"{smart_server.base.removesuffix('/fhir')}/auth/sign-in"
    await page.goto(f"{site.origin}/evil.html?{urlencode({'action': action, 'name': 'doc', 'password': PASSWORD})}")
    await page.get_by_text("sent by a page of another site").wait_for()
    assert await page.context.cookies(action) == []


async def seen_by_app(page: Any) -> dict[str, Any]:
    await page.wait_for_function("['done', 'failed'].includes(document.title)")
    text = await page.locator("#seen").inner_text()
    assert await page.title() == "done", text
    found: dict[str, Any] = json.loads(text)
    return found


@with_fhirclient
async def test_fhirclient_launches_itself_from_another_origin(smart_server: Running, site: Site, page: Any) -> None:
    scope = "launch/patient patient/*.rs user/Practitioner.rs openid fhirUser offline_access"
    query = {"iss": smart_server.base, "scope": scope}
    await page.goto(f"{site.origin}/launch.html?{urlencode(query)}")
    await sign_in(page)
    await choose(page, "Able")
    await page.get_by_role("button", name="Allow", exact=True).click()
    seen = await seen_by_app(page)
    assert (seen["patient"], seen["again"], seen["user"], seen["hidden"]) == ("ann", "ann", "Practitioner/doc", 404)
    assert (seen["observations"], seen["refreshed"]) == (["ann-lab", "ann-pulse"], True)


@with_fhirclient
async def test_fhirclient_is_launched_by_the_ehr(smart_server: Running, site: Site, page: Any) -> None:
    auth = f"{smart_server.base.removesuffix('/fhir')}/auth"
    form = {
        "grant_type": "client_credentials", "scope": "system/*.rs __launch",
        "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        "client_assertion": assertion(SERVICE.id, EC, aud=f"{auth}/token"),
    }  # fmt: skip
    token = httpx.post(f"{auth}/token", data=form).json()["access_token"]
    context = {"patient": "ann", "encounter": "visit", "intent": "review", "need_patient_banner": False}
    made = httpx.post(
        f"{auth}/launch", json={"client_id": "browser-app", "user": "doc", "context": context},
        headers={"authorization": f"Bearer {token}"},
    )  # fmt: skip
    assert made.status_code == 201, made.text
    scope = urlencode({"scope": "launch patient/*.rs user/Practitioner.rs openid fhirUser offline_access"})
    await page.goto(f"{made.json()['launch_url']}&{scope}")
    await sign_in(page)
    await page.get_by_role("button", name="Allow", exact=True).click()
    seen = await seen_by_app(page)
    assert (seen["patient"], seen["hidden"], seen["refreshed"]) == ("ann", 404, True)
    assert {name: seen["context"][name] for name in context} == context
    assert httpx.get(seen["context"]["smart_style_url"]).status_code == 200
