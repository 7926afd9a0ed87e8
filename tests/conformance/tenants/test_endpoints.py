"""The endpoint of a tenant: its URLs are its own, and nothing of another is to be had there."""

from pathlib import Path

import pytest

from tests.conformance.tenants.conftest import APP, ORIGIN, SECRET, House, house

PATIENT = {"resourceType": "Patient", "name": [{"family": "Able"}]}


async def test_all_urls_carry_the_base_of_the_tenant(open_house: House) -> None:
    base = f"{ORIGIN}/t/a/fhir"
    made = await open_house.http.post("/t/a/fhir/Patient", json=PATIENT)
    assert made.status_code == 201 and made.headers["location"].startswith(f"{base}/Patient/")
    for _ in range(3):
        await open_house.http.post("/t/a/fhir/Patient", json=PATIENT)
    page = (await open_house.http.get("/t/a/fhir/Patient?_count=2")).json()
    assert all(entry["fullUrl"].startswith(f"{base}/Patient/") for entry in page["entry"])
    assert all(link["url"].startswith(f"{base}") for link in page["link"])
    following = next(link["url"] for link in page["link"] if link["relation"] == "next")
    assert len((await open_house.http.get(following)).json()["entry"]) == 2
    history = (await open_house.http.get("/t/a/fhir/_history")).json()
    assert all(entry["fullUrl"].startswith(base) for entry in history["entry"])
    statement = (await open_house.http.get("/t/a/fhir/metadata")).json()
    assert statement["implementation"]["url"] == base


async def test_each_tenant_has_its_own_resources(open_house: House) -> None:
    for name in ("/t/a", "/t/b", ""):
        answer = await open_house.http.put(f"{name}/fhir/Patient/1", json=PATIENT | {"id": "1", "gender": "other"})
        assert answer.status_code == 201
    await open_house.http.delete("/t/a/fhir/Patient/1")
    assert (await open_house.http.get("/t/a/fhir/Patient/1")).status_code == 410
    assert (await open_house.http.get("/t/b/fhir/Patient/1")).status_code == 200
    assert (await open_house.http.get("/fhir/Patient/1")).status_code == 200


async def test_a_page_link_of_another_tenant_is_refused(open_house: House) -> None:
    for name in ("a", "b"):
        for _ in range(3):
            await open_house.http.post(f"/t/{name}/fhir/Patient", json=PATIENT)
    page = (await open_house.http.get("/t/a/fhir/Patient?_count=1")).json()
    following = next(link["url"] for link in page["link"] if link["relation"] == "next")
    assert (await open_house.http.get(following.replace("/t/a/", "/t/b/"))).status_code == 400
    assert (await open_house.http.get(following.replace("/t/a/", "/"))).status_code == 400


async def test_jobs_and_binaries_of_another_tenant_are_not_there(open_house: House) -> None:
    answer = await open_house.http.get("/t/a/fhir/Patient", headers={"prefer": "respond-async"})
    job = answer.headers["content-location"]
    assert answer.status_code == 202 and job.startswith(f"{ORIGIN}/t/a/fhir/")
    assert (await open_house.http.get(job.replace("/t/a/", "/t/b/"))).status_code == 404
    assert (await open_house.http.delete(job.replace("/t/a/", "/t/b/"))).status_code == 404
    assert (await open_house.http.get(job)).status_code in (200, 202)
    made = await open_house.http.post("/t/a/fhir/Binary", content=b"x" * 300_000, headers={"content-type": "text/a"})
    path = made.headers["location"].split("/fhir/")[1].split("/_history")[0]
    assert len((await open_house.http.get(f"/t/a/fhir/{path}", headers={"accept": "text/a"})).content) == 300_000
    assert (await open_house.http.get(f"/t/b/fhir/{path}")).status_code == 404


async def test_definitions_and_terminology_are_of_one_tenant(open_house: House) -> None:
    system = {
        "resourceType": "CodeSystem", "url": "http://a.example/cs", "status": "active", "content": "complete",
        "concept": [{"code": "x"}],
    }  # fmt: skip
    assert (await open_house.http.post("/t/a/fhir/CodeSystem", json=system)).status_code == 201
    lookup = "CodeSystem/$lookup?system=http://a.example/cs&code=x"
    assert (await open_house.http.get(f"/t/a/fhir/{lookup}")).status_code == 200
    assert (await open_house.http.get(f"/t/b/fhir/{lookup}")).status_code == 404
    assert (await open_house.http.get(f"/fhir/{lookup}")).status_code == 404


async def test_a_bundle_speaks_of_its_own_tenant_only(open_house: House) -> None:
    await open_house.http.put("/t/b/fhir/Patient/secret", json=PATIENT | {"id": "secret"})
    for url in (
        "/t/b/fhir/Patient/secret", f"{ORIGIN}/t/b/fhir/Patient/secret", "../../b/fhir/Patient/secret", "Patient/secret"
    ):  # fmt: skip
        bundle = {"resourceType": "Bundle", "type": "batch", "entry": [{"request": {"method": "GET", "url": url}}]}
        answer = (await open_house.http.post("/t/a/fhir", json=bundle)).json()
        assert answer["entry"][0]["response"]["status"][:3] in ("400", "404"), url


