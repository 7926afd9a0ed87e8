"""What an app finds before it asks for anything."""

from pathlib import Path

import httpx
import pytest

from fhir_server.auth.registration import read_metadata
from tests.conformance.smart.conftest import BASE, BROWSER_APP, ORIGIN, Ehr, started
from tests.conformance.smart.requirements import requirement

ELSEWHERE = {"origin": "https://unknown.example"}
REGISTERED = {"origin": BROWSER_APP.origins[0]}
_CODE = "authorization_code"


@requirement("30", "372", "373", "228", "24")
async def test_the_configuration_lies_below_the_base_and_needs_no_token(ehr: Ehr) -> None:
    answer = await ehr.http.get("/fhir/.well-known/smart-configuration")
    assert (answer.status_code, answer.json()["issuer"]) == (200, BASE)
    assert (await ehr.fhir("Patient")).status_code == 401, "the endpoint itself requires authorization"


@requirement("374", "376", "377", "380")
@pytest.mark.parametrize("accept", ["application/fhir+xml", "text/html", "application/fhir+json", "nothing/*", ""])
async def test_the_configuration_is_json_whatever_is_accepted(ehr: Ehr, accept: str) -> None:
    answer = await ehr.http.get("/fhir/.well-known/smart-configuration", headers={"accept": accept})
    assert answer.headers["content-type"] == "application/json"
    assert answer.json()["token_endpoint"]


@requirement("378", "381", "382", "383", "385", "286", "391", "392", "390", "99", "269")
async def test_every_endpoint_that_is_told_is_there_and_absolute(ehr: Ehr) -> None:
    told = await ehr.configuration()
    assert told["issuer"] == BASE
    assert (await ehr.fhir(".well-known/openid-configuration")).json()["issuer"] == BASE
    for name in ("jwks_uri", "authorization_endpoint", "token_endpoint", "introspection_endpoint",
                 "revocation_endpoint", "management_endpoint"):  # fmt: skip
        assert told[name].startswith(f"{ORIGIN}/auth/"), name
        answer = await ehr.http.get(told[name])
        assert (name, answer.status_code) not in [(name, 404), (name, 500)], told[name]
    assert told["response_types_supported"] == ["code"]


@requirement("384", "386", "288", "289", "285", "393", "394", "310", "287", "389", "126", "439", "357")
async def test_the_configuration_says_what_is_offered(ehr: Ehr) -> None:
    told = await ehr.configuration()
    assert {"authorization_code", "client_credentials"} <= set(told["grant_types_supported"])
    assert set(told["token_endpoint_auth_methods_supported"]) == {
        "client_secret_basic", "client_secret_post", "private_key_jwt"
    }  # fmt: skip
    assert told["token_endpoint_auth_signing_alg_values_supported"] == ["RS384", "ES384"]
    assert told["code_challenge_methods_supported"] == ["S256"]
    assert {"client-confidential-asymmetric", "permission-v1", "permission-v2"} <= set(told["capabilities"])
    assert {"openid", "fhirUser", "launch", "patient/*.cruds", "system/*.cruds"} <= set(told["scopes_supported"])
    assert told["associated_endpoints"][0] == {"url": BASE, "capabilities": told["capabilities"]}


@requirement("346", "348", "349", "350", "351")
async def test_all_four_capability_sets_are_complete(ehr: Ehr) -> None:
    clients = {"client-public", "client-confidential-symmetric"}
    sets = [
        {"launch-standalone", "context-standalone-patient", "permission-patient"},
        {"launch-ehr", "context-ehr-patient", "permission-patient"},
        {"launch-standalone", "permission-user", "permission-patient"},
        {"launch-ehr", "context-ehr-patient", "context-ehr-encounter", "permission-user", "permission-patient"},
    ]
    told = set((await ehr.configuration())["capabilities"])
    assert [each - told for each in sets] == [set()] * 4
    assert clients <= told


async def test_openid_discovery_says_what_is_absent(ehr: Ehr) -> None:
    told = (await ehr.fhir(".well-known/openid-configuration")).json()
    assert (told["request_parameter_supported"], told["request_uri_parameter_supported"]) == (False, False)
    assert told["id_token_signing_alg_values_supported"] == ["RS256"]


