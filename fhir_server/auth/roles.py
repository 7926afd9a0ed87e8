"""Roles: the most that the users of each may be granted, and what a grant is worth at this moment.

A role is a name with `user/` scopes. What a user grants an app is cut down to what their roles allow, when the grant is
made and each time that a token of it is looked up.
"""

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from fhir_server.auth.desk import Desk
from fhir_server.auth.limits_of_consent import OWN_LABELS
from fhir_server.auth.scopes import LETTERS, Scopes, narrowed, parse_scope, parse_scopes
from fhir_server.auth.users import User, find_user
from fhir_server.model.keys import ResourceKey
from fhir_server.settings import Settings

if TYPE_CHECKING:
    from fhir_server.auth.grants import Grant

_EVERYTHING = f"user/*.{LETTERS}"


def _each(types: str, letters: str) -> str:
    return " ".join(f"user/{type_}.{letters}" for type_ in types.split())


_STATE = "user/Basic.cruds"
"""So that apps may keep the preferences of their users here: docs/smart.md, State of apps."""
_PLACES = "Practitioner PractitionerRole Organization Location HealthcareService"

DEFAULTS: Mapping[str, str] = {
    "admin": _EVERYTHING,
    "clinician": _EVERYTHING,
    "nurse": "user/*.rs "
    + _each(
        "Observation Condition Procedure MedicationAdministration MedicationStatement Immunization AllergyIntolerance "
        "CarePlan CareTeam Goal Task Communication Encounter Flag QuestionnaireResponse DocumentReference Binary "
        "NutritionOrder DeviceUseStatement Specimen Provenance",
        "cru",
    )
    + f" {_STATE}",
    "clerk": _each("Patient RelatedPerson Appointment AppointmentResponse Schedule Slot Encounter Coverage", "cruds")
    + f" {_STATE}"
    + " "
    + _each(f"Account EpisodeOfCare {_PLACES}", "rs"),
    "billing": _each(
        "Account Claim ClaimResponse Coverage CoverageEligibilityRequest CoverageEligibilityResponse "
        "ExplanationOfBenefit Invoice ChargeItem PaymentNotice PaymentReconciliation",
        "cruds",
    )
    + " "
    + _each(f"Patient RelatedPerson Encounter Condition Procedure ServiceRequest {_PLACES}", "rs")
    + f" {_STATE}",
    "auditor": _each("AuditEvent Provenance", "rs")
    + " "
    + " ".join(f"user/{type_}.rs?_security=BREACH" for type_ in OWN_LABELS["BREACH"]),
    "patient": "user/*.rs "
    + _each("Observation QuestionnaireResponse Communication DocumentReference Binary Appointment Consent", "cru")
    + f" user/Patient.u {_STATE}",
}
"""Roles that are there from the start; a roles file replaces those that it names and adds others."""

PATIENT = "patient"


class BadRoles(Exception):
    """A roles file that cannot be used; the message says where."""


@cache
def roles_of(path: Path | None) -> Mapping[str, Scopes]:
    """Return the roles that are in force. Raises BadRoles."""
    texts = dict(DEFAULTS) | (_read(path) if path else {})
    return {name: _limit(name, text) for name, text in texts.items()}


def _read(path: Path) -> dict[str, str]:
    try:
        return msgspec.convert(tomllib.loads(path.read_text()), dict[str, str])
    except (OSError, tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise BadRoles(f"{path}: {error}") from None


def _limit(name: str, text: str) -> Scopes:
    for word in text.split():
        scope = parse_scope(word)
        if scope is None or scope.level != "user":
            raise BadRoles(f"role {name}: {word!r} is no user/ scope")
    return parse_scopes(text)


def counting(settings: Settings, user: User) -> tuple[str, ...]:
    """Return the roles of a user that count: `strong_roles` do only with an authenticator or a passkey.

    Who is a patient or represents one, and has no role, has that of a patient.
    """
    roles = user.roles or ((PATIENT,) if _is_patient(user) else ())
    if user.totp or user.passkeys:
        return roles
    return tuple(role for role in roles if role not in settings.strong_roles)


def within(settings: Settings, roles: Iterable[str], scopes: Scopes) -> Scopes:
    """Return what of some scopes lies within the roles."""
    known = roles_of(settings.roles_file)
    limits = tuple(dict.fromkeys(scope for role in roles if role in known for scope in known[role].resources))
    if any(limit.text == _EVERYTHING for limit in limits):
        return scopes
    return Scopes(narrowed(scopes, Scopes(limits)).resources, scopes.others)


async def at_present(desk: Desk, grant: "Grant") -> "Grant | None":
    """Return a grant as far as its user may have it now; None where the user has gone or is switched off."""
    if not grant.user:
        return replace(grant, represented=await represented(desk, (grant.subject,)))
    user = await find_user(desk, grant.user)
    if user is None:
        return None
    roles = counting(desk.settings, user)
    now = replace(
        grant, roles=roles, subject=user.subject, represented=await represented(desk, (user.subject, *user.also))
    )
    if grant.emergency:
        return now if set(roles) & set(desk.settings.break_glass_roles) else None
    return replace(now, scopes=str(within(desk.settings, roles, parse_scopes(grant.scopes))))


async def represented(desk: Desk, subjects: Iterable[str]) -> tuple[str, ...] | None:
    """Return the patients that someone is or represents; None where they are neither."""
    found: list[str] = []
    bound = False
    for subject in subjects:
        type_, _, id_ = subject.partition("/")
        bound = bound or type_ in ("Patient", "RelatedPerson")
        if type_ == "Patient":
            found.append(id_)
        elif type_ == "RelatedPerson":
            found += await _patient_of(desk, id_)
    return tuple(dict.fromkeys(found)) if bound else None


class _Reference(msgspec.Struct):
    reference: str = ""


class _Period(msgspec.Struct):
    start: str = ""
    end: str = ""


class _RelatedPerson(msgspec.Struct):
    active: bool = True
    patient: _Reference = msgspec.field(default_factory=_Reference)
    period: _Period = msgspec.field(default_factory=_Period)


_related = msgspec.json.Decoder(_RelatedPerson)


async def _patient_of(desk: Desk, id_: str) -> list[str]:
    """Return the patient of a RelatedPerson in force. Spec: https://hl7.org/fhir/R4/relatedperson.html"""
    version = await desk.store.read(ResourceKey("RelatedPerson", id_))
    if version is None or version.deleted:
        return []
    person = _related.decode(version.stamped())
    today = datetime.fromtimestamp(desk.now() / 1000, UTC).date().isoformat()
    start, end = person.period.start[:10], person.period.end[:10]
    if not person.active or start > today[: len(start)] or (end and end < today[: len(end)]):
        return []
    type_, _, patient = person.patient.reference.rpartition("/")
    return [patient] if type_.rpartition("/")[2] == "Patient" else []


def _is_patient(user: User) -> bool:
    return any(subject.startswith(("Patient/", "RelatedPerson/")) for subject in (user.subject, *user.also))


def of_token(desk: Desk, grant: "Grant", scopes: str) -> str:
    """Return the scopes of a token as far as its user's roles let them be at present."""
    if not grant.user or grant.emergency:
        return scopes
    return str(within(desk.settings, grant.roles, parse_scopes(scopes)))
