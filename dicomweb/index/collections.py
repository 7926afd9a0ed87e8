"""The collections of the index: what is kept of each study, series and instance.

Keys are UIDs: `study`, `study/series`, `study/series/instance`, so that what is below something is a range of keys.
"""

from typing import Final

from fhir_server.plugin_api import Collection, RecordField

STUDIES: Final = Collection(
    "dicomweb.studies",
    (
        RecordField("patient_id"),
        RecordField("name"),
        RecordField("birth_date"),
        RecordField("date"),
        RecordField("accession"),
        RecordField("study_id"),
        RecordField("referrer"),
        RecordField("modality"),
        RecordField("patient"),
        RecordField("imaging_study"),
        RecordField("stored", "integer"),
    ),
    patient="patient",
)
SERIES: Final = Collection("dicomweb.series", (RecordField("series"), RecordField("modality"), RecordField("date")))
INSTANCES: Final = Collection("dicomweb.instances", (RecordField("sop"), RecordField("blob")))
CONTENTS: Final = Collection("dicomweb.contents")
"""By series: its instances, in short, so that an ImagingStudy is written without reading each of them."""
HEADERS: Final = Collection("dicomweb.headers")
"""By instance: all attributes but bulk data, as deflated DICOM JSON."""
FRAMES: Final = Collection("dicomweb.frames")
"""By instance of several encapsulated frames: where each lies."""
READY: Final = Collection("dicomweb.ready")
"""By series and base URL: the blob that holds its metadata ready-made."""
PENDING: Final = Collection("dicomweb.pending", (RecordField("at", "integer"),))
"""Studies with instances that their ImagingStudy does not name yet."""
SEEN: Final = Collection("dicomweb.seen")
"""Sums of what users see that are still open, so that a crash loses no event."""
DERIVED: Final = Collection("dicomweb.derived")
"""Instances from which other resources were made (reports, documents)."""

SCRUBBED: Final = Collection("dicomweb.scrubbed")
"""How far the reading of all objects came, and which are damaged."""

DROPPED: Final = Collection("dicomweb.dropped")
"""Objects of the bucket whose instances are deleted; they go at the next turn of the rules."""

ALL: Final = (STUDIES, SERIES, INSTANCES, CONTENTS, HEADERS, FRAMES, READY, PENDING, SEEN, DERIVED, SCRUBBED, DROPPED)
