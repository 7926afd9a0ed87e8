"""Structured reports as text: the content tree with its names, values and measurements.

Spec: https://dicom.nema.org/medical/dicom/current/output/chtml/part03/sect_C.17.3.html
"""

from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from typing import Any

_DEEPEST = 60
_MOST_LINES = 20_000


@dataclass(frozen=True, slots=True)
class Line:
    """One item of content: how deep it stands, what it is called, what it says."""

    depth: int
    name: str
    value: str
    container: bool


def lines_of(dataset: Any) -> list[Line]:
    """Return the content of a report from top to bottom."""
    found = []
    for line in _walk(dataset, 0):
        found.append(line)
        if len(found) >= _MOST_LINES:
            break
    return found


def title_of(dataset: Any) -> str:
    """Return what the report is called."""
    return _meaning(dataset.get("ConceptNameCodeSequence")) or "Structured report"


def html_of(dataset: Any) -> str:
    """Return a report as a page without scripts, images or links."""
    title = escape(title_of(dataset))
    facts = "".join(f"<tr><th>{escape(name)}</th><td>{escape(value)}</td></tr>" for name, value in _facts(dataset))
    body = "".join(_html(line) for line in lines_of(dataset)[1:])
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>'
        "<style>body{font:1rem/1.5 sans-serif;max-width:50rem;margin:2rem auto;padding:0 1rem}"
        "th{text-align:left;padding-right:1rem}p{margin:.2rem 0}</style>"
        f"<h1>{title}</h1><table>{facts}</table>{body}</html>"
    )


def text_of(dataset: Any) -> str:
    """Return a report as plain text."""
    facts = [f"{name}: {value}" for name, value in _facts(dataset)]
    lines = [f"{'  ' * (line.depth - 1)}{_said(line)}" for line in lines_of(dataset)[1:]]
    return "\n".join([title_of(dataset), "", *facts, "", *lines, ""])


def _html(line: Line) -> str:
    if line.container:
        level = min(line.depth + 1, 6)
        return f"<h{level}>{escape(line.name)}</h{level}>"
    name = f"<b>{escape(line.name)}:</b> " if line.name else ""
    return f'<p style="margin-left:{min(line.depth - 1, 12)}rem">{name}{escape(line.value)}</p>'


def _said(line: Line) -> str:
    return f"{line.name}: {line.value}" if line.name and line.value else line.name or line.value


def _facts(dataset: Any) -> list[tuple[str, str]]:
    named = {
        "Patient": "PatientName",
        "Patient ID": "PatientID",
        "Born": "PatientBirthDate",
        "Study": "StudyDescription",
        "Accession number": "AccessionNumber",
        "Date": "ContentDate",
        "Completion": "CompletionFlag",
        "Verification": "VerificationFlag",
    }
    return [(name, str(dataset.get(key))) for name, key in named.items() if dataset.get(key) not in (None, "")]


def _walk(item: Any, depth: int) -> Iterator[Line]:
    kind = str(item.get("ValueType", ""))
    if depth == 0 or kind:
        yield Line(depth, _meaning(item.get("ConceptNameCodeSequence")), _value(item, kind), kind == "CONTAINER")
    if depth < _DEEPEST:
        for child in item.get("ContentSequence") or []:
            yield from _walk(child, depth + 1)


def _value(item: Any, kind: str) -> str:
    if kind == "NUM":
        return _number(item)
    if kind == "CODE":
        return _meaning(item.get("ConceptCodeSequence"))
    if kind in ("IMAGE", "COMPOSITE", "WAVEFORM"):
        return _references(item)
    if kind in ("SCOORD", "SCOORD3D"):
        points = item.get("GraphicData") or []
        return f"{item.get('GraphicType', '')} of {len(points) // (3 if kind == 'SCOORD3D' else 2)} points"
    keyword = {"TEXT": "TextValue", "PNAME": "PersonName", "UIDREF": "UID", "DATE": "Date", "TIME": "Time"}.get(kind)
    value = item.get(keyword or "DateTime") if kind != "CONTAINER" else None
    return "" if value is None else str(value)


def _number(item: Any) -> str:
    measured = (item.get("MeasuredValueSequence") or [None])[0]
    if measured is None:
        return _meaning(item.get("NumericValueQualifierCodeSequence")) or "no value"
    unit = (measured.get("MeasurementUnitsCodeSequence") or [{}])[0].get("CodeValue") or ""
    return f"{measured.get('NumericValue', '')} {'' if unit == '1' else unit}".strip()


def _references(item: Any) -> str:
    found = item.get("ReferencedSOPSequence") or []
    return ", ".join(f"object {each.get('ReferencedSOPInstanceUID', '')}" for each in found)


def _meaning(sequence: Any) -> str:
    if not sequence:
        return ""
    return str(sequence[0].get("CodeMeaning") or sequence[0].get("CodeValue") or "")
