"""The settings of imaging; those of DIMSE, of codecs and of the viewer stand with their code."""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from dicomweb.deidentify.settings import DeidentifySettings
from dicomweb.dimse.settings import DimseSettings
from dicomweb.pixels.settings import PixelSettings
from dicomweb.ups.settings import UpsSettings
from dicomweb.viewer.settings import ViewerSettings

Positive = Annotated[int, Field(gt=0)]
Count = Annotated[int, Field(ge=0)]


class DicomSettings(DimseSettings, UpsSettings, PixelSettings, ViewerSettings, DeidentifySettings):
    """Sizes are bytes, times are seconds."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    duplicates: Literal["refuse", "replace"] = Field(
        "refuse",
        description="An instance that is there already with other content is refused, or replaces what is there. One "
        "with the same content is always accepted, and not stored again.",
    )
    quiet: Positive = Field(5, description="Quiet after which a study that nobody finished gets its ImagingStudy.")
    unknown_patients: Literal["park", "create"] = Field(
        "park",
        description="Whose images come while nobody has their identifier: parked for a person to decide (a Task), or "
        "a Patient is created where issuer, id, name, birth date and sex are all there.",
    )
    issuers: dict[str, str] = Field(
        default_factory=dict,
        description="System of FHIR identifiers by Issuer of Patient ID. Issuers that are URIs need no entry.",
    )
    default_issuer: str = Field(
        "", description="Issuer of Patient ID of objects that name none; empty: those match no Patient."
    )
    accession_system: str = Field("", description="System of accession numbers in ServiceRequest; empty: any.")
    max_object: Positive = Field(8_000_000_000, description="Largest object that is taken.")
    max_header: Positive = Field(
        64_000_000, description="Most bytes of an object before its pixel data, for they are held in memory."
    )
    max_inflated: Positive = Field(2_000_000_000, description="Most bytes that a deflated object may come to.")
    max_instances: Positive = Field(5_000, description="Most instances in one STOW request.")
    stall: Positive = Field(60, description="Seconds after which a client that sends nothing is given up.")
    inline_value: Positive = Field(
        4_096, description="Binary values up to this size stand in metadata; longer ones are bulk data."
    )
    listed_instances: Count = Field(
        5_000, description="Most instances that an ImagingStudy names one by one; larger ones only count them."
    )
    page: Positive = Field(100, description="Matches of a QIDO search without `limit`.")
    max_page: Positive = Field(5_000, description="Most matches of one QIDO search.")
    max_looked_at: Positive = Field(200_000, description="Most rows that one search may look at before it is refused.")
    quota: Count = Field(0, description="Most bytes of objects of a tenant; 0: no limit.")
    retention_days: Count = Field(0, description="Days for which nobody can delete a study; 0: none.")
    recompress_days: Count = Field(0, description="Days after which images are recompressed to HTJ2K; 0: never.")
    tier_days: Count = Field(0, description="Days after which objects move to `tier_bucket`; 0: never.")
    tier_bucket: str = Field("", description="Bucket of an S3-compatible store for old objects.")
    tier_endpoint: str = Field("", description="URL of that store, where it is not Amazon's.")
    delete_days: Count = Field(0, description="Days after which studies without legal hold are deleted; 0: never.")
    scrub_days: Count = Field(30, description="Days in which every object is read and its checksum compared; 0: never.")
    audit_window: Positive = Field(300, description="Seconds in which what a user sees of a study is one AuditEvent.")