async def test_the_capability_statement_names_smart_and_its_endpoints(ehr: Ehr) -> None:
    security = (await ehr.fhir("metadata")).json()["rest"][0]["security"]
    assert security["service"][0]["coding"][0]["code"] == "SMART-on-FHIR"
    told = await ehr.configuration()
    uris = {each["url"]: each["valueUri"] for each in security["extension"][0]["extension"]}
    assert uris["token"] == told["token_endpoint"]
    assert uris["authorize"] == told["authorization_endpoint"]
    assert "register" not in uris


@requirement("16", "400", "423")
async def test_any_page_may_read_the_public_documents(tmp_path: Path) -> None:
    brands = tmp_path / "brands.json"
    brands.write_text(
        '{"resourceType": "Bundle", "type": "collection", "timestamp": "2026-01-01T00:00:00Z", "entry": [{"resource": '
        '{"resourceType": "Organization", "identifier": [{"value": "https://hospital.example"}]}}]}'
    )
    async with started(tmp_path / "data", brands_file=brands, cors_origins=()) as ehr:
        for url in ("/fhir/.well-known/smart-configuration", "/fhir/.well-known/openid-configuration", "/fhir/metadata",
                    "/auth/jwks", "/auth/style.json", "/auth/user-access-brands.json"):  # fmt: skip
            answer = await ehr.http.get(url, headers=ELSEWHERE)
            assert (url, answer.status_code, _origin(answer)) == (url, 200, "*")


@requirement("17")
async def test_pages_of_registered_apps_may_call_tokens_and_data_and_others_may_not(tmp_path: Path) -> None:
    async with started(tmp_path, cors_origins=()) as ehr:
        asks = {"access-control-request-method": "GET", "access-control-request-headers": "authorization"}
        for url in ("/auth/token", "/auth/introspect", "/auth/revoke", "/fhir/Patient/ann", "/fhir"):
            known = await ehr.http.options(url, headers=REGISTERED | asks)
            assert (known.status_code, _origin(known)) == (204, REGISTERED["origin"])
            assert "authorization" in known.headers["access-control-allow-headers"].lower()
            assert _origin(await ehr.http.options(url, headers=ELSEWHERE | asks)) is None
        token = await ehr.bearer("user/*.rs", user=ehr.doctor)
        for headers, told in ((REGISTERED, REGISTERED["origin"]), (ELSEWHERE, None)):
            answer = await ehr.http.get("/fhir/Patient", headers=headers | {"authorization": f"Bearer {token}"})
            assert (answer.status_code, _origin(answer)) == (200, told)
            refused = await ehr.http.post("/auth/token", data={"grant_type": "x"}, headers=headers)
            assert _origin(refused) == told, "an app has to be able to read why"


async def test_pages_for_people_are_not_for_other_pages(ehr: Ehr) -> None:
    for url in ("/auth/sign-in", "/auth/manage", "/auth/authorize"):
        assert _origin(await ehr.http.get(url, headers=REGISTERED)) is None


@requirement("438", "19")
async def test_the_registration_endpoint_is_told_where_it_is_open(ehr: Ehr, tmp_path: Path) -> None:
    assert "registration_endpoint" not in await ehr.configuration()
    async with started(tmp_path, client_registration=True) as open_to_all:
        told = await open_to_all.configuration()
        asked = {"redirect_uris": ["https://new.example/cb"], "token_endpoint_auth_method": "none"}
        answer = await open_to_all.http.post(told["registration_endpoint"], json=asked)
        assert answer.status_code == 201
        assert read_metadata(asked).origins == ("https://new.example",)


def _origin(answer: httpx.Response) -> str | None:
    return answer.headers.get("access-control-allow-origin")


async def test_clients_that_know_oauth_alone_find_the_endpoints(ehr: Ehr) -> None:
    """RFC 8414, section 3.1: the path of the issuer stands behind the well-known one."""
    answer = await ehr.http.get("/.well-known/oauth-authorization-server/fhir")
    told = await ehr.configuration()
    assert answer.status_code == 200
    assert answer.json()["issuer"] == BASE
    for name in ("authorization_endpoint", "token_endpoint", "jwks_uri", "code_challenge_methods_supported"):
        assert answer.json()[name] == told[name]
