"""Who asks too often is told when to come again; others are not held up."""

from pathlib import Path

from tests.conformance.smart.conftest import SYMMETRIC, started


async def test_limits_of_users_and_apps_are_their_own(tmp_path: Path) -> None:
    async with started(tmp_path, rate_user="3/hour", rate_client="5/hour") as ehr:
        doctor, ann = await ehr.bearer("user/*.rs", user=ehr.doctor), await ehr.bearer("user/*.rs", user=ehr.ann)
        assert [(await ehr.fhir("Patient", doctor)).status_code for _ in range(4)] == [200, 200, 200, 429]
        refused = await ehr.fhir("Patient", doctor)
        assert 0 < int(refused.headers["retry-after"]) <= 3_600
        assert refused.json()["issue"][0]["code"] == "throttled"
        assert (await ehr.fhir("Patient", ann)).status_code == 429, "the app has used up its own"
        other = await ehr.bearer("user/*.rs", SYMMETRIC, user=ehr.ann)
        assert (await ehr.fhir("Patient", other)).status_code == 200
        assert (await ehr.fhir("metadata")).status_code == 200


async def test_the_token_endpoint_and_the_pages_have_limits_of_addresses(tmp_path: Path) -> None:
    async with started(tmp_path, rate_token="2/hour", rate_sign_in="2/hour") as ehr:
        tokens = [await ehr.token({"grant_type": "none", "client_id": "public-app"}) for _ in range(3)]
        assert [answer.status_code for answer in tokens] == [400, 400, 429]
        assert tokens[-1].json()["error"] == "temporarily_unavailable" and "retry-after" in tokens[-1].headers
        pages = [await ehr.http.post("/auth/sign-in", data={"name": "doc", "password": "x"}) for _ in range(3)]
        assert [answer.status_code for answer in pages] == [403, 403, 429]
        assert "<h1>Too many attempts</h1>" in pages[-1].text
