"""Which code a call is about: `code` with `system` and `version`, or a `coding`, or a `codeableConcept`."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fhir_server.operations.inputs import Inputs
from fhir_server.operations.terminology.faults import one_of
from fhir_server.terminology.members import parts, text


@dataclass(frozen=True, slots=True)
class Coded:
    """A code of a system; what is not said is empty."""

    system: str
    code: str
    version: str = ""
    display: str = ""

    @classmethod
    def of(cls, coding: Any) -> "Coded":
        """Read a Coding."""
        return cls(text(coding, "system"), text(coding, "code"), text(coding, "version"), text(coding, "display"))


def one_code(inputs: Inputs, *, code: str = "code", coding: str = "coding", system: str = "") -> Coded:
    """Return the code that a call is about.

    Args:
        system: the canonical URL of the system where the call is made on one.

    Raises:
        BadRequest: none is given, or two are, or one without its system.
    """
    url, _, version = system.partition("|")
    plain, full = inputs.one(code), inputs.one(coding)
    if (plain is None) == (full is None):
        raise one_of(f"{code} (with system) and {coding}")
    if full is None:
        found = Coded(url or inputs.one("system", ""), plain, version or inputs.one("version", ""))
    else:
        given = Coded.of(full)
        found = Coded(given.system or url, given.code, given.version or version or inputs.one("version", ""))
    if not found.system or not found.code:
        raise one_of(f"{code} with system, and {coding} with system and code")
    return found


def codings_of(concept: Any) -> Sequence[Coded]:
    """Return the codings of a CodeableConcept that have a code."""
    return [found for found in map(Coded.of, parts(concept, "coding")) if found.code]
