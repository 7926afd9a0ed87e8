"""The primitive types of R4: which JSON values each accepts, all checked in linear time.

Spec: https://hl7.org/fhir/R4/datatypes.html#primitive
"""

import binascii
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal

from fhir_server.validation.structure import narrative, temporal

MAX_STRING = 1024 * 1024
_MAX_INTEGER = 2**31 - 1
_SHOWN = 60
_LARGE = 10**_SHOWN

# What XML cannot carry has no place in a resource: control characters, lone surrogates, U+FFFE and U+FFFF.
_FOREIGN = r"\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff"
_match_text = re.compile(f"[^{_FOREIGN}]+").fullmatch
_match_uri = re.compile(rf"[^\s{_FOREIGN}]+").fullmatch
_match_code = re.compile(rf"[^\s{_FOREIGN}]+(?: [^\s{_FOREIGN}]+)*").fullmatch
_match_oid = re.compile(r"urn:oid:[0-2](?:\.(?:0|[1-9][0-9]*))+").fullmatch
_match_uuid = re.compile(r"urn:uuid:[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}").fullmatch
match_id = re.compile(r"[A-Za-z0-9.\-]{1,64}").fullmatch


@dataclass(frozen=True, slots=True)
class Primitive:
    """A primitive type: `json` is the JSON type that carries it, faults quote values only if `shown`."""

    name: str
    accepts: Callable[[object], bool]
    json: str
    expected: str
    shown: bool = True

    def fault(self, value: object) -> str:
        """Say why a value is not accepted and what would be."""
        if json_type(value) != self.json:
            return f"expected {self.json} ({self.name}: {self.expected}), found {json_type(value)}"
        if self.name == "xhtml":
            return f"not allowed in a narrative: {narrative.fault(str(value))}"
        return f"{self._quoted(value)} is not a valid {self.name}: {self._reason(value)}"

    def _quoted(self, value: object) -> str:
        return shorten(value) if self.shown else "the value"

    def _reason(self, value: object) -> str:
        if not isinstance(value, str):
            return f"expected {self.expected}"
        reason = temporal.hint(value) if self.name in _TEMPORAL else _text_fault(value)
        return f"{reason}; expected {self.expected}" if reason else f"expected {self.expected}"


def json_type(value: object) -> str:
    """The JSON type of a parsed value, with its article."""
    if value is None:
        return "null"
    return _JSON_TYPES.get(type(value), "something that is not JSON")


def shorten(value: object) -> str:
    """A value as it may stand in a message: cut, strings quoted, what cannot be printed as an escape."""
    if isinstance(value, int) and not -_LARGE < value < _LARGE:
        return "a very large number"  # Python refuses to print more than 4,300 digits
    text = value[: _SHOWN + 1] if isinstance(value, str) else str(value)[: _SHOWN + 1]
    text = "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in text[:_SHOWN]) + "..." * (len(text) > _SHOWN)
    return f"'{text}'" if isinstance(value, str) else text


def is_text(value: object) -> bool:
    """A string with something to read in it."""
    if type(value) is str and value > "!" and value.isprintable() and len(value) <= MAX_STRING:
        return True  # the usual case, in a tenth of the time
    return (
        isinstance(value, str)
        and len(value) <= MAX_STRING
        and _match_text(value) is not None
        and bool(value.strip(" \t\r\n"))
    )


def is_uri(value: object) -> bool:
    """Something without white space; relative URIs are legal, so there is little more to hold it to."""
    if type(value) is str and value > "!" and value.isprintable() and " " not in value:
        return True
    return isinstance(value, str) and _match_uri(value) is not None


def is_element_id(value: object) -> bool:
    """The id of an element, not that of a resource: any string without white space."""
    return isinstance(value, str) and len(value) <= MAX_STRING and _match_uri(value) is not None


def is_code(value: object) -> bool:
    """Words with single spaces between them."""
    if type(value) is str and value > "!" and value.isprintable() and " " not in value:
        return True
    return isinstance(value, str) and _match_code(value) is not None


