"""The answer that is made in one piece is the answer that is made in parts."""

import pytest

from fhir_server.api import formats
from fhir_server.api.decode import Head, Parts
from fhir_server.api.encode import answer, whole
from fhir_server.api.routes import Router
from fhir_server.definitions import load
from fhir_server.model.exchange import FhirResponse
from fhir_server.model.keys import ResourceKey
from fhir_server.model.version import Body, Version
from fhir_server.settings import Settings

DATA = b'{"resourceType":"Patient","id":"p","meta":{}}'
VERSION = Version(1, ResourceKey("Patient", "p"), 3, 1, 1_700_000_000_123, "PUT", Body(DATA, DATA.index(b"meta") + 7))
READ = FhirResponse.of_version(VERSION)
BASE = "http://localhost/fhir"


def head(method: str = "GET", correlation: str | None = None, **headers: str) -> Head:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Head({}, method, "/fhir", b"/Patient/p", named, "r-1", correlation, "default", {})


@pytest.fixture(scope="module")
def parts() -> Parts:
    definitions = load()
    return Parts(definitions, Settings(), Router(definitions))


@pytest.mark.parametrize("accept", ["", "application/json", "application/fhir+json; fhirVersion=4.0"])
def test_a_read_in_one_piece_is_the_read_in_parts(parts: Parts, accept: str) -> None:
    wanted = formats.negotiate(accept)
    made = answer(READ, wanted, head(), BASE, parts)
    lines = b"".join(b"%b: %b\r\n" % field for field in made.headers)
    assert whole(READ, wanted, head()) == b"HTTP/1.1 200 OK\r\n" + lines + b"\r\n" + b"".join(made.chunks)


@pytest.mark.parametrize(
    ("response", "asked"),
    [
        (FhirResponse.of_version(VERSION, 201), head()),
        (FhirResponse(200, (b"{}",)), head()),
        (FhirResponse(200, (b"{", b"}"), VERSION), head()),
        (FhirResponse(200, (b"x" * 65_537,), VERSION), head()),
        (FhirResponse(200, (b"{}",), VERSION, {"Warning": "199"}), head()),
        (FhirResponse(200, (b"{}",), VERSION, media_type="text/plain"), head()),
        (READ, head("HEAD")),
        (READ, head(correlation="not an id")),
        (READ, head(origin="http://elsewhere")),
        (READ, head(if_none_match='W/"3"')),
        (READ, head(if_modified_since="Tue, 14 Nov 2023 22:13:20 GMT")),
        (READ, head(accept_encoding="gzip")),
    ],
)
def test_any_other_answer_is_made_in_parts(response: FhirResponse, asked: Head) -> None:
    assert whole(response, formats.DEFAULT, asked) is None
