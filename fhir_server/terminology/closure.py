"""Closure tables: which of the codes that a client uses subsume which, told step by step.

Spec: https://hl7.org/fhir/R4/conceptmap-operation-closure.html
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Protocol

from fhir_server.terminology.code_system import CodeSystem

Json = dict[str, Any]


@dataclass(frozen=True, slots=True, order=True)
class Member:
    """One code of a table."""

    system: str
    code: str
    version: str = ""


class Found(Protocol):
    """Finds code systems."""

    def system(self, url: str, version: str = "") -> CodeSystem | None:
        """Return a code system."""


def relations(terminology: Found, old: Iterable[Member], new: Sequence[Member]) -> Iterator[tuple[Member, Member, str]]:
    """Yield what is to be known of new codes among themselves and with the old ones: source, target, equivalence.

    The equivalence says what the target is to the source: `subsumes` where it is the more general one. A code that is
    not known is `unmatched` with itself.
    """
    by_system: dict[str, dict[str, Member]] = {}
    for member in (*old, *new):
        by_system.setdefault(member.system, {})[member.code] = member
    for member in new:
        system = terminology.system(member.system, member.version)
        if system is None or system.concept(member.code) is None:
            yield member, member, "unmatched"
            continue
        yield from _of(system, member, by_system[member.system])


def _of(system: CodeSystem, member: Member, others: Mapping[str, Member]) -> Iterator[tuple[Member, Member, str]]:
    above, below = _common(system.ancestors(member.code), others), _common(system.descendants(member.code), others)
    for code in above:
        yield member, others[code], "equal" if code in below else "subsumes"
    for code in below:
        if code not in above:
            yield others[code], member, "subsumes"


def _common(codes: Iterable[str], others: Mapping[str, Member]) -> list[str]:
    return [code for code in codes if code in others]


def as_map(name: str, version: int, found: Iterable[tuple[Member, Member, str]], date: str) -> Json:
    """Return relations as the ConceptMap that tells a client of them, each once."""
    rows = sorted(set(found), key=lambda row: (row[0].system, row[1].system, row[0], row[1]))
    groups = [
        _group(*systems, list(of)) for systems, of in groupby(rows, key=lambda row: (row[0].system, row[1].system))
    ]
    made: Json = {
        "resourceType": "ConceptMap",
        "version": str(version),
        "name": "Closure",
        "title": name,
        "status": "active",
        "experimental": True,
        "date": date,
    }
    return made | ({"group": groups} if groups else {})


def _group(source: str, target: str, rows: Sequence[tuple[Member, Member, str]]) -> Json:
    elements = [
        {"code": code, "target": [_target(target_, equivalence) for _, target_, equivalence in of]}
        for code, of in groupby(rows, key=lambda row: row[0].code)
    ]
    return {"source": source, "target": target, "element": elements}


def _target(member: Member, equivalence: str) -> Json:
    return (
        {"equivalence": equivalence}
        if equivalence == "unmatched"
        else {"code": member.code, "equivalence": equivalence}
    )
