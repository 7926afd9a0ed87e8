"""Scopes in plain words, for the page on which a user decides."""

from urllib.parse import parse_qsl

from fhir_server.auth.scopes import Scope, offered

_DOES = {"c": "add", "r": "read", "u": "change", "d": "delete", "s": "search"}
_WHOSE = {
    "patient": "of this patient",
    "user": "that you may see yourself",
    "system": "of everybody",
}
_NAMES = {
    "*": "all health data",
    "AllergyIntolerance": "allergies",
    "Appointment": "appointments",
    "CarePlan": "care plans",
    "CareTeam": "care teams",
    "Claim": "claims",
    "Condition": "health problems and diagnoses",
    "Consent": "consents",
    "Coverage": "insurance",
    "Device": "devices",
    "DiagnosticReport": "reports of examinations",
    "DocumentReference": "documents",
    "Encounter": "visits",
    "ExplanationOfBenefit": "bills and what insurance paid",
    "FamilyMemberHistory": "illnesses in the family",
    "Goal": "goals",
    "ImagingStudy": "images",
    "Immunization": "vaccinations",
    "MedicationAdministration": "medicines that were given",
    "MedicationDispense": "medicines that were handed out",
    "MedicationRequest": "prescriptions",
    "MedicationStatement": "medicines",
    "Observation": "measurements and laboratory results",
    "Patient": "name, address and other personal details",
    "Practitioner": "doctors and other professionals",
    "Procedure": "treatments and operations",
    "QuestionnaireResponse": "answers to questionnaires",
    "ServiceRequest": "orders",
}
_OTHERS = {
    "openid": "know that it is you",
    "fhirUser": "know your own entry in the health record",
    "profile": "know your own entry in the health record",
    "offline_access": "keep this access while you are not there, until you take it back",
    "online_access": "keep this access while you are signed in",
    "launch/patient": "know which patient this is about",
    "launch/encounter": "know which visit this is about",
    "launch": "know what you were looking at",
}


def of_scope(scope: Scope) -> str:
    """Return what a scope lets an app do, as the end of "The app may ..."."""
    does = [_DOES[letter] for letter in scope.letters if not (letter == "s" and "r" in scope.letters)]
    verbs = " and ".join(filter(None, [", ".join(does[:-1]), does[-1]]))
    what = _NAMES.get(scope.type, f"{scope.type} records")
    only = ", ".join(f"{name} {value.rpartition('|')[2]}" for name, value in parse_qsl(scope.query))
    return f"{verbs} {what} {_WHOSE[scope.level]}" + (f" (only with {only})" if only else "")


def of_other(name: str) -> str:
    """Return the same of a scope that is not about resources."""
    return _OTHERS.get(name) or offered().get(name, name)
