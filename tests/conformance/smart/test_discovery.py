"""What an app finds before it asks for anything."""

from tests.conformance.smart.conftest import BASE, Ehr


async def test_every_endpoint_that_is_told_is_there(ehr: Ehr) -> None:
    told = (await ehr.fhir(".well-known/smart-configuration")).json()
    assert told["issuer"] == BASE
    assert (await ehr.fhir(".well-known/openid-configuration")).json()["issuer"] == BASE
    for name in ("jwks_uri", "authorization_endpoint", "token_endpoint", "introspection_endpoint",
                 "revocation_endpoint", "management_endpoint"):  # fmt: skip
        answer = await ehr.http.get(told[name])
        assert (name, answer.status_code) not in [(name, 404), (name, 500)], told[name]
    assert {"launch-ehr", "permission-v2", "client-confidential-asymmetric"} <= set(told["capabilities"])
    assert told["code_challenge_methods_supported"] == ["S256"]


async def test_pages_of_other_origins_may_discover_and_call_the_token_endpoint(ehr: Ehr) -> None:
    origin = {"origin": "https://app.example"}
    for url in ("/fhir/.well-known/smart-configuration", "/fhir/metadata", "/auth/jwks"):
        answer = await ehr.http.get(url, headers=origin)
        assert (url, answer.headers.get("access-control-allow-origin")) == (url, "*")
    preflight = await ehr.http.options(
        "/auth/token",
        headers=origin | {"access-control-request-method": "POST", "access-control-request-headers": "authorization"},
    )
    assert preflight.status_code == 204
    assert "POST" in preflight.headers["access-control-allow-methods"]
    page = await ehr.http.get("/auth/sign-in", headers=origin)
    assert "access-control-allow-origin" not in page.headers, "pages for people are not for other pages"
