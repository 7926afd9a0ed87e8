"""A real server on a socket, with patients and observations in it."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.builders import bundle, entry
from tests.integration.running import running

PATIENTS = {
    "resourceType": "ViewDefinition", "id": "patients", "url": "http://example.org/views/patients", "version": "1",
    "name": "patients", "status": "active", "resource": "Patient",
    "select": [{"column": [
        {"name": "id", "path": "getResourceKey()", "type": "id"}, {"name": "born", "path": "birthDate", "type": "date"},
        {"name": "family", "path": "name.family.first()", "type": "string"},
    ]}],
}  # fmt: skip
VALUES = {
    "resourceType": "ViewDefinition", "id": "values", "name": "vals", "status": "active", "resource": "Observation",
    "select": [{"column": [
        {"name": "id", "path": "id"}, {"name": "patient", "path": "subject.getReferenceKey(Patient)"},
        {"name": "value", "path": "value.ofType(Quantity).value"}, {"name": "final", "path": "status = 'final'"},
        {"name": "n", "path": "%rowIndex"},
    ]}],
}  # fmt: skip
FAMILY: tuple[dict[str, Any], ...] = (
    {"resourceType": "Patient", "id": "ann", "birthDate": "1970-01-02", "name": [{"family": "Adams, the \"first\""}]},
    {"resourceType": "Patient", "id": "bob", "birthDate": "1980-05-05"},
    {
        "resourceType": "Group", "id": "anns", "type": "person", "actual": True,
        "member": [
            {"entity": {"reference": "Patient/ann"}}, {"entity": {"reference": "Patient/bob"}, "inactive": True},
        ],
    },
    *(
        {
            "resourceType": "Observation", "id": f"o{number}", "status": "final" if number % 2 else "amended",
            "code": {"text": "x"}, "subject": {"reference": f"Patient/{'ann' if number < 5 else 'bob'}"},
            "valueQuantity": {"value": 60 + number, "unit": "/min"},
        }
        for number in range(8)
    ),
    PATIENTS,
    VALUES,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Views:
    """A client that runs views."""

    http: httpx.Client
    base: str

    def get(self, path: str, **headers: str) -> httpx.Response:
        """Ask below the base."""
        return self.http.get(f"{self.base}/{path}", headers=headers)

    def post(self, path: str, *parts: dict[str, Any], **headers: str) -> httpx.Response:
        """Call an operation with parameters."""
        body = {"resourceType": "Parameters", "parameter": list(parts)}
        return self.http.post(f"{self.base}/{path}", json=body, headers=headers)

    def put(self, resource: dict[str, Any]) -> httpx.Response:
        """Write a resource under its id."""
        return self.http.put(f"{self.base}/{resource['resourceType']}/{resource['id']}", json=resource)

    def rows(self, path: str) -> list[dict[str, Any]]:
        """The rows of a view as JSON."""
        answer = self.get(path)
        assert answer.status_code == 200, answer.text
        found: list[dict[str, Any]] = answer.json()
        return found

    def issue(self, answer: httpx.Response) -> tuple[int, str, str]:
        """Status, code and first expression of what is wrong."""
        issue = answer.json()["issue"][0]
        return answer.status_code, issue["code"], (issue.get("expression") or [""])[0]

    def finished(self, accepted: httpx.Response) -> httpx.Response:
        """Wait for a job."""
        assert accepted.status_code == 202, accepted.text
        for _ in range(300):
            answer = self.http.get(accepted.headers["content-location"])
            if answer.status_code != 202:
                return answer
            time.sleep(0.1)
        raise AssertionError("the job does not end")


def _config(folder: Path) -> Path:
    """Settings under which a test sees in seconds what takes minutes."""
    file = folder / "server.toml"
    file.write_text("[plugins.fhir_views]\nreconcile_every = 1\nsql_timeout = 3\nrun_seconds = 3\n")
    return file


@pytest.fixture(scope="module")
def views(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Views]:
    """The client; what is stored is shared by the tests of a module."""
    flags = ("--config", str(_config(tmp_path_factory.mktemp("views-config"))))
    folder = tmp_path_factory.mktemp("views") / "data"
    with running(folder, *flags) as server, httpx.Client(timeout=60) as http:
        family = bundle("transaction", *(entry("PUT", f"{each['resourceType']}/{each['id']}", each) for each in FAMILY))
        answer = http.post(server.base, json=family)
        assert answer.status_code == 200, answer.text
        yield Views(http, server.base)


def value(name: str, type_: str, content: Any) -> dict[str, Any]:
    """A parameter."""
    return {"name": name, f"value{type_}": content}


def reference(name: str, to: str) -> dict[str, Any]:
    """A parameter that is a reference."""
    return value(name, "Reference", {"reference": to})
