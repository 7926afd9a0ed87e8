"""DICOMweb and DIMSE: imaging studies that are at once DICOM objects and FHIR ImagingStudies."""

from dicomweb.settings import DicomSettings
from fhir_server.plugin_api import Manifest

MANIFEST = Manifest(
    name="dicomweb",
    version="1.0.0",
    module="dicomweb.plugin",
    summary="Keeps DICOM studies: DICOMweb, DIMSE, ImagingStudy.",
    hooks=(
        "amend_capabilities",
        "on_start",
        "on_stop",
        "register_background",
        "register_collections",
        "register_commands",
        "register_consumers",
        "register_health_checks",
        "register_metrics",
        "register_operations",
        "register_pages",
        "register_routes",
        "register_scheduled_jobs",
        "register_services",
        "register_write_checks",
    ),
    settings=DicomSettings,
    scopes=(
        "system/Appointment.rs",
        "system/Consent.rs",
        "system/DiagnosticReport.cruds",
        "system/Device.cruds",
        "system/Endpoint.cruds",
        "system/ImagingStudy.cruds",
        "system/Media.cruds",
        "system/Organization.rs",
        "system/Patient.crus",
        "system/Practitioner.rs",
        "system/ServiceRequest.rs",
        "system/Task.cruds",
    ),
    packages=("pydicom>=3.0", "imagecodecs>=2024.9", "numpy>=1.26", "pillow>=10"),
    extra="fhir-server[dicom]",
    provides=("imaging",),
    sends="DICOM objects to the application entities and stores that an administrator names",
)