@pytest.mark.parametrize(
    "path", ["fhir/Patient", "fhir/metadata", "fhir", "fhir/Patient/1", "fhir/.well-known/smart-configuration"]
)
async def test_a_tenant_that_is_not_there_answers_as_a_bad_token_does(smart_house: House, path: str) -> None:
    for headers in ({}, {"authorization": "Bearer guess"}, {"authorization": "Basic abc"}):
        there = await smart_house.http.get("/t/a/fhir/Patient", headers=headers)
        gone = await smart_house.http.get(f"/t/none/{path}", headers=headers)
        assert there.status_code == gone.status_code == 401
        assert there.json() == gone.json()
        assert there.headers["www-authenticate"] == gone.headers["www-authenticate"]


@pytest.mark.parametrize("name", ["none", "A", "%61", "a%2Fb", "a.", "default", "-", "a" * 64, "_", "a/b"])
async def test_names_that_are_none_lead_nowhere(smart_house: House, name: str) -> None:
    for path in ("fhir/Patient", "auth/token", "auth/jwks", "auth/admin/users"):
        answer = await smart_house.http.get(f"/t/{name}/{path}")
        assert answer.status_code in (401, 404, 405), (path, answer.text)
        assert not (smart_house.app.settings.data_dir / "tenants" / name).exists() or name == "default"


async def test_a_tenant_that_is_not_there_is_not_found_where_no_tokens_are(open_house: House) -> None:
    for path in ("fhir/Patient", "fhir/metadata", "auth/jwks"):
        assert (await open_house.http.get(f"/t/none/{path}")).status_code == 404


async def test_a_token_of_one_tenant_is_nothing_in_another(smart_house: House) -> None:
    header = await smart_house.token("a")
    assert (await smart_house.http.get("/t/a/fhir/Patient", headers=header)).status_code == 200
    for other in ("/t/b", ""):
        assert (await smart_house.http.get(f"{other}/fhir/Patient", headers=header)).status_code == 401
        form = {"token": header["authorization"].split()[1]}
        answer = await smart_house.http.post(f"{other}/auth/introspect", data=form, headers=header)
        assert answer.status_code == 401


async def test_clients_and_keys_are_of_one_tenant(smart_house: House) -> None:
    await smart_house.token("a")
    form = {"grant_type": "client_credentials", "scope": "system/*.rs"}
    assert (await smart_house.http.post("/t/b/auth/token", data=form, auth=(APP.id, SECRET))).status_code == 401
    keys = [(await smart_house.http.get(f"{at}/auth/jwks")).json()["keys"][0]["n"] for at in ("/t/a", "/t/b", "")]
    assert len(set(keys)) == 3
    at_a = (await smart_house.http.get("/t/a/fhir/.well-known/smart-configuration")).json()
    assert at_a["token_endpoint"] == f"{ORIGIN}/t/a/auth/token"
    at_a = (await smart_house.http.get("/t/a/fhir/.well-known/openid-configuration")).json()
    assert at_a["issuer"] == f"{ORIGIN}/t/a/fhir"


async def test_a_host_serves_its_tenant_and_nothing_else(tmp_path: Path) -> None:
    async with house(tmp_path, auth="none", tenant_hosts=("b.example=b",)) as both:
        await both.made("a", hosts=["A.example"])
        await both.made("b")
        for name in ("a", "b"):
            at = {"host": f"{name}.example:8080"}
            made = await both.http.put(f"/fhir/Patient/{name}", json=PATIENT | {"id": name}, headers=at)
            assert made.headers["location"].startswith(f"http://{name}.example:8080/fhir/Patient/{name}")
            assert (await both.http.get(f"/t/{name}/fhir/Patient/{name}")).status_code == 200
            assert (await both.http.get(f"/fhir/Patient/{name}")).status_code == 404
            assert (await both.http.get("/t/a/fhir/metadata", headers=at)).status_code == 404
            assert (await both.http.get("/auth/admin/tenants", headers=at)).status_code == 404
            page = (await both.http.get("/fhir/Patient", headers=at)).json()
            assert page["link"][0]["url"].startswith(f"http://{name}.example:8080/fhir/Patient")


async def test_the_public_url_of_the_settings_is_that_of_the_default_tenant(tmp_path: Path) -> None:
    async with house(tmp_path, auth="none", base_url="https://ehr.example/fhir") as one:
        await one.made("a")
        made = await one.http.post("/t/a/fhir/Patient", json=PATIENT)
        assert made.headers["location"].startswith("https://ehr.example/t/a/fhir/Patient/")
        made = await one.http.post("/fhir/Patient", json=PATIENT)
        assert made.headers["location"].startswith("https://ehr.example/fhir/Patient/")
