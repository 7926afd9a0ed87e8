"""What a search returns of a match: PS3.18 10.6.3.3."""

from typing import Any, Final

from pydicom.datadict import dictionary_has_tag

from dicomweb.index.levels import COMPUTED, RETURNED
from dicomweb.model.values import DicomJson, Level, Query
from dicomweb.qido.matching import vr_of
from fhir_server.plugin_api import Record

_ABOVE: Final[dict[Level, tuple[Level, ...]]] = {
    "study": ("study",), "series": ("study", "series"), "instance": ("study", "series", "instance"),
}  # fmt: skip


def attributes_of(record: Record, level: Level) -> DicomJson:
    """Return the attributes of a record, those that are counted included."""
    value: Any = record.value
    if level == "study":
        return {
            **value["a"],
            "00080056": {"vr": "CS", "Value": ["ONLINE"]},
            "00080061": _several("CS", value["modality"]),
            "00080062": _several("UI", value["classes"]),
            "00201206": {"vr": "IS", "Value": [value["series"]]},
            "00201208": {"vr": "IS", "Value": [value["instances"]]},
        }
    if level == "series":
        return {**value["a"], "00201209": {"vr": "IS", "Value": [value["instances"]]}}
    found: DicomJson = value["a"]
    return found


def shown(
    study: Record, series: Record | None, instance: Record | None, header: DicomJson | None, query: Query
) -> DicomJson:  # fmt: skip
    """Return one row. Levels above that the request names are left out, unless they are asked for."""
    records: dict[Level, Record | None] = {"study": study, "series": series, "instance": instance}
    row: DicomJson = {}
    everything = "all" in query.include
    for level in _ABOVE[query.level]:
        record = records[level]
        if record is None:
            continue
        attributes = attributes_of(record, level)
        if level == query.level or level not in query.within:
            for tag in RETURNED[level]:
                row[tag] = attributes.get(tag) or {"vr": vr_of(tag)}
        if everything and (level == query.level or level not in query.within):
            row.update(attributes)
        for tag in (*query.include, *query.keys):
            outer = tag.split(".")[0]
            if outer in attributes:
                row[outer] = attributes[outer]
    _uids(row, study, series)
    if header is not None:
        _add_header(row, header, query, everything)
    for tag in query.include:
        if tag != "all" and tag not in row and tag not in COMPUTED and dictionary_has_tag(int(tag, 16)):
            row[tag] = {"vr": vr_of(tag)}
    if "00080201" in row and "Value" not in row["00080201"]:
        del row["00080201"]
    return dict(sorted(row.items()))


def _uids(row: DicomJson, study: Record, series: Record | None) -> None:
    row["0020000D"] = {"vr": "UI", "Value": [study.key]}
    if series is not None:
        row["0020000E"] = {"vr": "UI", "Value": [series.key.split("/")[1]]}


def _add_header(row: DicomJson, header: DicomJson, query: Query, everything: bool) -> None:
    """Add what the index lacks; bulk data is not among it."""
    wanted = header if everything else [tag for tag in query.include if tag in header]
    for tag in wanted:
        if tag not in row and "BulkDataURI" not in header[tag]:
            row[tag] = header[tag]


def _several(vr: str, values: list[str]) -> dict[str, Any]:
    return {"vr": vr, "Value": list(values)} if values else {"vr": vr}
