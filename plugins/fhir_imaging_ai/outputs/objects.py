"""Objects: a DICOM SR by TID 1500 with what the model said, and a secondary capture of where it looked."""

import io
from typing import Any

import highdicom as hd
import numpy as np
from highdicom import sr
from pydicom.sr.codedict import codes
from pydicom.uid import ExplicitVRLittleEndian

from fhir_imaging_ai.looking.picture import Seen
from fhir_imaging_ai.looking.triage import Said
from fhir_imaging_ai.models.manifest import Manifest
from fhir_imaging_ai.outputs.identity import uid_of
from fhir_imaging_ai.outputs.overlay import coloured, region

MAKER = "fhir-server"
_SCHEME = "99FHIRSERVER"
_DEFAULTS = ("AccessionNumber", "PatientID", "PatientName", "PatientBirthDate", "PatientSex", "StudyID", "StudyDate",
             "StudyTime", "ReferringPhysicianName")  # fmt: skip


def report(seen: Seen, said: Said, manifest: Manifest) -> bytes:
    """Return the structured report of one image as a Part 10 object.

    Spec: https://dicom.nema.org/medical/dicom/current/output/chtml/part16/chapter_A.html#sect_TID_1500
    """
    image = _complete(seen.dataset)
    content = sr.MeasurementReport(
        observation_context=sr.ObservationContext(observer_device_context=_observer(manifest)),
        procedure_reported=hd.sr.CodedConcept("25045-6", "LN", "CT unspecified body region")
        if image.Modality == "CT"
        else hd.sr.CodedConcept("363680008", "SCT", "Radiographic imaging procedure"),
        imaging_measurements=[_group(image, said, manifest)],
        title=codes.DCM.ImagingMeasurementReport,
    )
    made = sr.Comprehensive3DSR(
        evidence=[image],
        content=content,
        series_instance_uid=uid_of(str(image.StudyInstanceUID), manifest.name, manifest.version, "SR"),
        series_number=9001,
        sop_instance_uid=uid_of(str(image.SOPInstanceUID), manifest.name, manifest.version, "SR"),
        instance_number=int(image.get("InstanceNumber") or 1),
        manufacturer=MAKER,
        is_complete=True,
        is_final=False,
        series_description=f"{manifest.name} {manifest.version} (not read by a person)",
    )
    return _bytes(made)


def overlay(seen: Seen, said: Said, manifest: Manifest) -> bytes:
    """Return the class activation map over the image as a secondary capture, a Part 10 object."""
    assert said.activation is not None and said.square is not None
    image = _complete(seen.dataset)
    made = hd.sc.SCImage.from_ref_dataset(
        ref_dataset=image,
        pixel_array=coloured(seen, said.activation, said.square),
        photometric_interpretation="RGB",
        bits_allocated=8,
        coordinate_system="PATIENT",
        patient_orientation=_orientation(image),
        series_instance_uid=uid_of(str(image.StudyInstanceUID), manifest.name, manifest.version, "SC"),
        series_number=9002,
        sop_instance_uid=uid_of(str(image.SOPInstanceUID), manifest.name, manifest.version, "SC"),
        instance_number=int(image.get("InstanceNumber") or 1),
        manufacturer=MAKER,
        transfer_syntax_uid=ExplicitVRLittleEndian,
        series_description=f"Where {manifest.name} {manifest.version} looked",
    )
    made.BurnedInAnnotation = "NO"
    return _bytes(made)


def _group(image: Any, said: Said, manifest: Manifest) -> Any:
    uid = uid_of(str(image.SOPInstanceUID), manifest.name, manifest.version, "finding")
    shared = {
        "tracking_identifier": sr.TrackingIdentifier(uid=uid, identifier=f"{manifest.name} {manifest.version}"),
        "finding_type": _code(manifest.labels[manifest.positive].key, manifest.labels[manifest.positive].title),
        "algorithm_id": sr.AlgorithmIdentification(name=manifest.name, version=manifest.version),
        "measurements": [_chance(said)],
        "qualitative_evaluations": [
            sr.QualitativeEvaluation(_code("triage", "Triage"), _code(said.decision, said.decision)),
            *(sr.QualitativeEvaluation(_code("possible", "Possible label"), _code(label.key, label.title))
              for label in said.possible),
        ],
    }  # fmt: skip
    positive = manifest.labels[manifest.positive] in said.possible
    points = region(said.activation, said.square) if positive and said.activation is not None and said.square else None
    source = {"referenced_sop_class_uid": image.SOPClassUID, "referenced_sop_instance_uid": image.SOPInstanceUID}
    if points is None:
        return sr.MeasurementsAndQualitativeEvaluations(
            source_images=[sr.SourceImageForMeasurementGroup(**source)], **shared
        )
    place = sr.ImageRegion(sr.GraphicTypeValues.ELLIPSE, np.asarray(points), sr.SourceImageForRegion(**source))
    return sr.PlanarROIMeasurementsAndQualitativeEvaluations(referenced_region=place, **shared)


def _chance(said: Said) -> Any:
    one = hd.sr.CodedConcept("1", "UCUM", "no units")
    return sr.Measurement(name=_code("probability", "Probability by the model"), value=round(said.chance, 4), unit=one)


def _observer(manifest: Manifest) -> Any:
    return sr.ObserverContext(
        observer_type=codes.DCM.Device,
        observer_identifying_attributes=sr.DeviceObserverIdentifyingAttributes(
            uid=uid_of(manifest.name, manifest.version),
            name=manifest.name,
            manufacturer_name=MAKER,
            model_name=f"{manifest.name} {manifest.version}"[:64],
        ),
    )


def _code(value: str, meaning: str) -> Any:
    return hd.sr.CodedConcept(value[:16], _SCHEME, meaning[:64])


def _orientation(image: Any) -> tuple[str, str]:
    told = image.get("PatientOrientation") or []
    return (str(told[0]), str(told[1])) if len(told) == 2 and all(told) else ("L", "F")


def _complete(image: Any) -> Any:
    """What highdicom copies has to be there, be it empty."""
    for keyword in _DEFAULTS:
        if keyword not in image:
            setattr(image, keyword, "")
    return image


def _bytes(made: Any) -> bytes:
    buffer = io.BytesIO()
    made.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()
