"""JSON as FHIR needs it: decimals keep their digits, duplicate members and broken text are refused with their place.

Spec: https://hl7.org/fhir/R4/json.html
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from decimal import (
    Clamped,
    Context,
    Decimal,
    DecimalException,
    InvalidOperation,
    Overflow,
    Rounded,
    Subnormal,
)
from typing import Any, Final

import msgspec

from fhir_server.model.keys import ResourceKey
from fhir_server.model.version import Body

MAX_DEPTH = 100

_TRAPS: Final = [InvalidOperation, Overflow, Subnormal, Rounded, Clamped]
_NUMBERS: Final = Context(prec=1_000, Emax=300, Emin=-300, traps=_TRAPS)
"""What a number may be: within a double, so that nobody who computes with it gets infinity, or hours of work."""

_decoder = msgspec.json.Decoder(float_hook=_NUMBERS.create_decimal)
_stored_decoder = msgspec.json.Decoder(float_hook=Decimal)
_encoder = msgspec.json.Encoder(decimal_format="number")
_member_decoder = msgspec.json.Decoder(dict[str, msgspec.Raw])
_item_decoder = msgspec.json.Decoder(list[msgspec.Raw])
_token_decoder = msgspec.json.Decoder(float_hook=lambda text: (text,))
_place = re.compile(r"byte (\d+)")
_SERVER_OWNED = frozenset(("versionId", "lastUpdated"))


class JsonError(ValueError):
    """Text that is not JSON as FHIR has it; says what, line and column."""


def decode(raw: bytes, *, max_depth: int = MAX_DEPTH) -> Any:
    """Parse JSON: ints are int, other numbers `Decimal`. Fastest on minified text.

    Raises:
        JsonError: broken text, invalid UTF-8, a duplicate member, NaN, NUL characters, nesting over `max_depth`, a
            number beyond 1e300 or closer to zero than 1e-300, or of more than 1,000 digits.
    """
    value = _parse(raw, _decoder)
    if b"\\u0000" in raw and _holds_nul(value):
        raise JsonError("a string holds the NUL character (\\u0000), which FHIR does not allow")
    # Duplicates vanish from the parsed value, so minified text that comes out as it went in has none (the usual case);
    # other text is held to its number of members, each of which shows as one unescaped `":`.
    again = _encoder.encode(value)
    if again != raw and _members_in(raw) != _members_in(again):
        raise JsonError(_duplicate(raw))
    brackets = raw.count(b"{") + raw.count(b"[")
    if brackets > max_depth and not _shallow(raw, max_depth) and _deeper(value, max_depth):
        raise JsonError(f"nested deeper than {max_depth} levels")
    return value


def decode_stored(data: bytes) -> Any:
    """Parse what this server has stored, or made itself: what `decode` looks for was looked for then."""
    return _parse(data, _stored_decoder)


def encode(value: object) -> bytes:
    """Write JSON, minified; decimals with the digits they came with."""
    return _encoder.encode(value)


def minify(raw: bytes) -> bytes:
    """Remove white space between tokens; every token stays as it is."""
    try:
        return msgspec.json.format(raw, indent=-1)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _as_json_error(raw, error) from None


def same_content(one: bytes, other: bytes) -> bool:
    """Tell whether two minified texts say the same: members in any order, numbers with the same digits.

    Texts of different length differ, unless one of them has escapes; so most pairs cost nothing.
    """
    if one == other:
        return True
    if len(one) != len(other) and b"\\" not in one and b"\\" not in other:
        return False
    try:
        return bool(_token_decoder.decode(one) == _token_decoder.decode(other))
    except (msgspec.DecodeError, RecursionError):
        return False


def pretty(raw: bytes) -> bytes:
    """Indent by two spaces; every token stays as it is."""
    return msgspec.json.format(raw, indent=2)


def members(raw: bytes) -> dict[str, bytes]:
    """Split an object into the raw bytes of its members, in order."""
    found: Mapping[str, msgspec.Raw] = _parse(raw, _member_decoder)
    return {name: bytes(value) for name, value in found.items()}


def items(raw: bytes) -> list[bytes]:
    """Split an array into the raw bytes of its items."""
    found: Iterable[msgspec.Raw] = _parse(raw, _item_decoder)
    return [bytes(value) for value in found]


def make_body(raw: bytes, key: ResourceKey) -> Body:
    """Make the stored form of a minified resource: type, id and meta first, without what the server owns in meta."""
    parts = members(raw)
    parts.pop("resourceType", None)
    parts.pop("id", None)
    meta = parts.pop("meta", b"{}")
    if meta != b"{}":
        meta = _object({name: value for name, value in members(meta).items() if name not in _SERVER_OWNED}.items())
    head = f'{{"resourceType":"{key.type}","id":"{key.id}","meta":{{'.encode()
    rest = _object(parts.items())
    return Body(head + meta[1:] + (b"," + rest[1:] if parts else b"}"), len(head))


def _object(parts: Iterable[tuple[str, bytes]]) -> bytes:
    return b"{" + b",".join([b'"' + name.encode() + b'":' + value for name, value in parts]) + b"}"


def _parse(raw: bytes, decoder: Any) -> Any:
    try:
        return decoder.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, DecimalException) as error:
        raise _as_json_error(raw, error) from None


def _as_json_error(raw: bytes, error: Exception) -> JsonError:
    if isinstance(error, DecimalException):
        said = "a number is beyond 1e300, closer to zero than 1e-300, or has more than 1,000 digits"
        return JsonError(f"out of bounds: {said}")
    if isinstance(error, RecursionError):
        return JsonError("nested too deeply")
    if isinstance(error, UnicodeDecodeError):
        return JsonError(f"invalid UTF-8: {error.reason}")
    text = str(error).removeprefix("JSON is malformed: ")
    place = _place.search(text)
    if place is None:
        return JsonError(f"not valid JSON: {text}")
    offset = min(int(place[1]), len(raw))
    line = raw.count(b"\n", 0, offset) + 1
    column = offset - (raw.rfind(b"\n", 0, offset) + 1) + 1
    return JsonError(f"not valid JSON: {text[: place.start()].rstrip(' (')} at line {line}, column {column}")


def _members_in(raw: bytes) -> int:
    return len(_COLON.findall(raw)) if b'" ' in raw or b'"\n' in raw else raw.count(b'":') - raw.count(b'\\":')


_COLON = re.compile(rb'(?<!\\)"\s*:')


def _duplicate(raw: bytes) -> str:
    """Name the first duplicate; the slow parser is only asked once it is known that there is one."""
    import json

    class Found(Exception):
        pass

    def check(pairs: list[tuple[str, object]]) -> dict[str, object]:
        seen: dict[str, object] = {}
        for name, value in pairs:
            if name in seen:
                raise Found(name)
            seen[name] = value
        return seen

    try:
        json.loads(raw, object_pairs_hook=check)
    except Found as found:
        return f"the member {found.args[0]!r} occurs twice in one object"
    return "a member occurs twice in one object"


def _shallow(raw: bytes, limit: int) -> bool:
    """Tell from sound JSON alone that it is nested less deep than a limit; False: somebody has to look at the value.

    Of text without escapes only brackets and quotes are kept. Pairs of quotes next to each other are strings without
    brackets; where a string holds one, the quotes before it are odd in number, so that some are left. The brackets are
    then taken away from within, two levels at the most in a turn.
    """
    if b"\\" in raw:
        return False
    left = raw.translate(None, _NEITHER).replace(b'""', b"")
    if b'"' in left:
        return False
    for _ in range(min(limit // 2, _TURNS)):
        if not left:
            return True
        left = left.replace(b"{}", b"").replace(b"[]", b"")
    return not left


_NEITHER: Final = bytes(set(range(256)) - set(b'"{}[]'))
_TURNS: Final = 20
"""Enough for all resources, and few enough for any text."""


def _deeper(value: object, limit: int) -> bool:
    level: list[Any] = [value]
    for _ in range(limit + 1):
        below: list[Any] = []
        for item in level:
            children = item.values() if type(item) is dict else item
            below += [child for child in children if type(child) is dict or type(child) is list]
        if not below:
            return False
        level = below
    return True


def _children(value: object) -> Iterator[object]:
    if isinstance(value, dict):
        yield from value.values()
    elif isinstance(value, list):
        yield from value


def _holds_nul(value: object) -> bool:
    if isinstance(value, str):
        return "\0" in value
    return any(_holds_nul(child) for child in _children(value))
