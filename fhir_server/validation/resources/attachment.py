"""Attachment and Binary: their data, the size and the hash that they state.

Spec: https://hl7.org/fhir/R4/datatypes.html#Attachment
"""

import base64
import binascii
import hashlib
from collections.abc import Mapping
from typing import Any

from fhir_server.validation.place import Place
from fhir_server.validation.resources.values import text
from fhir_server.validation.run import Run

Json = Mapping[str, Any]

_SHA1_BYTES = 20


def check(attachment: Any, place: Place, run: Run) -> None:
    """Compare size and hash with the data; without data or URL, say what should be there."""
    if not isinstance(attachment, dict):
        return
    data = content(attachment)
    if data is not None:
        _check_size(attachment, data, place, run)
        _check_hash(attachment, data, place, run)
    elif not any(name in attachment for name in ("data", "_data", "url", "_url", "contentType", "language")):
        run.warn(place, "structure", "an attachment should have data or a url, or at least contentType or language")


def _check_size(attachment: Json, data: bytes, place: Place, run: Run) -> None:
    stated = attachment.get("size")
    if isinstance(stated, int) and stated != len(data):
        run.error(place, "structure", f"the size is said to be {stated}, but the data have {len(data)} bytes")


def _check_hash(attachment: Json, data: bytes, place: Place, run: Run) -> None:
    """Compare SHA-1 hashes. Spec: https://hl7.org/fhir/R4/datatypes-definitions.html#Attachment.hash"""
    stated = _decoded(text(attachment, "hash"))
    if not stated or stated == hashlib.sha1(data, usedforsecurity=False).digest():
        return
    if len(stated) == _SHA1_BYTES:
        run.error(place, "structure", "the hash is not that of the data")
    else:
        run.in_words(place, "structure", f"the hash has {len(stated)} bytes; one by SHA-1 has {_SHA1_BYTES}")


def content(attachment: Json) -> bytes | None:
    """Return the data of an attachment; None where it has none that can be read."""
    return _decoded(text(attachment, "data")) if "data" in attachment else None


def size_of(attachment: Json) -> int | None:
    """Return the bytes of the data, or the size that is stated."""
    data = content(attachment)
    if data is not None:
        return len(data)
    stated = attachment.get("size")
    return stated if isinstance(stated, int) and not isinstance(stated, bool) else None


def _decoded(encoded: str) -> bytes | None:
    try:
        return base64.b64decode("".join(encoded.split()), validate=True) if encoded else None
    except (binascii.Error, ValueError):
        return None
