"""Audit beyond the recorder: breach detection with alerts, accounting of disclosures, archives, a SIEM."""

from fhir_audit.settings import AuditSettings
from fhir_server.plugin_api import Manifest

MANIFEST = Manifest(
    name="fhir_audit",
    version="1.0.0",
    module="fhir_audit.plugin",
    summary="Detects breaches in the audit and alerts; accounts for disclosures; copies the audit elsewhere.",
    hooks=("register_collections", "register_scheduled_jobs", "register_operations", "register_audit_sinks"),
    settings=AuditSettings,
    scopes=(
        "system/Patient.rs", "system/Practitioner.rs", "system/PractitionerRole.rs", "system/Organization.rs",
        "system/RelatedPerson.rs", "system/Person.rs", "system/List.rs",
        "system/Flag.rus", "system/DetectedIssue.rus", "system/Communication.rus",
    ),
    past_consent=True,
    sends="Alerts (who and when, nothing of patients) to the targets that are set; the audit to archive and SIEM.",
)  # fmt: skip
