"""Media types: which format the client sends and which it wants back.

Spec: https://hl7.org/fhir/R4/http.html#mime-type, https://hl7.org/fhir/R4/http.html#parameters, RFC 9110 12.5.1
"""

import re
from functools import lru_cache
from typing import Literal, NamedTuple

from fhir_server.errors import NotAcceptable, UnsupportedMediaType

Kind = Literal["json", "xml"]

FHIR_JSON = "application/fhir+json"
FHIR_XML = "application/fhir+xml"
FORM = "application/x-www-form-urlencoded"
JSON_PATCH = "application/json-patch+json"
XML_PATCH = "application/xml-patch+xml"
# Content that an operation may be given as it is; it gets it as a Binary.
GRAPHQL = "application/graphql"
NDJSON = ("application/fhir+ndjson", "application/ndjson", "application/x-ndjson")
ARCHIVES = frozenset(("application/gzip", "application/x-gzip", "application/tar+gzip", "application/octet-stream"))
_VERSIONS = frozenset(("4.0", "4.0.1"))
_MAX_CACHED = 512
_Q = re.compile(r"(?:0(?:\.\d*)?|1(?:\.0*)?|\.\d+)", re.ASCII)

_JSON_TYPES = (FHIR_JSON, "application/json", "text/json", "application/json+fhir")
_XML_TYPES = (FHIR_XML, "application/xml", "text/xml", "application/xml+fhir")
KINDS: dict[str, Kind] = {
    **dict.fromkeys(_JSON_TYPES, "json"),
    **dict.fromkeys(_XML_TYPES, "xml"),
}
_SHORT: dict[str, str] = {"json": FHIR_JSON, "xml": FHIR_XML}
# The names of DSTU2 are understood; the answer bears the name of today.
_RENAMED = {"application/json+fhir": FHIR_JSON, "application/xml+fhir": FHIR_XML}
# The names that answers bear.
NAMES: dict[str, Kind] = {name: kind for name, kind in KINDS.items() if name not in _RENAMED}


class Format(NamedTuple):
    """What the client wants: JSON or XML, and under which name; `content_type` is the whole header.

    "requests and responses SHALL explicitly set the character encoding to UTF-8 using the charset parameter"; and a
    client that asks for a generic media type, such as `application/json`, gets that name back.
    """

    kind: Kind
    content_type: bytes


class MediaType(NamedTuple):
    """A media type or range and its parameters, names and type in lower case."""

    name: str
    parameters: dict[str, str]


def _format(name: str) -> Format:
    name = _RENAMED.get(name, name)
    return Format(KINDS[name], f"{name}; charset=utf-8".encode())


class Wanted(NamedTuple):
    """How the client wants its answer."""

    format: Format
    pretty: bool = False

    @property
    def as_stored(self) -> bool:
        """Tell whether bytes can leave as they are stored."""
        return self.format.kind == "json" and not self.pretty


DEFAULT = Wanted(_format(FHIR_JSON))


def parse(text: str) -> MediaType:
    """Read one media type, such as `application/fhir+json; fhirVersion=4.0`."""
    name, *rest = text.split(";")
    pairs = (part.partition("=") for part in rest)
    return MediaType(name.strip().lower(), {k.strip().lower(): v.strip().strip('"') for k, _, v in pairs if k.strip()})


def negotiate(accept: str, format_: str | None = None, pretty: bool = False) -> Wanted:
    """Return how to answer; `_format` goes before Accept.

    Raises:
        NotAcceptable: neither JSON nor XML will do.
    """
    if len(accept) + len(format_ or "") > _MAX_CACHED:
        return _negotiate.__wrapped__(accept, format_, pretty)
    return _negotiate(accept, format_, pretty)


@lru_cache(maxsize=512)
def _negotiate(accept: str, format_: str | None, pretty: bool) -> Wanted:
    if format_:
        return Wanted(_named(format_), pretty)
    if not accept.strip():
        return Wanted(DEFAULT.format, pretty)
    ranges = [parse(part) for part in accept.split(",")]
    best = max(KINDS, key=lambda offer: _quality(offer, ranges))
    if _quality(best, ranges) <= 0:
        raise NotAcceptable(
            f"this server answers in {FHIR_JSON} and {FHIR_XML}, not in {accept[:200]!r}", expression="http.Accept"
        )
    return Wanted(_format(best), pretty)


def _named(format_: str) -> Format:
    media = parse(format_)
    # A plus sign that was not escaped in the URL arrives as a space.
    name = _SHORT.get(media.name, media.name.replace(" ", "+"))
    if name not in KINDS or not _version_known(media):
        raise NotAcceptable(f"_format can be json or xml, not {format_[:80]!r}", expression="http._format")
    return _format(name)


def _quality(offer: str, ranges: list[MediaType]) -> float:
    """Return the q of the most specific range that covers the offer; 0 where none does."""
    family = offer.partition("/")[0] + "/*"
    for wanted in (offer, family, "*/*"):
        found = [_q(range_) for range_ in ranges if range_.name == wanted and _version_known(range_)]
        if found:
            return max(found)
    return 0.0


def _q(range_: MediaType) -> float:
    text = range_.parameters.get("q", "1")
    return float(text) if _Q.fullmatch(text) else 1.0


def _version_known(media: MediaType) -> bool:
    """Spec: https://hl7.org/fhir/R4/http.html#version-parameter"""
    return media.parameters.get("fhirversion", "4.0") in _VERSIONS


@lru_cache(maxsize=512)
def takes_gzip(accept_encoding: str) -> bool:
    """Tell whether the client takes gzip. Spec: RFC 9110 12.5.3"""
    quality = {media.name: _q(media) for media in map(parse, accept_encoding.split(","))}
    return quality.get("gzip", quality.get("x-gzip", quality.get("*", 0.0))) > 0


def is_fhir(name: str) -> bool:
    """Tell a media type of FHIR from a generic one."""
    return name in (FHIR_JSON, FHIR_XML) or name in _RENAMED


def check_body_type(media: MediaType) -> None:
    """Hold a body that is FHIR, a form or a patch to UTF-8 and to this version of FHIR.

    Raises:
        UnsupportedMediaType: another character set or another version of FHIR.
    """
    charset = media.parameters.get("charset", "utf-8").lower()
    if charset not in ("utf-8", "utf8", "us-ascii"):
        raise UnsupportedMediaType(f"FHIR is UTF-8, not {charset[:40]!r}", expression="http.Content-Type")
    if not _version_known(media):
        version = media.parameters["fhirversion"]
        raise UnsupportedMediaType(f"this server speaks FHIR 4.0, not {version[:20]!r}", expression="http.Content-Type")
