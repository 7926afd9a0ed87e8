"""The pages for people in a real browser: a passkey of a virtual authenticator, an authenticator app, no scripts."""

import re
import shutil
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pyotp
import pytest

from tests.integration.running import command, running

PASSWORD = "seven green bottles"
pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[str]:
    """A server with a user, under a name: passkeys are of names, not of addresses."""
    with running(tmp_path / "data", "--auth", "smart") as server:
        line = command("users", "add", "maria", "--password-stdin", "--data-dir", server.folder)
        subprocess.run(line, input=f"{PASSWORD}\n", text=True, check=True, timeout=280, capture_output=True)
        yield server.base.replace("127.0.0.1", "localhost").removesuffix("/fhir")


@pytest.fixture
async def browser() -> AsyncIterator[Any]:
    path = shutil.which("chromium")
    if path is None:
        pytest.skip("chromium is not installed")
    playwright = pytest.importorskip("playwright.async_api")
    async with playwright.async_playwright() as driver:
        browser = await driver.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        await browser.close()


async def _sign_in(page: Any, site: str, code: str = "") -> None:
    await page.goto(f"{site}/auth/sign-in")
    await page.fill("[name=name]", "maria")
    await page.fill("[name=password]", PASSWORD)
    await page.fill("[name=code]", code)
    await page.click("button[type=submit]")


async def test_a_passkey_is_made_and_signs_in_without_a_password(site: str, browser: Any) -> None:
    page = await (await browser.new_context()).new_page()
    session = await page.context.new_cdp_session(page)
    await session.send("WebAuthn.enable")
    options = {
        "protocol": "ctap2", "transport": "internal", "hasResidentKey": True, "hasUserVerification": True,
        "isUserVerified": True, "automaticPresenceSimulation": True,
    }  # fmt: skip
    await session.send("WebAuthn.addVirtualAuthenticator", {"options": options})
    await _sign_in(page, site)
    await page.goto(f"{site}/auth/account")
    await page.fill("#passkey-name", "My laptop")
    await page.click("text=Make a passkey")
    await page.wait_for_selector("td:has-text('My laptop')")
    await page.click("text=Sign out >> nth=-1")
    await page.wait_for_selector("text=Signed out")
    await page.goto(f"{site}/auth/sign-in")
    await page.click("text=Sign in with a passkey")
    await page.wait_for_url("**/auth/manage*")
    assert "maria" in await page.content()


async def test_all_but_passkeys_works_on_a_phone_without_scripts(site: str, browser: Any) -> None:
    context = await browser.new_context(java_script_enabled=False, viewport={"width": 360, "height": 640})
    page = await context.new_page()
    await _sign_in(page, site)
    await page.goto(f"{site}/auth/account")
    assert not await page.is_visible("text=Make a passkey")
    await page.click("text=Set one up")
    assert await page.is_visible("svg")
    secret = re.findall(r"<code>([A-Z2-7]{32})</code>", await page.content())[0]
    await page.fill("[name=code]", pyotp.TOTP(secret).now())
    await page.click("text=Go on")
    codes = re.findall(r"<li><code>([^<]+)</code>", await page.content())
    assert len(codes) == 10
    await page.click("text=I have kept them")
    await page.click("text=Sign out >> nth=-1")
    await _sign_in(page, site)
    assert await page.is_visible("[role=alert]")
    await _sign_in(page, site, codes[0])
    assert page.url.startswith(f"{site}/auth/manage")
