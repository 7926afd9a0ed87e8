"""Signing in at an OpenID provider, which here is another one of our own servers."""

from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any
from unittest.mock import AsyncMock, patch
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from fhir_server.auth.clients import Client, save_client
from fhir_server.auth.federation import http
from fhir_server.auth.providers import BadProviders, providers_of
from fhir_server.auth.records import USERS
from fhir_server.auth.secrets import digest
from fhir_server.auth.user_administration import UserAsked, add_user
from fhir_server.auth.users import (
    all_users,
    delete_user,
    find_identified,
    find_named,
    new_user,
    save_user,
    update_user,
)
from fhir_server.errors import Conflict
from fhir_server.storage.base import RecordChange
from tests.conformance.smart.conftest import ORIGIN, PASSWORD, Ehr, started

AWAY = "http://idp.example"
SECRET = "what the provider knows us by"


@dataclass
class Two:
    """Our server and the provider."""

    here: Ehr
    there: Ehr
    browser: httpx.AsyncClient


def _moved(app: object, library: Any = httpx) -> Any:
    """Return what reaches the provider by its own name, for a client of either HTTP library."""
    inner = library.ASGITransport(app=app)

    class Moved(library.AsyncBaseTransport):  # type: ignore[misc]
        async def handle_async_request(self, request: Any) -> Any:
            assert request.url.host == "idp.example"
            return await inner.handle_async_request(request)

    return Moved()


def _providers(folder: Path, **more: str) -> Path:
    (folder / "secret").write_text(f"{SECRET}\n")
    lines = {"id": '"hospital"', "name": '"Hospital"', "issuer": f'"{AWAY}/fhir"', "client_id": '"ours"',
             "client_secret_file": f'"{folder / "secret"}"', "scope": '"openid fhirUser"',
             "parameters": f'{{aud = "{AWAY}/fhir"}}', **more}  # fmt: skip
    path = folder / "providers.toml"
    path.write_text("[[provider]]\n" + "\n".join(f"{name} = {value}" for name, value in lines.items()))
    return path


@pytest.fixture
async def two(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Two]:
    (tmp_path / "a").mkdir()
    path = _providers(tmp_path, **getattr(request, "param", {}))
    async with started(tmp_path / "a", providers_file=path) as here, started(tmp_path / "b") as there:
        back = f"{ORIGIN}/auth/federated/hospital/back"
        client = Client("ours", "The other server", "symmetric", (back,), secrets=(digest(SECRET),), trusted=True)
        await save_client(there.desk, client)
        assert here.app.authorization is not None
        here.app.authorization.transport = _moved(there.app, http)
        async with httpx.AsyncClient(transport=_moved(there.app), base_url=AWAY) as browser:
            yield Two(here, there, browser)


async def _back(two: Two) -> str:
    """Go to the provider, sign in there, and return where it sends the browser back to."""
    page = await two.here.http.get("/auth/sign-in")
    assert "Sign in with Hospital" in page.text
    sent = await two.here.http.get("/auth/federated/hospital?request=")
    url = sent.headers["location"]
    asked = parse_qs(urlsplit(url).query)
    assert url.startswith(f"{AWAY}/auth/authorize?")
    assert asked["code_challenge_method"] == ["S256"] and asked["nonce"] and asked["state"]
    answer = await two.browser.get(url)
    for _ in range(6):
        location = answer.headers.get("location", "")
        if location.startswith(ORIGIN):
            return location
        if location:
            answer = await two.browser.get(location)
        else:
            form = {"request": parse_qs(answer.url.query.decode())["request"][0], "name": "doc", "password": PASSWORD}
            answer = await two.browser.post("/auth/sign-in", data=form)
    raise AssertionError(answer.text)


async def _known(two: Two, **more: object) -> None:
    identity = f"{AWAY}/fhir|{two.there.doctor.id}"
    await save_user(two.here.desk, new_user("grey", identities=(identity,), **more))


