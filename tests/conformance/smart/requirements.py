"""The requirements of SMART App Launch 2.2.0 for servers: which tests prove each, or what was decided instead.

`requirements-2.2.0.csv` holds of each requirement its number, level and section; the words are in the specification.
"""

import csv
import importlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FunctionType
from typing import TypeVar

HERE = Path(__file__).parent
LISTED = HERE / "requirements-2.2.0.csv"
SPECIFICATION = "https://hl7.org/fhir/smart-app-launch/STU2.2/"
Proof = TypeVar("Proof", bound=Callable[..., object])


@dataclass(frozen=True, slots=True)
class Requirement:
    """One requirement. `level`: SHALL, SHOULD NOT, MAY ...; `section`: page and anchor in the specification."""

    id: str
    level: str
    section: str

    @property
    def binding(self) -> bool:
        return self.level in ("SHALL", "SHALL NOT")


@dataclass(frozen=True, slots=True)
class Decision:
    """Why no test proves a requirement: `not applicable`, `not offered`, `deprecated`, `permitted` or `elsewhere`."""

    kind: str
    reason: str


def requirement(*ids: str) -> Callable[[Proof], Proof]:
    """Say which requirements a test proves."""

    def named(test: Proof) -> Proof:
        test.requirements = ids  # type: ignore[attr-defined]
        return test

    return named


def listed() -> list[Requirement]:
    with LISTED.open(newline="") as file:
        return [Requirement(row["id"], row["level"], row["section"]) for row in csv.DictReader(file)]


def proofs() -> dict[str, list[str]]:
    """Return the tests of each requirement, as `test_file::test_name`."""
    found: dict[str, list[str]] = {}
    for module, name, ids in _tests():
        for id_ in ids:
            found.setdefault(id_, []).append(f"{module}::{name}")
    return found


def _tests() -> Iterator[tuple[str, str, tuple[str, ...]]]:
    for path in sorted(HERE.glob("test_*.py")):
        module = importlib.import_module(f"tests.conformance.smart.{path.stem}")
        for name, value in vars(module).items():
            if isinstance(value, FunctionType) and name.startswith("test_"):
                yield path.stem, name, getattr(value, "requirements", ())


def _all(kind: str, reason: str, *ids: str) -> dict[str, Decision]:
    return dict.fromkeys(ids, Decision(kind, reason))


DECISIONS: dict[str, Decision] = {
    **_all("deprecated", "The list of requirements marks it as deprecated.", "27", "55"),
    **_all("not offered", "authorization_details has no use here: a token is for one endpoint.", "82"),
    **_all("permitted", "Tokens of all clients live equally long, by the setting token_life.", "92"),
    **_all("permitted", "Roles of launch context are none of ours; see the tests of 159.", "160"),
    **_all("permitted", "A patient is chosen for patient/ scopes, so the launch may leave the patient out.", "163"),
    **_all("not applicable", "Users here are a Patient, Practitioner or RelatedPerson; nobody is a Person.", "199"),
    **_all("not offered", "fhirUser is always absolute, so that it can be read without knowing the base.", "204"),
    **_all("not offered", "Keys are published as bare JWKs; X.509 certificates would say nothing more.", "208"),
    **_all("not offered", "Optional parts of OpenID Connect; discovery says that they are absent.",
           "212", "213", "214"),
    **_all("permitted", "What is hidden by other rules is left out of results, and an error array would tell of it.",
           "245", "246"),
    **_all("not offered", "RS384 and ES384 are what SMART names; more algorithms are more that can break.", "311"),
    **_all("permitted", "The bundle is as the operator writes it; hierarchies by partOf are served as they are.",
           "407", "408", "433", "434"),
}  # fmt: skip
"""What no test proves, and why."""
