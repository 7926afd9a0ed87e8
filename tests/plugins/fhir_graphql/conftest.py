"""A real server on a socket, with a small family in it."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from tests.builders import bundle, entry
from tests.integration.running import running

CODE = {"coding": [{"system": "http://loinc.org", "code": "8867-4"}], "text": "Heart rate"}
ANN = {
    "resourceType": "Patient", "id": "ann", "gender": "female", "birthDate": "1970-01-02", "active": True,
    "name": [
        {"use": "official", "family": "Adams", "given": ["Ann", "Mary"]}, {"use": "maiden", "family": "Baker"},
    ],
    "contained": [{"resourceType": "Practitioner", "id": "gp", "name": [{"family": "Inner"}]}],
    "generalPractitioner": [{"reference": "#gp"}, {"reference": "Practitioner/grey"}, {"display": "somebody"}],
}  # fmt: skip
FAMILY: tuple[dict[str, Any], ...] = (
    {"resourceType": "Practitioner", "id": "grey", "name": [{"family": "Grey"}]},
    ANN,
    {"resourceType": "Patient", "id": "bob", "name": [{"family": "Brown"}], "birthDate": "1980-05-05"},
    *(
        {
            "resourceType": "Observation", "id": f"o{number}", "status": "final" if number % 2 else "amended",
            "code": CODE, "subject": {"reference": f"Patient/{'ann' if number < 5 else 'bob'}"},
            "performer": [{"reference": "Practitioner/grey"}], "valueQuantity": {"value": 60 + number, "unit": "/min"},
        }
        for number in range(8)
    ),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Graph:
    """A client of `$graphql`."""

    http: httpx.Client
    base: str

    def ask(self, query: str, at: str = "", **more: Any) -> dict[str, Any]:
        """The whole answer to a query."""
        answer = self.http.post(f"{self.base}/{at}$graphql", json={"query": query, **more})
        assert answer.headers["content-type"] == "application/json", answer.text
        found: dict[str, Any] = answer.json()
        return found

    def data(self, query: str, at: str = "", **more: Any) -> Any:
        """The data of a query that nothing is wrong with."""
        found = self.ask(query, at, **more)
        assert "errors" not in found, found["errors"]
        return found["data"]

    def errors(self, query: str, at: str = "", **more: Any) -> list[str]:
        """The messages of what is wrong with a query; each has an OperationOutcome."""
        found = self.ask(query, at, **more)
        for error in found["errors"]:
            assert error["extensions"]["resource"]["resourceType"] == "OperationOutcome"
        return [error["message"] for error in found["errors"]]


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Graph]:
    """The client; the family is shared by the tests of a module."""
    folder = tmp_path_factory.mktemp("graph")
    (folder / "server.toml").write_text("[plugins.fhir_graphql]\nmax_seconds = 3\n")
    flags = ("--config", str(folder / "server.toml"))
    with running(folder / "data", *flags) as server, httpx.Client(timeout=60) as http:
        family = bundle("transaction", *(entry("PUT", f"{each['resourceType']}/{each['id']}", each) for each in FAMILY))
        assert http.post(server.base, json=family).status_code == 200
        yield Graph(http, server.base)
