"""Write docs/dicom.md, the conformance statement of imaging, from what is registered:

python -m scripts.generate_dicom
"""

from pathlib import Path

from pydicom.datadict import keyword_for_tag

from dicomweb.capabilities import resources
from dicomweb.index.levels import INSTANCE, RETURNED, SERIES, STUDY
from dicomweb.model.values import Level
from dicomweb.plugin import parts
from dicomweb.settings import DicomSettings
from dicomweb.wado.syntaxes import MEDIA

_PAGE = Path(__file__).parents[1] / "docs" / "dicom.md"
_TEXT = Path(__file__).with_suffix(".md")
_LEVELS: tuple[tuple[Level, tuple[str, ...]], ...] = (("study", STUDY), ("series", SERIES), ("instance", INSTANCE))
_COUNTED = {
    "study": ", ModalitiesInStudy*, SOPClassesInStudy, NumberOfStudyRelatedSeries*, NumberOfStudyRelatedInstances*, "
    "InstanceAvailability",
    "series": ", NumberOfSeriesRelatedInstances*",
}


def page() -> str:
    """Return the page as it should be."""
    text = _TEXT.read_text()
    tables = {
        "TRANSACTIONS": _transactions(), "ATTRIBUTES": _attributes(), "SYNTAXES": _syntaxes(),
        "PARTS": _parts(), "SETTINGS": _settings(),
    }  # fmt: skip
    for name, table in tables.items():
        text = text.replace(f"<!-- {name} -->", table)
    return text


def _transactions() -> str:
    rows = [f"| `{method} {path}` | {name} | {_types(types)} |" for name, method, path, types in resources()]
    return "\n".join(["| request below `/dicomweb` | what | media types of the answer |", "|---|---|---|", *rows])


def _types(types: tuple[str, ...]) -> str:
    return ", ".join(f"`{each}`" for each in types) or "none"


def _attributes() -> str:
    rows = []
    for level, tags in _LEVELS:
        names = [f"{keyword_for_tag(int(each, 16))}{'*' if each in RETURNED[level] else ''}" for each in tags]
        rows.append(f"| {level} | {', '.join(sorted(names))}{_COUNTED.get(level, '')} |")
    return "\n".join(["| level | attributes |", "|---|---|", *rows])


def _syntaxes() -> str:
    kinds: dict[str, list[str]] = {}
    for syntax, media in MEDIA.items():
        kinds.setdefault(media, []).append(syntax)
    rows = [f"| `{media}` | {', '.join(each)} |" for media, each in kinds.items()]
    return "\n".join(["| media type of frames | transfer syntaxes |", "|---|---|", *rows])


def _parts() -> str:
    said = []
    for part in parts(DicomSettings.model_validate({})):
        for heading, sentences in part.conformance.items():
            said += [f"### {heading}", *(f"- {each}" for each in sentences), ""]
    return "\n".join(said).rstrip()


def _settings() -> str:
    rows = [
        f"| `{name}` | `{_default(field.default if field.default_factory is None else '')}` | {field.description} |"
        for name, field in DicomSettings.model_fields.items()
    ]
    return "\n".join(["| setting | default | meaning |", "|---|---|---|", *rows])


def _default(value: object) -> str:
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    return str(value).lower() if isinstance(value, bool) else str(value)


if __name__ == "__main__":
    _PAGE.write_text(page())
