"""Conditions that the index answers: they find all that may match, which is then looked at one by one."""

import re
from collections.abc import Mapping
from typing import Final

from dicomweb.index.folding import folded
from dicomweb.qido.matching import range_of, uids_in
from fhir_server.plugin_api import Where

_EXACT: Final = {"00100020": "patient_id", "00080050": "accession", "00200010": "study_id"}
_NAMES: Final = {"00100010": "name", "00080090": "referrer"}
_DATES: Final = {"00080020": "date", "00100030": "birth_date"}
_LAST: Final = "\U0010ffff"


def study_conditions(keys: Mapping[str, str], *, fuzzy: bool) -> list[Where]:
    """Return the conditions on studies."""
    found: list[Where] = []
    for tag, value in keys.items():
        if not value or value == '""':
            continue
        if tag in _EXACT:
            found += _text(_EXACT[tag], value)
        elif tag in _NAMES and not fuzzy and "=" not in value:
            found += _text(_NAMES[tag], folded(value).rstrip("^ "))
        elif tag in _DATES:
            found += _dates(_DATES[tag], value)
        elif tag == "0020000D":
            found.append(Where("key", "in", uids_in(value)))
        elif tag in ("00080061", "00080060"):
            found += _modalities(value)
    return found


def _text(field: str, value: str) -> list[Where]:
    plain = re.split(r"[*?]", value, maxsplit=1)[0]
    if plain == value:
        return [Where(field, "=", value)]
    return [Where(field, "prefix", plain)] if plain else []


def _dates(field: str, value: str) -> list[Where]:
    low, high = range_of("DA", value)
    if low == high:
        return [Where(field, "=", low)]
    found = [Where(field, ">=", low)] if low else []
    return found + ([Where(field, "<=", high + _LAST)] if high else [])


def _modalities(value: str) -> list[Where]:
    if "*" in value or "?" in value:
        return []
    return [Where("modality", "in", [each.strip() for each in re.split(r"[,\\]", value)])]
