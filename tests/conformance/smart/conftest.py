"""A server with SMART in the process, some patients, users and clients, and a browser to walk through its pages."""

from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest
import pytest_asyncio

from fhir_server.api.application import Application
from fhir_server.app import create_app
from fhir_server.auth.clients import Client, save_client
from fhir_server.auth.desk import Desk
from fhir_server.auth.grants import new_grant, stored
from fhir_server.auth.secrets import digest
from fhir_server.auth.tokens import new_tokens
from fhir_server.auth.users import User, new_user, save_user, with_password
from fhir_server.settings import Settings
from tests.conformance.smart.signing import EC, RSA, assertion, public_keys
from tests.conformance.smart.walking import PASSWORD, Walk

ORIGIN = "http://ehr.example"
BASE = f"{ORIGIN}/fhir"
REDIRECT = "https://app.example/callback"
LAUNCH_URI = "https://app.example/launch"
SECRET = "a secret of the confidential app"
VERIFIER = "v" * 64
CHALLENGE = urlsafe_b64encode(sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()
WIDE = (
    "launch launch/patient launch/encounter openid fhirUser offline_access online_access patient/*.cruds user/*.cruds"
)

PUBLIC = Client("public-app", "Growth Chart", redirect_uris=(REDIRECT,), scopes=WIDE, launch_uri=LAUNCH_URI)
SYMMETRIC = Client(
    "secret-app", "Portal", "symmetric", redirect_uris=(REDIRECT,), scopes=WIDE, secrets=(digest(SECRET),)
)
SIGNING = Client(
    "signing-app", "Tracker", "asymmetric", redirect_uris=(REDIRECT,), scopes=WIDE, jwks=public_keys(RSA, EC)
)
SERVICE = Client(
    "service", "Nightly report", "asymmetric", scopes="system/*.rs system/Observation.cud __launch",
    grant_types=("client_credentials",), jwks=public_keys(RSA, EC),
)  # fmt: skip
BROWSER_APP = Client(
    "browser-app", "In the browser", redirect_uris=("https://spa.example/",), scopes=WIDE,
    origins=("https://spa.example",),
)  # fmt: skip
CLIENTS = (PUBLIC, SYMMETRIC, SIGNING, SERVICE, BROWSER_APP)


def record(type_: str, id_: str, **elements: Any) -> dict[str, Any]:
    return {"resourceType": type_, "id": id_, **elements}


def observation(id_: str, patient: str, code: str = "8867-4", category: str = "vital-signs") -> dict[str, Any]:
    system = "http://terminology.hl7.org/CodeSystem/observation-category"
    return record(
        "Observation", id_, status="final", subject={"reference": f"Patient/{patient}"},
        code={"coding": [{"system": "http://loinc.org", "code": code}]},
        category=[{"coding": [{"system": system, "code": category}]}],
    )  # fmt: skip


RECORDS = [
    record("Practitioner", "doc", name=[{"family": "Grey"}]),
    record("Patient", "ann", name=[{"family": "Able", "given": ["Ann"]}]),
    record("Patient", "bob", name=[{"family": "Baker", "given": ["Bob"]}]),
    record("Patient", "cay", name=[{"family": "Carter"}],
           link=[{"other": {"reference": "Patient/bob"}, "type": "seealso"}]),
    record("RelatedPerson", "mum", patient={"reference": "Patient/cay"}),
    record("Encounter", "visit", status="finished", subject={"reference": "Patient/ann"},
           **{"class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "AMB"}}),
    observation("cay-pulse", "cay"),
    observation("ann-pulse", "ann"),
    observation("ann-lab", "ann", "2345-7", "laboratory"),
    observation("bob-pulse", "bob"),
    record("Provenance", "of-ann", target=[{"reference": "Observation/ann-pulse"}], recorded="2026-01-01T00:00:00Z",
           agent=[{"who": {"reference": "Practitioner/doc"}}]),
    record("Binary", "of-bob", contentType="text/plain", data="aGk=",
           securityContext={"reference": "Patient/bob"}),
]  # fmt: skip


@dataclass
class Ehr:
    """The server under test, and a desk to look behind it."""

    http: httpx.AsyncClient
    desk: Desk
    doctor: User
    ann: User
    app: Application
    steps: list[str] = field(default_factory=list)

    async def fhir(self, url: str, token: str = "", method: str = "GET", body: Any = None) -> httpx.Response:
        headers = {"authorization": f"Bearer {token}"} if token else {}
        return await self.http.request(method, f"/fhir/{url}", json=body, headers=headers)

    async def asked(self, scope: str, client: Client = PUBLIC, **changes: str) -> httpx.Response:
        """Send an authorization request; an empty value leaves a parameter out."""
        query = {
            "response_type": "code", "client_id": client.id, "redirect_uri": REDIRECT, "scope": scope, "state": "s1",
            "aud": BASE, "code_challenge": CHALLENGE, "code_challenge_method": "S256",
        } | changes  # fmt: skip
        return await self.http.get("/auth/authorize", params={name: value for name, value in query.items() if value})

    async def walked(self, answer: httpx.Response, name: str = "doc", **choices: str) -> dict[str, str]:
        """Follow the pages as a user who allows all; return what the app is told."""
        location = await Walk(self.http, REDIRECT, name, choices, self.steps).end(answer)
        return dict(parse_qsl(urlsplit(location).query))

    async def token(self, form: dict[str, str], **headers: str) -> httpx.Response:
        return await self.http.post("/auth/token", data=form, headers=headers)

    async def redeemed(self, code: str, client: Client = PUBLIC, **changes: str) -> httpx.Response:
        form = {
            "grant_type": "authorization_code", "code": code, "redirect_uri": REDIRECT, "code_verifier": VERIFIER,
            "client_id": client.id,
        } | changes  # fmt: skip
        return await self.token({name: value for name, value in form.items() if value})

    async def granted(self, scope: str, name: str = "doc", **choices: str) -> dict[str, Any]:
        """Go the whole way; return the answer of the token endpoint."""
        told = await self.walked(await self.asked(scope), name, **choices)
        answer = await self.redeemed(told["code"])
        assert answer.status_code == 200, answer.text
        body: dict[str, Any] = answer.json()
        return body

    async def bearer(self, scopes: str, client: Client = PUBLIC, user: User | None = None, **more: Any) -> str:
        """Return a token without walking the pages; without a user it is the client's own."""
        who = {"user": user.id, "subject": user.subject, "roles": user.roles} if user else {}
        grant = new_grant(self.desk, client.id, scopes, **who, **more)
        pair = new_tokens(self.desk, grant, refreshing=False)
        await self.desk.put(stored(grant), *pair.changes)
        return pair.access

    async def launch(self, context: dict[str, Any], token: str = "", **more: Any) -> httpx.Response:
        """Make a launch as an EHR does."""
        token = token or await self.bearer("__launch user/*.rs", user=self.doctor)
        body = {"client_id": PUBLIC.id, "context": context} | more
        return await self.http.post("/auth/launch", json=body, headers={"authorization": f"Bearer {token}"})

    async def launched(self, context: dict[str, Any], scope: str, name: str = "doc", **choices: str) -> dict[str, Any]:
        """Launch the app from the EHR and go the whole way; return the answer of the token endpoint."""
        made = await self.launch(context)
        assert made.status_code == 201, made.text
        told = await self.walked(await self.asked(scope, launch=made.json()["launch"]), name, **choices)
        answer = await self.redeemed(told["code"])
        assert answer.status_code == 200, answer.text
        body: dict[str, Any] = answer.json()
        return body

    async def refreshed(self, refresh_token: str, client: Client = PUBLIC, **more: str) -> httpx.Response:
        form = {"grant_type": "refresh_token", "refresh_token": refresh_token, "client_id": client.id}
        return await self.token(form | more)

    async def served(self, scope: str, client: Client = SERVICE, **changes: Any) -> httpx.Response:
        """Ask for a token as a backend service; `changes` go into the assertion."""
        form = {
            "grant_type": "client_credentials", "scope": scope, "client_assertion": assertion(client.id, **changes),
            "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        }  # fmt: skip
        return await self.token(form)

    async def configuration(self) -> dict[str, Any]:
        body: dict[str, Any] = (await self.fhir(".well-known/smart-configuration")).json()
        return body

    @asynccontextmanager
    async def browser(self) -> AsyncIterator["Ehr"]:
        """The same server, seen by a browser without cookies."""
        transport = httpx.ASGITransport(app=self.app)
        async with httpx.AsyncClient(transport=transport, base_url=ORIGIN) as http:
            yield replace(self, http=http, steps=[])


@asynccontextmanager
async def started(folder: Path, **settings: Any) -> AsyncIterator[Ehr]:
    """A server of its own, without records."""
    rates = {"rate_sign_in": "", "rate_token": "", "hidden_pause": 0} | settings
    app = create_app(Settings(data_dir=folder, auth="smart", durable=False, demo=False, **rates))
    async with app.router.lifespan_context(app):
        assert app.running is not None
        desk = await app.running.desk_of("default", BASE)
        doctor = await with_password(new_user("doc", subject="Practitioner/doc", roles=("clinician",)), PASSWORD)
        ann = replace(new_user("ann", subject="Patient/ann"), password=doctor.password)
        mum = replace(new_user("mum", subject="RelatedPerson/mum"), password=doctor.password)
        clerk = replace(new_user("clerk", roles=("clinician",)), password=doctor.password)
        for user in (doctor, ann, mum, clerk):
            await save_user(desk, user)
        for client in CLIENTS:
            await save_client(desk, client)
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url=ORIGIN) as http:
            yield Ehr(http, desk, doctor, ann, app)


async def prepared(folder: Path, clients: Iterable[Client]) -> None:
    """Make the data folder of a server with users, records and clients, for a server that is started later."""
    async with started(folder) as ehr:
        await filled(ehr)
        for client in clients:
            await save_client(ehr.desk, client)


async def filled(ehr: Ehr) -> None:
    """Write the records."""
    token = await ehr.bearer("user/*.cruds", user=ehr.doctor)
    for resource in RECORDS:
        answer = await ehr.fhir(f"{resource['resourceType']}/{resource['id']}", token, "PUT", resource)
        assert answer.status_code == 201, answer.text


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All tests of this folder share one loop, as they share one server."""
    for item in items:
        if item.path.parent == Path(__file__).parent and pytest_asyncio.is_async_test(item):
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def shared(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Ehr]:
    async with started(tmp_path_factory.mktemp("smart")) as ehr:
        await filled(ehr)
        yield ehr


@pytest_asyncio.fixture(loop_scope="session")
async def ehr(shared: Ehr) -> AsyncIterator[Ehr]:
    """The shared server and a fresh browser; who changes something here takes care of the others."""
    async with shared.browser() as ehr:
        yield ehr
