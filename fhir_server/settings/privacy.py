"""Settings: what is recorded, and what is hidden from whom."""

from pathlib import Path
from typing import Literal

from pydantic import Field

from fhir_server.settings.kinds import Count, Section


class Privacy(Section):
    """What is recorded, and what is hidden from whom."""

    audit: Literal["auto", "on", "off"] = Field(
        "auto", description="Whether requests are audited; `auto` does where `auth` is on."
    )
    audit_years: int = Field(
        0, ge=0, le=200, description="Years for which the audit is kept, older rows are removed; 0: for ever."
    )
    audit_verify_cron: str = Field(
        "", description="When the audit is verified against its signed heads, as a line of crontab; empty: when asked."
    )
    consent: Literal["on", "off"] = Field("on", description="Whether Consents and security labels limit what is seen.")
    consent_default: Literal["permit", "deny"] = Field(
        "permit", description="What holds for patients without a Consent."
    )
    consent_purposes: dict[str, tuple[str, ...]] = Field(
        {"*": ("TREAT",), "clerk": ("TREAT", "HOPERAT"), "billing": ("HPAYMT",), "auditor": ("HOPERAT",)},
        description="Purposes for which users act, by role; `*` is everybody else, services included.",
    )
    label_roles: dict[str, tuple[str, ...]] = Field(
        {
            "R": ("clinician", "nurse", "admin"),
            "V": ("clinician", "admin"),
            **dict.fromkeys(("PSY", "SUD", "ETH", "HIV", "SDV", "SEX", "STD"), ("clinician", "admin")),
            "BREACH": ("auditor", "admin"),
        },
        description="Security labels, and the roles whose users may see what carries them.",
    )
    label_removers: tuple[str, ...] = Field(
        ("admin",), description="Roles whose users may take security labels off, by $meta-delete."
    )
    hidden_pause: Count = Field(
        20,
        description="Milliseconds that an empty answer or a refusal takes at the least where something may be hidden "
        "from the caller, so that its time says nothing; 0: no more than it takes.",
    )
    shared_types: tuple[str, ...] = Field(
        (
            "Practitioner", "PractitionerRole", "Organization", "OrganizationAffiliation", "Location",
            "HealthcareService", "Endpoint", "Medication", "MedicationKnowledge", "Substance", "ValueSet", "CodeSystem",
            "ConceptMap", "StructureDefinition", "SearchParameter", "OperationDefinition", "NamingSystem",
            "Questionnaire", "PlanDefinition", "ActivityDefinition", "Library", "Measure", "InsurancePlan",
        ),
        description="Types without a link to patients that `patient/` scopes and patients may read.",
    )  # fmt: skip
    erasure_register: Path | None = Field(
        None, description="File in which erasures are noted for restores; without it `erasures.ndjson` in `data_dir`."
    )
    retention_cron: str = Field(
        "", description="When retention policies are followed, as a line of crontab (`30 3 * * *`); empty: when asked."
    )
