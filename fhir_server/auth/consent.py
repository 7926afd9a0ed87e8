"""What one FHIR Consent says, read once into plain rules.

The base is `policyRule`; where senders put a type at the root of `provision`, which R4 does not foresee, it overrides
the base. Provisions are exceptions to what they are nested in. A Consent that cannot be read denies everything.

Spec: https://hl7.org/fhir/R4/consent.html
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from fhir_server.search.dates import date_bounds

Json = Mapping[str, Any]

_BASES = {
    "OPTIN": True, "OPTINR": True, "IMPLIED": True, "IMPLIEDD": True, "hipaa-auth": True,
    "OPTOUT": False, "OPTOUTE": False, "NOCONSENT": False, "EMRGONLY": False,
}  # fmt: skip
"""Policies and whether they permit. Spec: http://terminology.hl7.org/CodeSystem/v3-ActCode, _ActConsentDirective"""

_OTHER_SCOPES = frozenset(("research", "adr"))
_READING = frozenset(("access", "use", "disclose"))
_TYPES = ("http://hl7.org/fhir/resource-types", "http://hl7.org/fhir/StructureDefinition")
_PATIENT = re.compile(r"(?:.*/)?Patient/([A-Za-z0-9\-.]{1,64})(?:/_history/.*)?")
_LITERAL = re.compile(r"(?:.*/)?([A-Z][A-Za-z]+/[A-Za-z0-9\-.]{1,64})(?:/_history/.*)?")

Coding = tuple[str, str]


class Unreadable(Exception):
    """Something in a Consent that nobody can tell the meaning of; the message says what."""


@dataclass(frozen=True, slots=True)
class Provision:
    """One rule and its exceptions. What is empty does not narrow it.

    Times are milliseconds since 1970 UTC, half open; `care` is of the date of the data, in the text of the Consent.
    """

    permit: bool
    period: tuple[int | None, int | None] = (None, None)
    actors: frozenset[str] = frozenset()
    purposes: frozenset[str] = frozenset()
    reads: bool = True
    types: frozenset[str] = frozenset()
    codes: tuple[Coding, ...] = ()
    labels: tuple[Coding, ...] = ()
    care: tuple[str, str] = ("", "")
    data: frozenset[str] = frozenset()
    inner: tuple["Provision", ...] = ()

    @property
    def narrows(self) -> bool:
        """Tell whether it is about some of the data, callers or purposes, not all."""
        empty = Provision(self.permit, self.period, inner=self.inner)
        return self != empty


@dataclass(frozen=True, slots=True)
class Directive:
    """One Consent in force: whose it is, the base, and the exceptions; `fault` says why it cannot be read."""

    id: str
    patient: str
    permit: bool
    period: tuple[int | None, int | None] = (None, None)
    exceptions: tuple[Provision, ...] = ()
    fault: str = ""


def read_consent(resource: Json) -> Directive | None:
    """Return what a Consent says; None for one that is not in force, or about something else than disclosure."""
    if resource.get("status") != "active" or _codes([resource.get("scope")]) & _OTHER_SCOPES:
        return None
    id_ = str(resource.get("id"))
    patient = ""
    try:
        found = _PATIENT.fullmatch(str(resource["patient"]["reference"]))
        if found is None:
            raise Unreadable("its patient is not of this server")
        patient = found[1]
        return _directive(resource, id_, patient)
    except (Unreadable, KeyError, TypeError, ValueError, AttributeError) as error:
        return Directive(id_, patient, False, fault=str(error) or type(error).__name__)


def _directive(resource: Json, id_: str, patient: str) -> Directive:
    policy = _policy(resource)
    given = resource.get("provision")
    if given is None:
        if policy is None:
            raise Unreadable("it has no policyRule that is known, and no provision")
        return Directive(id_, patient, policy)
    type_ = given.get("type")
    if type_ is None and policy is None:
        raise Unreadable("it has no policyRule that is known, and no type")
    root = _provision(given, type_ or ("permit" if policy else "deny"))
    if not root.narrows:
        return Directive(id_, patient, root.permit, root.period, root.inner)
    base = not root.permit if policy is None else policy
    return Directive(id_, patient, base, root.period, (replace(root, period=(None, None)),))


def _policy(resource: Json) -> bool | None:
    known = [_BASES[code] for code in _codes([resource.get("policyRule")]) if code in _BASES]
    return all(known) if known else None


def _provision(given: Json, type_: str | None = None) -> Provision:
    type_ = type_ or given.get("type")
    if type_ not in ("permit", "deny"):
        raise Unreadable(f"a provision has the type {type_!r}")
    actions = _codes(given.get("action", []))
    return Provision(
        permit=type_ == "permit",
        period=_period(given.get("period", {})),
        actors=frozenset(_actor(actor) for actor in given.get("actor", [])),
        purposes=frozenset(str(coding["code"]) for coding in given.get("purpose", [])),
        reads=not actions or bool(actions & _READING),
        types=frozenset(_type(coding) for coding in given.get("class", [])),
        codes=_codings(given.get("code", [])),
        labels=tuple(_coding(coding) for coding in given.get("securityLabel", [])),
        care=_care(given.get("dataPeriod", {})),
        data=frozenset(_literal(data["reference"]) for data in given.get("data", [])),
        inner=tuple(_provision(each) for each in given.get("provision", [])),
    )


def _codes(concepts: Iterable[Any]) -> frozenset[str]:
    return frozenset(str(c["code"]) for each in concepts if each for c in each.get("coding", []) if "code" in c)


def _codings(concepts: Iterable[Json]) -> tuple[Coding, ...]:
    found = tuple(_coding(coding) for concept in concepts for coding in concept.get("coding", []))
    if not found and list(concepts):
        raise Unreadable("a code is text alone")
    return found


def _coding(coding: Json) -> Coding:
    return str(coding.get("system", "")), str(coding["code"])


def _period(period: Json) -> tuple[int | None, int | None]:
    start, end = period.get("start"), period.get("end")
    return (date_bounds(start)[0] // 1000 if start else None, date_bounds(end)[1] // 1000 if end else None)


def _care(period: Json) -> tuple[str, str]:
    for text in period.values():
        date_bounds(text)
    return str(period.get("start", "")), str(period.get("end", ""))


def _type(coding: Json) -> str:
    system, code = _coding(coding)
    if system not in _TYPES:
        raise Unreadable(f"the class {system[:100]}|{code[:100]} is no resource type")
    return code.rpartition("/")[2]


def _actor(actor: Json) -> str:
    """Return `Practitioner/1`, or `system|value` where the actor is named by an identifier."""
    reference = actor["reference"]
    if "reference" in reference:
        return _literal(reference)
    return f"{reference['identifier'].get('system', '')}|{reference['identifier']['value']}"


def _literal(reference: Json) -> str:
    found = _LITERAL.fullmatch(str(reference["reference"]))
    if found is None:
        raise Unreadable("a reference leads nowhere on this server")
    return found[1]
