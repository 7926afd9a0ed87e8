"""A search parameter for the places that name a patient and that no parameter of R4 looks at.

Without it a merge would leave references there behind. The places are those of the server's table of mentions
(`profiles/patient_mentions.json`); a test holds this list to it.
"""

from typing import Any, Final

PLACES: Final = (
    "Account.guarantor.party",
    "CarePlan.author",
    "CarePlan.contributor",
    "Communication.about",
    "CommunicationRequest.about",
    "Composition.section.author",
    "Composition.section.focus",
    "Condition.recorder",
    "Consent.verification.verifiedWith",
    "Contract.term.offer.party.reference",
    "Contract.term.asset.valuedItem.responsible",
    "Contract.term.asset.valuedItem.recipient",
    "Contract.term.action.subject.reference",
    "Contract.term.action.requester",
    "Contract.term.action.performer",
    "DeviceUseStatement.source",
    "DocumentReference.context.sourcePatientInfo",
    "Goal.expressedBy",
    "Group.characteristic.value.ofType(Reference)",
    "MedicationRequest.reported.ofType(Reference)",
    "Procedure.recorder",
    "Procedure.asserter",
    "QuestionnaireResponse.item.answer.value.ofType(Reference)",
    "Task.restriction.recipient",
    "Task.input.value.ofType(Reference)",
    "Task.output.value.ofType(Reference)",
)


def mentioned_patient() -> dict[str, Any]:
    """Return the SearchParameter `mentioned-patient`."""
    return {
        "resourceType": "SearchParameter",
        "id": "mentioned-patient",
        "url": "http://fhir-server.org/SearchParameter/mentioned-patient",
        "name": "mentioned-patient",
        "status": "active",
        "description": "A patient who is named where no other parameter looks: as recorder, author, recipient.",
        "code": "mentioned-patient",
        "base": sorted({place.partition(".")[0] for place in PLACES}),
        "type": "reference",
        "expression": " | ".join(f"{place}.where(resolve() is Patient)" for place in PLACES),
        "target": ["Patient"],
    }
