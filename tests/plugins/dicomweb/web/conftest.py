"""A server in memory for the tests of DICOMweb, and what speaks with it."""

from collections.abc import Iterator
from io import BytesIO
from typing import Any

import httpx
import pydicom
import pytest

from fhir_server.testing.server import TestServer, serving
from tests.plugins.dicomweb.dimse.objects import ct
from tests.plugins.only import but

SETTINGS = {"issuers": {"HOSP": "urn:hosp"}, "max_inflated": 50_000_000}


class Web:
    """DICOMweb of a server."""

    def __init__(self, server: TestServer) -> None:
        self.server, self.client = server, server.client

    def store(self, *objects: bytes, study: str = "", accept: str = "application/dicom+json") -> httpx.Response:
        """Store objects in one request."""
        return self.send(multipart(*objects), 'multipart/related; type="application/dicom"; boundary=b', study, accept)

    def send(
        self, body: Any, kind: str, study: str = "", accept: str = "application/dicom+json"
    ) -> httpx.Response:  # fmt: skip
        """Post a body."""
        path = f"/dicomweb/studies{f'/{study}' if study else ''}"
        return self.client.post(path, content=body, headers={"content-type": kind, "accept": accept})

    def get(self, path: str, accept: str = "", **headers: str) -> httpx.Response:
        """Get a path below the root."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.client.get(f"/dicomweb{path}", headers={**({"accept": accept} if accept else {}), **named})

    def found(self, path: str) -> list[dict[str, Any]]:
        """Return the rows of a search."""
        answer = self.get(path)
        assert answer.status_code == 200, answer.text
        rows: list[dict[str, Any]] = answer.json()
        return rows

    def imaging_study(self, study: str) -> dict[str, Any]:
        """Return the ImagingStudy of a study."""
        found = self.client.get("/fhir/ImagingStudy", params={"identifier": f"urn:dicom:uid|urn:oid:{study}"}).json()
        assert found["total"] == 1, found
        resource: dict[str, Any] = found["entry"][0]["resource"]
        return resource


def multipart(*objects: bytes) -> bytes:
    """Return a multipart body."""
    parts = (b"--b\r\nContent-Type: application/dicom\r\n\r\n" + each + b"\r\n" for each in objects)
    return b"".join(parts) + b"--b--\r\n"


def parts_of(answer: httpx.Response) -> list[tuple[str, bytes]]:
    """Return the parts of an answer: the head of each, and its body."""
    boundary = answer.headers["content-type"].split("boundary=")[1].encode()
    found = []
    for each in (b"\r\n" + answer.content).split(b"\r\n--" + boundary)[1:-1]:
        head, _, body = each.partition(b"\r\n\r\n")
        found.append((head.decode(), body))
    return found


def part10(data_set: pydicom.Dataset) -> bytes:
    """Return an object as a file."""
    out = BytesIO()
    pydicom.dcmwrite(out, data_set, enforce_file_format=True)
    return out.getvalue()


def slices(study: str, count: int = 1, **more: Any) -> list[bytes]:
    """Return the objects of a series."""
    return [part10(ct(study=study, number=number + 1, **more)) for number in range(count)]


@pytest.fixture(scope="session")
def web() -> Iterator[Web]:
    """A server that all tests share; each has studies of its own."""
    with serving(plugins_disabled=but("dicomweb"), plugins={"dicomweb": SETTINGS}) as server:
        yield Web(server)
