"""Binary: raw content and as a resource. Spec: https://hl7.org/fhir/R4/binary.html"""

from base64 import b64encode

import pytest

from tests.builders import bundle, entry, resource
from tests.conformance.http.fhir import Fhir

CONTENT = b"\x00\xff%PDF"
FHIR = "application/fhir+json"


async def _stored(fhir: Fhir) -> str:
    answer = await fhir("POST", "Binary", CONTENT, content_type="application/pdf", x_security_context="Patient/a")
    assert answer.status == 201
    return answer.id


async def test_raw_content_is_wrapped_in_a_resource(fhir: Fhir) -> None:
    id_ = await _stored(fhir)
    found = (await fhir.get(f"Binary/{id_}", accept=FHIR)).json
    found.pop("meta")
    assert found == {
        "resourceType": "Binary",
        "id": id_,
        "contentType": "application/pdf",
        "securityContext": {"reference": "Patient/a"},
        "data": b64encode(CONTENT).decode(),
    }


@pytest.mark.parametrize(
    "accept", ["*/*", "application/pdf", "text/html,application/xhtml+xml,*/*;q=0.8", "application/json"]
)
async def test_content_comes_back_raw_unless_fhir_is_asked_for_by_name(fhir: Fhir, accept: str) -> None:
    answer = await fhir.get(f"Binary/{await _stored(fhir)}", accept=accept)
    assert (answer.status, answer.body) == (200, CONTENT)
    assert answer.response is not None
    assert answer.response.media_type == "application/pdf"
    assert answer.headers["X-Security-Context"] == "Patient/a"
    assert answer.version == 1


@pytest.mark.parametrize(
    "accept",
    [FHIR, "application/fhir+xml", "application/fhir+json; fhirVersion=4.0", "text/html, application/fhir+json"],
)
async def test_the_resource_comes_back_where_fhir_is_asked_for(fhir: Fhir, accept: str) -> None:
    answer = await fhir.get(f"Binary/{await _stored(fhir)}", accept=accept)
    assert answer.json["resourceType"] == "Binary"


@pytest.mark.parametrize(
    ("format_", "raw"), [("json", False), ("application/fhir%2Bjson", False), ("application/pdf", True)]
)
async def test_format_goes_before_accept(fhir: Fhir, format_: str, raw: bool) -> None:
    answer = await fhir.get(f"Binary/{await _stored(fhir)}?_format={format_}", accept="*/*" if not raw else FHIR)
    assert (answer.body == CONTENT) is raw


async def test_raw_content_can_be_updated_and_read_by_version(fhir: Fhir) -> None:
    await fhir("PUT", "Binary/b", b"one", content_type="text/plain; charset=utf-8")
    answer = await fhir("PUT", "Binary/b", b"two", content_type="text/plain; charset=utf-8")
    assert (answer.status, answer.version) == (200, 2)
    assert (await fhir.get("Binary/b")).body == b"two"
    assert (await fhir.get("Binary/b/_history/1")).body == b"one"


async def test_empty_content_is_content(fhir: Fhir) -> None:
    await fhir("PUT", "Binary/b", b"", content_type="text/plain")
    assert (await fhir.get("Binary/b")).body == b""


async def test_a_binary_sent_as_a_resource_comes_back_as_content_too(fhir: Fhir) -> None:
    await fhir.put_all(resource("Binary", "b", contentType="text/plain", data="eA=="))
    assert (await fhir.get("Binary/b")).body == b"x"


async def test_in_bundles_binaries_are_resources(fhir: Fhir) -> None:
    id_ = await _stored(fhir)
    assert (await fhir.get(f"Binary?_id={id_}")).resources[0]["resourceType"] == "Binary"
    read = await fhir.post("", bundle("batch", entry("GET", f"Binary/{id_}")))
    assert read.resources[0]["data"] == b64encode(CONTENT).decode()


async def test_a_binary_that_is_no_base64_is_refused(fhir: Fhir) -> None:
    assert (await fhir.put("Binary/b", resource("Binary", "b", contentType="text/plain", data="%"))).status == 422


async def test_conditional_reads_of_content(fhir: Fhir) -> None:
    answer = await fhir.get(f"Binary/{await _stored(fhir)}", if_none_match='W/"1"')
    assert (answer.status, answer.body) == (304, b"")


async def test_what_a_client_tells_its_own_server_in_the_url_of_a_binary_is_let_pass(fhir: Fhir) -> None:
    answer = await fhir("POST", "Binary?_filename=scan.pdf", CONTENT, content_type="application/pdf")
    assert answer.status == 201
