"""Values: dates, amounts, names and codes as X12 and FHIR write them."""

from base64 import b32encode
from collections.abc import Mapping
from datetime import date
from decimal import Decimal, InvalidOperation
from hashlib import sha256
from typing import Any

from fhir_billing.x12.segments import Segment, plain

_MOST = Decimal(10) ** 15
NPI = "http://hl7.org/fhir/sid/us-npi"


class BadElement(Exception):
    """An element that is not what it has to be."""


def amount(text: str) -> Decimal:
    """Return an amount of dollars. Raises BadElement: it is none, or has more than two decimals."""
    found = number(text or "0")
    exact = found.quantize(Decimal("0.01")) if abs(found) < _MOST else found
    if exact != found or abs(found) >= _MOST:
        raise BadElement(f"{text[:20]!r} is no amount")
    return exact


def number(text: str) -> Decimal:
    """Return a number. Raises BadElement."""
    try:
        found = Decimal(text)
    except InvalidOperation:
        raise BadElement(f"{text[:20]!r} is no number") from None
    if not found.is_finite():
        raise BadElement(f"{text[:20]!r} is no number")
    return found


def whole(text: str) -> int:
    """Return a whole number. Raises BadElement."""
    if not (text.isascii() and text.isdigit()):
        raise BadElement(f"{text[:20]!r} is no whole number")
    return int(text)


def written(value: Decimal) -> str:
    """Return an amount as X12 writes it: without zeros at the end."""
    text = f"{value:f}"
    return (text.rstrip("0").rstrip(".") or "0") if "." in text else text


def day(text: str) -> date | None:
    """Return the day of a date CCYYMMDD, or of the first of a range; None where there is none."""
    try:
        return date(int(text[:4]), int(text[4:6]), int(text[6:8]))
    except ValueError:
        return None


def compact(text: object) -> str:
    """Return a FHIR date as CCYYMMDD; empty for none."""
    return str(text or "")[:10].replace("-", "")


def identifier(resource: Mapping[str, Any], system: str = "") -> str:
    """Return an identifier of a resource: that of a system if it has one, else the first."""
    given = [each for each in resource.get("identifier", ()) if each.get("value")]
    return str(
        next((each["value"] for each in given if each.get("system") == system), given[0]["value"] if given else "")
    )


def control_number(id_: str) -> str:
    """Return the number of a claim as payers keep it: 20 characters at most, the rest they need not give back."""
    return id_ if len(id_) <= 20 else f"C{b32encode(sha256(id_.encode()).digest()).decode()[:19]}"


def name_of(resource: Mapping[str, Any]) -> tuple[str, str]:
    """Return family and given name of a person; of an organization its name and nothing."""
    name = resource.get("name", "")
    if isinstance(name, str):
        return plain(name), ""
    best: Mapping[str, Any] = next(iter(name), {})
    return plain(best.get("family") or best.get("text")), plain(" ".join(best.get("given", ())[:1]), 35)


def address_of(resource: Mapping[str, Any]) -> list[Segment]:
    """Return N3 and N4 of an address, where there is one."""
    address = next(iter(resource.get("address", ())), None)
    if not address:
        return []
    lines = [plain(each, 55) for each in address.get("line", ())[:2]]
    place = ("N4", plain(address.get("city"), 30), plain(address.get("state"), 2), plain(address.get("postalCode"), 15))
    return [("N3", *lines), place] if lines else [place]


def gender_of(patient: Mapping[str, Any]) -> str:
    """Return F, M or U."""
    return {"female": "F", "male": "M"}.get(str(patient.get("gender", "")), "U")
