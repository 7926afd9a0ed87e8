"""Imaging AI: models look at images as they arrive; a person reads what they drafted, most urgent first."""

from fhir_imaging_ai.settings import ImagingAiSettings
from fhir_server.plugin_api import Manifest

MANIFEST = Manifest(
    name="fhir_imaging_ai",
    version="1.0.0",
    module="fhir_imaging_ai.plugin",
    summary="Models on images that arrive: class activation maps, conformal triage, DICOM SR, report drafts.",
    hooks=("register_collections", "register_consumers", "register_health_checks"),
    settings=ImagingAiSettings,
    scopes=(
        "system/Device.crs",
        "system/DiagnosticReport.crus",
        "system/ImagingStudy.cruds",
        "system/Observation.crus",
        "system/Patient.rs",
        "system/Provenance.crs",
        "system/Task.crus",
    ),
    packages=("pydicom>=3.0", "highdicom>=0.23", "onnxruntime>=1.20", "numpy>=1.26", "pillow>=10.1"),
    extra="fhir-server[dicom,imaging_ai]",
    requires=("imaging",),
)