async def test_a_known_identity_is_signed_in_once(two: Two) -> None:
    await _known(two, roles=("nurse",))
    back = await _back(two)
    answer = await two.here.http.get(back)
    assert answer.headers["location"].startswith(f"{ORIGIN}/auth/manage"), answer.text
    assert "<strong>grey</strong>" in (await two.here.http.get("/auth/manage")).text
    assert (await two.here.http.get(back)).status_code == 403, "the way back is good once"


async def test_who_is_not_known_is_not_let_in(two: Two) -> None:
    answer = await two.here.http.get(await _back(two))
    assert answer.status_code == 403 and "not known here" in answer.text
    await _known(two, active=False)
    answer = await two.here.http.get(await _back(two))
    assert answer.status_code == 403 and "switched off" in answer.text


async def test_the_way_back_is_for_the_browser_that_went(two: Two) -> None:
    await _known(two)
    back = await _back(two)
    async with two.here.browser() as thief:
        assert (await thief.http.get(back)).status_code == 403
    assert (await two.here.http.get(back)).status_code == 303


async def test_a_forged_answer_signs_nobody_in(two: Two) -> None:
    await _known(two)
    back = await _back(two)
    state = parse_qs(urlsplit(back).query)["state"][0]
    assert (await two.here.http.get(back.replace(state, state[::-1]))).status_code == 403
    assert (await two.here.http.get(back.split("?")[0], params={"state": state, "code": "made-up"})).status_code == 403
    assert (await two.here.http.get("/auth/federated/other")).status_code == 404


@pytest.mark.parametrize("two", [{"provision": "true", "subject_claim": '"fhirUser"'}], indirect=True)
async def test_who_is_not_known_is_made_where_the_provider_may(two: Two) -> None:
    answer = await two.here.http.get(await _back(two))
    assert answer.status_code == 303, answer.text
    made = [user for user in await all_users(two.here.desk) if user.identities]
    assert [(user.subject, user.password, user.roles) for user in made] == [("Practitioner/doc", "", ())]
    assert await find_named(two.here.desk, made[0].name) == made[0]
    answer = await two.here.http.get(await _back(two))
    assert answer.status_code == 303
    assert len([user for user in await all_users(two.here.desk) if user.identities]) == 1


@pytest.mark.parametrize("two", [{"issuer": f'"{AWAY}/other/fhir"'}], indirect=True)
async def test_a_provider_that_calls_itself_otherwise_is_refused(two: Two) -> None:
    answer = await two.here.http.get("/auth/federated/hospital?request=")
    assert answer.status_code == 403


def test_a_providers_file_that_cannot_be_used_is_refused(tmp_path: Path) -> None:
    path = _providers(tmp_path, colour='"red"')
    with pytest.raises(BadProviders, match="colour"):
        providers_of(path)


async def test_who_an_identity_is_comes_from_an_index(ehr: Ehr) -> None:
    """As with thousands of users: nobody is looked through; what an earlier release stored is indexed once."""
    desk = ehr.desk
    old = new_user("old", identities=("https://idp.example|old",))
    await desk.put(RecordChange(USERS.name, old.id, asdict(old)))  # as it was stored before there was an index
    found = await find_identified(desk, "https://idp.example|old")
    assert found is not None and found.id == old.id
    user = new_user("fed", identities=("https://idp.example|1", "https://idp.example|2"))
    await save_user(desk, user)
    scanned = AsyncMock(side_effect=AssertionError("users were looked through"))
    with patch("fhir_server.auth.users.all_users", scanned):
        for identity in user.identities:
            found = await find_identified(desk, identity)
            assert found is not None and found.id == user.id
        await update_user(desk, user.id, lambda one: replace(one, identities=("https://idp.example|2",)))
        assert await find_identified(desk, "https://idp.example|1") is None
        assert await find_identified(desk, "https://idp.example|2") is not None
        await delete_user(desk, replace(user, identities=("https://idp.example|2",)))
        assert await find_identified(desk, "https://idp.example|2") is None


async def test_an_identity_is_that_of_one_user(ehr: Ehr) -> None:
    await add_user(ehr.desk, UserAsked(name="one", identities=("https://idp.example|7",)))
    with pytest.raises(Conflict, match="is that of 'one'"):
        await add_user(ehr.desk, UserAsked(name="two", identities=("https://idp.example|7",)))
