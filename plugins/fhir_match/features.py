"""What of a Patient is compared: its fields, folded and normalized once."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from fhir_match.text import folded, words

Patient = Mapping[str, Any]
_GONE = frozenset(("temp", "old", "anonymous"))


@dataclass(frozen=True, slots=True)
class Address:
    """One address: words of its lines, postal code, city; each folded, and empty where it is not known."""

    lines: frozenset[str]
    postal: str
    city: str


@dataclass(frozen=True, slots=True)
class Features:
    """The fields of one patient that are compared.

    families: family names, former ones too. givens: given names, first ones first, by name of the patient.
    identifiers: (system, value). phones are digits, emails lower case.
    """

    families: tuple[str, ...] = ()
    givens: tuple[tuple[str, ...], ...] = ()
    birth_date: str = ""
    gender: str = ""
    identifiers: frozenset[tuple[str, str]] = frozenset()
    addresses: tuple[Address, ...] = ()
    telecom: frozenset[str] = frozenset()

    @property
    def empty(self) -> bool:
        """Tell whether there is nothing to compare."""
        return self == Features()


def features(patient: Patient) -> Features:
    """Return what is compared of a patient, as far as it has it."""
    names = [name for name in _objects(patient, "name") if name.get("use") != "anonymous"]
    return Features(
        families=_unique(folded(each) for name in names for each in _family(name)),
        givens=_unique(tuple(_given(name)) for name in names),
        birth_date=str(patient.get("birthDate") or ""),
        gender=_gender(patient),
        identifiers=frozenset(_identifiers(patient)),
        addresses=_unique(_addresses(patient)),
        telecom=frozenset(_telecom(patient)),
    )


def is_replaced(patient: Patient) -> bool:
    """Tell whether another record stands for this one."""
    return any(link.get("type") == "replaced-by" for link in _objects(patient, "link"))


def _unique(values: Iterable[Any]) -> tuple[Any, ...]:
    return tuple(value for value in dict.fromkeys(values) if value)


def _objects(holder: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    values = holder.get(name)
    return [each for each in values if isinstance(each, Mapping)] if isinstance(values, list) else []


def _family(name: Mapping[str, Any]) -> Iterable[str]:
    """Yield the family name, as a whole and, where it is of several words, each that is long enough to tell."""
    family = str(name.get("family") or _from_text(name)[1])
    yield family
    parts = re.split(r"[\s\-]+", family)
    if len(parts) > 1:
        yield from (part for part in parts if len(part) > 3)


def _given(name: Mapping[str, Any]) -> list[str]:
    given = name.get("given") if isinstance(name.get("given"), list) else _from_text(name)[0]
    return [word for each in given or () if isinstance(each, str) for word in words(each)]


def _from_text(name: Mapping[str, Any]) -> tuple[list[str], str]:
    """Return given names and family name of a name that has them as text alone."""
    if name.get("family") or name.get("given"):
        return [], ""
    parts = str(name.get("text") or "").split()
    return (parts[:-1], parts[-1]) if len(parts) > 1 else ([], "".join(parts))


def _gender(patient: Patient) -> str:
    gender = str(patient.get("gender") or "")
    return gender if gender in ("male", "female", "other") else ""


def _identifiers(patient: Patient) -> Iterable[tuple[str, str]]:
    for identifier in _objects(patient, "identifier"):
        if value := re.sub(r"[\s\-./]", "", str(identifier.get("value") or "")).casefold():
            yield str(identifier.get("system") or ""), value


def _addresses(patient: Patient) -> Iterable[Address]:
    for each in _objects(patient, "address"):
        lines = each.get("line") if isinstance(each.get("line"), list) else [each.get("text") or ""]
        found = Address(
            frozenset(word for line in lines or () if isinstance(line, str) for word in words(line)),
            folded(str(each.get("postalCode") or "")),
            folded(str(each.get("city") or "")),
        )
        if found.lines or found.postal or found.city:
            yield found


def _telecom(patient: Patient) -> Iterable[str]:
    for each in _objects(patient, "telecom"):
        value = str(each.get("value") or "")
        if each.get("system") == "email" or "@" in value:
            yield value.strip().casefold()
        elif len(digits := re.sub(r"\D", "", value)) >= 6:
            yield digits[-9:]
