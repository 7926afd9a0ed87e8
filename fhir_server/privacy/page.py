"""A package of a patient's data as one HTML page that reads without any program: no scripts, nothing from elsewhere."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from html import escape
from typing import Any, Final

_STYLE: Final = (
    "body{font:1rem/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1d2733}"
    "h2{margin-top:2.5rem;border-bottom:1px solid #ccd5dd}summary{cursor:pointer;padding:.3rem 0}"
    "summary span{color:#52606d;margin-right:1rem}dl{margin:.3rem 0 .8rem 1.2rem}dt{font-weight:600}"
    "dd{margin:0 0 .2rem 1.2rem;overflow-wrap:anywhere}nav a{margin-right:1rem}"
    "@media print{details>*{display:block}}"
)
_DATES: Final = (
    "effectiveDateTime", "recordedDate", "onsetDateTime", "performedDateTime", "occurrenceDateTime", "authoredOn",
    "date", "issued", "created", "recorded", "sent", "started", "authored", "start",
)  # fmt: skip
_PERIODS: Final = ("period", "performedPeriod", "effectivePeriod", "billablePeriod", "occurrencePeriod")
_TITLES: Final = (
    "code", "type", "vaccineCode", "medicationCodeableConcept", "category", "serviceType", "description", "title",
    "name", "class",
)  # fmt: skip
_VALUES: Final = (
    "valueQuantity",
    "valueCodeableConcept",
    "valueString",
    "valueInteger",
    "valueBoolean",
    "valueDateTime",
)
_HIDDEN: Final = frozenset(("resourceType", "meta", "text"))
_LONG: Final = 300


def page(resources: Sequence[Mapping[str, Any]], made: str) -> str:
    """Return the page; resources of a type stand together, the newest first."""
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for resource in resources:
        groups.setdefault(str(resource.get("resourceType")), []).append(resource)
    title = escape(_person(groups.get("Patient", [])))
    links = "".join(
        f'<a href="#{escape(name)}">{escape(_words(name))} ({len(found)})</a>' for name, found in groups.items()
    )
    body = "".join(_group(name, found) for name, found in groups.items())
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>Health record of {title}</title><style>{_STYLE}</style></head><body>"
        f"<h1>Health record of {title}</h1><p>All that is held about this person, as of {escape(made)}.</p>"
        f"<nav>{links}</nav>{body}</body></html>"
    )


def _group(name: str, resources: list[Mapping[str, Any]]) -> str:
    ordered = sorted(resources, key=_date, reverse=True)
    rows = "".join(
        f"<details><summary><span>{escape(_date(each)[:16].replace('T', ' '))}</span>{escape(_title(each))}</summary>"
        f"{_render(_visible(each))}</details>"
        for each in ordered
    )
    return f'<section id="{escape(name)}"><h2>{escape(_words(name))}</h2>{rows}</section>'


def _visible(resource: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in resource.items() if name not in _HIDDEN}


def _person(patients: Iterable[Mapping[str, Any]]) -> str:
    for patient in patients:
        for name in patient.get("name", ()):
            return str(name.get("text") or " ".join([*name.get("given", ()), name.get("family", "")]).strip())
    return "a patient"


def _date(resource: Mapping[str, Any]) -> str:
    for name in _DATES:
        if isinstance(resource.get(name), str):
            return str(resource[name])
    for name in _PERIODS:
        if isinstance(resource.get(name), dict):
            return str(resource[name].get("start", ""))
    return ""


def _title(resource: Mapping[str, Any]) -> str:
    if resource.get("resourceType") in ("Patient", "RelatedPerson", "Person"):
        return _person([resource])
    title = next((found for name in _TITLES if (found := _said(resource.get(name)))), "")
    value = next((found for name in _VALUES if (found := _said(resource.get(name)))), "")
    return ": ".join(part for part in (title or str(resource.get("id", "")), value) if part)


def _said(value: Any) -> str:
    """Return the words of a code, a quantity or a plain value."""
    if isinstance(value, list):
        return next((found for each in value if (found := _said(each))), "")
    if not isinstance(value, dict):
        return "" if value is None else str(value)
    if "value" in value:
        return f"{value['value']} {value.get('unit') or value.get('code') or ''}".strip()
    return str(value.get("text") or value.get("display") or _said(value.get("coding")) or value.get("code") or "")


def _render(value: Any) -> str:
    if isinstance(value, dict):
        rows = "".join(f"<dt>{escape(_words(name))}</dt><dd>{_render(below)}</dd>" for name, below in value.items())
        return f"<dl>{rows}</dl>"
    if isinstance(value, list):
        return "".join(_items(value))
    text = str(value)
    return escape(text if len(text) <= _LONG else f"{text[:_LONG]}… ({len(text)} characters)")


def _items(values: list[Any]) -> Iterator[str]:
    for each in values:
        shown = _render(each)
        yield shown if isinstance(each, dict) else f"<div>{shown}</div>"


def _words(name: str) -> str:
    """Return the name of an element as words: `birthDate` is "Birth date"."""
    words = "".join(f" {c.lower()}" if c.isupper() else c for c in name.lstrip("_")).strip()
    return words[:1].upper() + words[1:]