def is_decimal(value: object) -> bool:
    """A finite JSON number."""
    if isinstance(value, Decimal):
        return value.is_finite()
    if isinstance(value, float):
        return math.isfinite(value)
    return isinstance(value, int) and not isinstance(value, bool)


def is_base64(value: object) -> bool:
    """Groups of four, white space between them."""
    if not isinstance(value, str) or not value.isascii():
        return False
    content = value.encode("ascii").translate(None, b" \t\r\n")
    if not content or len(content) % 4:
        return False
    try:
        binascii.a2b_base64(content, strict_mode=True)
    except binascii.Error:
        return False
    return True


def _is_integer(low: int) -> Callable[[object], bool]:
    def accepts(value: object) -> bool:
        return type(value) is int and low <= value <= _MAX_INTEGER

    return accepts


def _matches(match: Callable[[str], object]) -> Callable[[object], bool]:
    def accepts(value: object) -> bool:
        return isinstance(value, str) and match(value) is not None

    return accepts


def _text_fault(value: str) -> str:
    if not value:
        return "it is empty"
    if not value.strip(" \t\r\n"):
        return "it is only white space"
    if len(value) > MAX_STRING:
        return f"it has {len(value)} characters"
    return "" if _match_text(value) else "it has control characters"


_JSON_TYPES: Mapping[type, str] = {
    str: "a string",
    bool: "true or false",
    int: "a number",
    Decimal: "a number",
    float: "a number",
    dict: "an object",
    list: "a list",
}
_TEMPORAL = frozenset(("date", "dateTime", "instant", "time"))
_TEXT = f"characters that can be read, at most {MAX_STRING}, no control characters but tab and line ends"
_URI = "at least one character and no white space"
_DATE = "YYYY, YYYY-MM or YYYY-MM-DD"

_ALL = (
    Primitive("base64Binary", is_base64, "a string", "base64 in groups of four characters", shown=False),
    Primitive("boolean", lambda value: type(value) is bool, "true or false", "without quotes"),
    Primitive("canonical", is_uri, "a string", _URI),
    Primitive("code", is_code, "a string", "no white space but single spaces between words"),
    Primitive("date", temporal.is_date, "a string", _DATE),
    Primitive("dateTime", temporal.is_date_time, "a string", f"{_DATE} or YYYY-MM-DDThh:mm:ss+zz:zz"),
    Primitive("decimal", is_decimal, "a number", "without quotes"),
    Primitive("id", _matches(match_id), "a string", "1 to 64 of A-Z a-z 0-9 - ."),
    Primitive("instant", temporal.is_instant, "a string", "YYYY-MM-DDThh:mm:ss.sss+zz:zz"),
    Primitive(
        "integer", _is_integer(-_MAX_INTEGER - 1), "a number", f"a whole number from -2147483648 to {_MAX_INTEGER}"
    ),
    Primitive("markdown", is_text, "a string", _TEXT, shown=False),
    Primitive("oid", _matches(_match_oid), "a string", "urn:oid: and numbers with dots, as in urn:oid:1.2.3"),
    Primitive("positiveInt", _is_integer(1), "a number", f"a whole number from 1 to {_MAX_INTEGER}"),
    Primitive("string", is_text, "a string", _TEXT, shown=False),
    Primitive("time", temporal.is_time, "a string", "hh:mm:ss"),
    Primitive("unsignedInt", _is_integer(0), "a number", f"a whole number from 0 to {_MAX_INTEGER}"),
    Primitive("uri", is_uri, "a string", _URI),
    Primitive("url", is_uri, "a string", _URI),
    Primitive("uuid", _matches(_match_uuid), "a string", "urn:uuid: and a UUID in lower case"),
    Primitive(
        "xhtml", lambda value: isinstance(value, str) and narrative.is_safe(value), "a string", "a <div> of XHTML"
    ),
)
PRIMITIVES: Mapping[str, Primitive] = {primitive.name: primitive for primitive in _ALL}
ELEMENT_ID = Primitive("id of an element", is_element_id, "a string", _URI)
