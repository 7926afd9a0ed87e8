"""A real server with SMART, a place where browser apps lie, and Chromium."""

import asyncio
import functools
import shutil
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from fhir_server.auth.clients import Client
from tests.conformance.smart.conftest import REDIRECT, WIDE, prepared
from tests.conformance.smart.signing import EC, RSA, public_keys
from tests.integration.running import Running, running

HERE = Path(__file__).parent
MODULES = HERE.parent / "node_modules"
__all__ = ["REDIRECT"]
SERVICE = Client(
    "nightly", "Nightly", "asymmetric", scopes="system/*.rs __launch", grant_types=("client_credentials",),
    jwks=public_keys(RSA, EC),
)  # fmt: skip


@dataclass(frozen=True)
class Site:
    """Where the browser apps lie."""

    origin: str


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("site")
    for file in (HERE / "pages").iterdir():
        shutil.copy(file, folder)
    library = MODULES / "fhirclient" / "build" / "fhir-client.js"
    if library.exists():
        shutil.copy(library, folder)
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Quiet, directory=folder))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield Site(f"http://localhost:{server.server_address[1]}")
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="session")
def smart_server(tmp_path_factory: pytest.TempPathFactory, site: Site) -> Iterator[Running]:
    """A server with users, clients and records, whose CORS is open to registered origins alone."""
    folder = tmp_path_factory.mktemp("smart-server") / "data"
    browser_app = Client(
        "browser-app", "Chart in the browser", redirect_uris=(f"{site.origin}/app.html",), scopes=WIDE,
        origins=(site.origin,), launch_uri=f"{site.origin}/launch.html",
    )  # fmt: skip
    asyncio.run(prepared(folder, (SERVICE, browser_app)))
    with running(folder, "--auth", "smart", "--config", str(_config(folder.parent))) as server:
        yield server


def _config(folder: Path) -> Path:
    file = folder / "settings.toml"
    file.write_text('cors_origins = []\nrate_sign_in = ""\n')
    return file


@pytest.fixture
async def page() -> AsyncIterator[Any]:
    """A page in headless Chromium, as wide as that of a phone."""
    async with _chromium() as browser:
        context = await browser.new_context(viewport={"width": 375, "height": 740})
        yield await context.new_page()


@pytest.fixture
async def bare_page() -> AsyncIterator[Any]:
    """The same without JavaScript."""
    async with _chromium() as browser:
        context = await browser.new_context(viewport={"width": 375, "height": 740}, java_script_enabled=False)
        yield await context.new_page()


@asynccontextmanager
async def _chromium() -> AsyncIterator[Any]:
    path = shutil.which("chromium")
    if path is None:
        pytest.skip("chromium is not installed")
    try:
        from playwright.async_api import async_playwright
    except ImportError:
        pytest.skip("playwright is not installed")
    async with async_playwright() as driver:
        browser = await driver.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        await browser.close()
