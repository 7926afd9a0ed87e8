"""What was moved is served as before: the same bodies, the same tokens, the same books."""

import random
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
from fhir_billing.ledger import COLLECTIONS, prove

from fhir_server.app import create_app
from fhir_server.audit.verify import verify
from fhir_server.plugin_api import PluginStore
from fhir_server.serving.moving.ends import End
from fhir_server.settings import Settings
from tests.conformance.smart.conftest import BASE, ORIGIN, PUBLIC, Ehr, filled, started
from tests.conformance.storage.world import World
from tests.integration.moving.kit import in_store, moved
from tests.plugins.fhir_billing.books import Books, Faulty
from tests.plugins.only import but
from tests.servers.mongodb import fresh, mongodb_url

URLS = (
    "Patient/ann", "Patient/ann/_history/1", "Patient/ann/_history", "Patient/ann/_history/9", "Patient/gone",
    "Observation?subject=Patient/ann&_sort=_id", "Observation?code=http://loinc.org|8867-4&_include=Observation:subject",
    "Patient?name=able&_revinclude=Provenance:target", "Patient?_count=1&_sort=name", "Encounter?patient=ann",
    "Patient?_elements=name&_total=accurate", "Patient?nonsense=1",
)  # fmt: skip
_OWN = re.compile(rb'^\{"resourceType":"Bundle","id":"[^"]*","meta":\{"lastUpdated":"[^"]*"\}|_page=[^"]*')
"""What a Bundle says of itself: an id of its own, the instant at which it was asked for, and links that hold it."""


async def answers(http: httpx.AsyncClient, token: str) -> dict[str, tuple[int, bytes, str]]:
    """Return status, body and ETag of each URL."""
    found = {}
    for url in URLS:
        answer = await http.get(f"/fhir/{url}", headers={"authorization": f"Bearer {token}"})
        found[url] = (answer.status_code, _OWN.sub(b"", answer.content), answer.headers.get("etag", ""))
    return found


@asynccontextmanager
async def served(settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    """Serve an installation as it is."""
    app = create_app(settings)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url=ORIGIN) as http,
    ):
        yield http


async def _changed(ehr: Ehr) -> None:
    token = await ehr.bearer("user/*.cruds", user=ehr.doctor)
    for gender in ("female", "other"):
        body = {
            "resourceType": "Patient",
            "id": "ann",
            "name": [{"family": "Able", "given": ["Ann"]}],
            "gender": gender,
        }
        assert (await ehr.fhir("Patient/ann", token, "PUT", body)).status_code == 200
    assert (await ehr.fhir("Patient/gone", token, "PUT", {"resourceType": "Patient", "id": "gone"})).status_code == 201
    assert (await ehr.fhir("Patient/gone", token, "DELETE")).status_code in (200, 204)


async def _keep_books(world: World) -> None:
    for collection in COLLECTIONS:
        await world.store.declare(collection)
    books = Books(Faulty(PluginStore(world.store, "fhir_billing"), random.Random(1), 0.0), random.Random(2))
    for _ in range(40):
        await books.step()


async def _proof(world: World) -> Any:
    return await prove(PluginStore(world.store, "fhir_billing"))


async def _audit(world: World) -> list[str]:
    return (await verify(world.store)).problems


async def test_reads_history_searches_sign_in_books_and_audit_answer_the_same(tmp_path: Path) -> None:
    only = {"plugins_disabled": but("fhir_billing"), "base_url": BASE, "rate_sign_in": "", "rate_token": ""}
    async with started(tmp_path / "a", **only) as ehr:
        await filled(ehr)
        await _changed(ehr)
        granted = await ehr.granted("openid offline_access user/*.rs")
        before = await answers(ehr.http, granted["access_token"])
    assert [status for status, *_ in before.values()].count(200) >= 9
    settings = {
        "data_dir": tmp_path / "a",
        "auth": "smart",
        "durable": False,
        "demo": False,
        "mongodb_lease": 2,
        **only,
    }
    source = End(Settings.model_validate(settings))
    await in_store(source, _keep_books)
    books = await in_store(source, _proof)
    place = {"storage": "mongodb", "mongodb_url": mongodb_url(), "mongodb_database": fresh("m")}
    target = End(Settings.model_validate({**settings, **place, "data_dir": tmp_path / "b"}))
    assert (await moved(source, target)).same
    async with served(target.settings) as http:
        after = await answers(http, granted["access_token"])
        for url, found in before.items():
            assert after[url] == found, url
        form = {"grant_type": "refresh_token", "refresh_token": granted["refresh_token"], "client_id": PUBLIC.id}
        renewed = await http.post("/auth/token", data=form)
        assert renewed.status_code == 200 and renewed.json()["access_token"] != granted["access_token"]
        ehr.http, ehr.steps = http, []
        again = await ehr.granted("openid user/*.rs")
        assert "/auth/sign-in" in ehr.steps and (await answers(http, again["access_token"]))["Patient/ann"][0] == 200
    assert (await in_store(target, _audit)) == []
    assert books.holds and books.entries and await in_store(target, _proof) == books
