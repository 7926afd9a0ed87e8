"""What a plugin adds is there, as anybody's would be."""

import httpx


async def test_an_operation_is_called_at_each_level(http: httpx.AsyncClient) -> None:
    for path in ("/fhir/$hello", "/fhir/Patient/$hello"):
        answer = await http.get(path, params={"name": "you"})
        assert answer.json()["parameter"] == [{"name": "greeting", "valueString": "Hello you, 0 of 0"}]


async def test_what_it_throws_is_not_shown(http: httpx.AsyncClient) -> None:
    answer = await http.get("/fhir/$hello", params={"name": "boom"})
    assert answer.status_code == 500
    assert "must not be seen" not in answer.text


async def test_a_write_is_refused_with_the_place(http: httpx.AsyncClient) -> None:
    answer = await http.post("/fhir/Patient", json={"resourceType": "Patient", "name": [{"family": "Refused"}]})
    assert answer.status_code == 422
    issue = answer.json()["issue"][0]
    assert (issue["expression"], issue["diagnostics"]) == (["Patient.name[0].family"], "nobody is called so")


async def test_a_warning_of_a_check_is_told_to_who_wants_an_outcome(http: httpx.AsyncClient) -> None:
    person = {"resourceType": "Patient", "name": [{"family": "Warned"}]}
    told = {"prefer": "return=OperationOutcome"}
    made = await http.post("/fhir/Patient", json=person, headers=told)
    assert made.status_code == 201
    said = [(each["severity"], each["diagnostics"], each.get("expression")) for each in made.json()["issue"]]
    assert ("warning", "few are called so", ["Patient.name[0].family"]) in said
    assert (await http.post("/fhir/Patient", json=person)).json()["resourceType"] == "Patient"
    entry = {"resource": person, "request": {"method": "POST", "url": "Patient"}}
    for type_ in ("batch", "transaction"):
        bundle = {"resourceType": "Bundle", "type": type_, "entry": [entry]}
        done = (await http.post("/fhir", json=bundle, headers=told)).json()
        assert "few are called so" in str(done["entry"][0]["response"]["outcome"])


async def test_a_write_is_amended_and_found_as_amended(http: httpx.AsyncClient) -> None:
    made = await http.post("/fhir/Patient", json={"resourceType": "Patient", "name": [{"family": "Amended"}]})
    assert made.json()["name"][0]["family"] == "AMENDED"
    found = await http.get("/fhir/Patient", params={"family:exact": "AMENDED"})
    assert len(found.json()["entry"]) == 1


async def test_nothing_is_written_when_a_check_throws(http: httpx.AsyncClient) -> None:
    answer = await http.post("/fhir/Patient", json={"resourceType": "Patient", "name": [{"family": "Boom"}]})
    assert answer.status_code == 500
    assert "probe" in answer.json()["issue"][0]["diagnostics"]
    assert "entry" not in (await http.get("/fhir/Patient")).json()


async def test_what_is_shown_is_masked_everywhere(http: httpx.AsyncClient) -> None:
    body = {"resourceType": "Patient", "telecom": [{"system": "phone", "value": "555"}], "name": [{"family": "Shown"}]}
    made = (await http.post("/fhir/Patient", json=body)).json()
    assert "telecom" not in made
    for path in (f"/fhir/Patient/{made['id']}", "/fhir/Patient", f"/fhir/Patient/{made['id']}/_history"):
        assert "555" not in (await http.get(path)).text


async def test_a_record_goes_with_its_resource_or_not_at_all(http: httpx.AsyncClient) -> None:
    assert (await http.post("/probe/notes/one", content="first")).status_code == 201
    assert (await http.get("/probe/notes/one")).json() == {"text": "first"}
    again = await http.post("/probe/notes/one", content="second")
    assert again.status_code >= 400
    assert (await http.get("/fhir/Patient", params={"_summary": "count"})).json()["total"] == 1


async def test_a_search_parameter_is_in_force(http: httpx.AsyncClient) -> None:
    name = {"use": "nickname", "given": ["Bo"]}
    await http.post("/fhir/Patient", json={"resourceType": "Patient", "name": [name]})
    assert len((await http.get("/fhir/Patient", params={"nickname": "bo"})).json()["entry"]) == 1


async def test_the_capability_statement_says_so(http: httpx.AsyncClient) -> None:
    statement = (await http.get("/fhir/metadata")).json()
    assert statement["description"] == "with the probe"
    assert "hello" in {each["name"] for each in statement["rest"][0]["operation"]}


async def test_a_page_is_shown(http: httpx.AsyncClient) -> None:
    assert "<h1>Probe</h1>" in (await http.get("/probe")).text


async def test_a_page_is_listed_on_the_first_one(http: httpx.AsyncClient) -> None:
    assert '<a href="probe">Probe</a>' in (await http.get("/")).text


async def test_health_tells_of_faults_and_of_what_checks_say(http: httpx.AsyncClient) -> None:
    before = (await http.get("/health/ready")).json()["plugins"]["probe"]
    assert before == {"state": "failing", "faults": 0, "checks": {"lamp": "the lamp is out"}}
    await http.get("/fhir/$hello", params={"name": "boom"})
    after = await http.get("/health/ready")
    assert after.status_code == 200
    assert after.json()["plugins"]["probe"]["faults"] == 1


async def test_strangers_learn_of_states_alone(http: httpx.AsyncClient) -> None:
    transport = httpx.ASGITransport(app=http._transport.app, client=("203.0.113.9", 1))  # type: ignore[attr-defined]
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as stranger:
        assert (await stranger.get("/health/ready")).json()["plugins"]["probe"] == {"state": "failing"}
        assert (await stranger.get("/metrics")).status_code == 403


async def test_numbers_are_in_the_text_format(http: httpx.AsyncClient) -> None:
    await http.get("/fhir/$hello", params={"name": "boom"})
    lines = (await http.get("/metrics")).text.splitlines()
    assert 'fhir_server_plugin_faults_total{plugin="probe"} 1.0' in lines
    assert 'probe_lamps{room="hall"} 3.0' in lines


async def test_a_socket_lets_in_and_echoes(http: httpx.AsyncClient) -> None:
    answer = await http.get("/probe/echo")
    assert answer.status_code == 404  # it is no path of HTTP
