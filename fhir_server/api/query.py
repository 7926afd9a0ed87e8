"""URLs and forms: path segments and parameters, decoded strictly."""

from urllib.parse import parse_qsl, unquote

from fhir_server.errors import BadRequest, TooCostly
from fhir_server.model.exchange import Query

_MAX_FIELDS = 2000


def segments(path: bytes) -> list[str]:
    """Split a raw path below the base; one final slash counts for nothing.

    An escaped slash stays within its segment, so it cannot lead to another route.

    Raises:
        BadRequest: not UTF-8, a NUL character, an empty segment.
    """
    text = _text(path, "the path")
    parts = text.strip("/").split("/") if text.strip("/") else []
    if "%" in text:
        parts = [_unescape(part) for part in parts]
    if "" in parts or text.startswith("//") or text.endswith("//"):
        raise BadRequest("the path has an empty segment", expression="http.url")
    return parts


def parameters(raw: bytes) -> Query:
    """Decode `a=1&b=2` in its order, names without a value included.

    Raises:
        BadRequest: not UTF-8, or a NUL character.
        TooCostly: thousands of parameters.
    """
    if not raw:
        return ()
    text = _text(raw, "the parameters")
    if text.count("&") >= _MAX_FIELDS:
        raise TooCostly(f"more than {_MAX_FIELDS} parameters", expression="http.url")
    try:
        return tuple(parse_qsl(text, keep_blank_values=True, errors="strict"))
    except UnicodeDecodeError:
        raise BadRequest("the parameters are not UTF-8", expression="http.url") from None


def _text(raw: bytes, what: str) -> str:
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        raise BadRequest(f"{what} are not UTF-8", expression="http.url") from None
    if "\0" in text or "%00" in text:
        raise BadRequest(f"{what} hold a NUL character", expression="http.url")
    return text


def _unescape(part: str) -> str:
    try:
        return unquote(part, errors="strict")
    except UnicodeDecodeError:
        raise BadRequest("the path is not UTF-8", expression="http.url") from None
