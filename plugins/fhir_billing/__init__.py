"""Billing and insurance on one double-entry ledger: charges, invoices, payments, claims, reconciliation."""

from fhir_billing.settings import BillingSettings
from fhir_server.plugin_api import Manifest

MANIFEST = Manifest(
    name="fhir_billing",
    version="1.0.0",
    module="fhir_billing.plugin",
    summary="Charges, invoices, payments, insurance claims and reconciliation on one double-entry ledger.",
    hooks=("register_collections", "register_write_checks"),
    settings=BillingSettings,
    scopes=(
        "system/Account.crus",
        "system/ChargeItem.crus",
        "system/ChargeItemDefinition.rs",
        "system/Claim.crus",
        "system/ClaimResponse.crus",
        "system/Coverage.rs",
        "system/CoverageEligibilityRequest.crus",
        "system/CoverageEligibilityResponse.crus",
        "system/Encounter.rs",
        "system/ExplanationOfBenefit.crus",
        "system/ImagingStudy.rs",
        "system/InsurancePlan.rs",
        "system/Invoice.crus",
        "system/Location.rs",
        "system/MeasureReport.crus",
        "system/MedicationDispense.rs",
        "system/Observation.rs",
        "system/Organization.rs",
        "system/Patient.rs",
        "system/PaymentNotice.crus",
        "system/PaymentReconciliation.crus",
        "system/Practitioner.rs",
        "system/Procedure.rs",
        "system/Task.crus",
    ),
    packages=("iso4217>=1.12",),
    extra="fhir-server[billing]",
    sends="Amounts and references of payments to the processors that are set; claims to the payers that are set.",
)
