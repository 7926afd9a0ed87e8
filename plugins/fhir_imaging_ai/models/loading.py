"""Loading: a model's file is used when its hash is that of its manifest, and a key that is trusted signed all of it.

A folder holds `manifest.json`, `card.json`, the graph, and `signature.json`, as `fhir-server models sign` makes it.
"""

import base64
import binascii
import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from fhir_imaging_ai.models.manifest import Manifest, ModelRefused, manifest_of

_HEADER = b"fhir-server model v1"


@dataclass(frozen=True, slots=True)
class Loaded:
    """A model whose bytes hold what its manifest and its signature promise."""

    manifest: Manifest
    card: Any
    content: bytes


def shipped() -> Path:
    """Return the folder of the models that come with the server."""
    return Path(str(files("fhir_imaging_ai.models")))


def found(name: str, folder: str, keys: Iterable[str]) -> Loaded:
    """Return a model by its name, the site's before those that come with the server.

    Raises:
        ModelRefused: there is none of that name, or it is not what it says.
    """
    for root, trusted in ((Path(folder), tuple(keys)), (shipped(), (_release(),))):
        if not str(root) or str(root) == ".":
            continue
        for path in sorted(root.glob("*/manifest.json")):
            manifest = manifest_of(_text(path), path.parent.name)
            if manifest.name == name:
                return loaded(path.parent, trusted)
    raise ModelRefused(f"there is no model {name!r}; put its folder into the setting folder, or correct models")


def loaded(folder: Path, trusted: Iterable[str]) -> Loaded:
    """Load the model of a folder. Raises ModelRefused."""
    text, card = _text(folder / "manifest.json"), _text(folder / "card.json")
    manifest = manifest_of(text, folder.name)
    try:
        content = (folder / manifest.file).read_bytes()
    except OSError as error:
        raise ModelRefused(f"the file of the model {manifest.name!r} cannot be read") from error
    if hashlib.sha256(content).hexdigest() != manifest.sha256:
        raise ModelRefused(f"the file of the model {manifest.name!r} is not the one that its manifest names")
    _verify(manifest, (content, text.encode(), card.encode()), folder, trusted)
    try:
        return Loaded(manifest, json.loads(card), content)
    except ValueError as error:
        raise ModelRefused(f"the card of the model {manifest.name!r} cannot be read") from error


def _verify(manifest: Manifest, signed: tuple[bytes, bytes, bytes], folder: Path, trusted: Iterable[str]) -> None:
    hashes = [hashlib.sha256(each).hexdigest().encode() for each in signed]
    said = b"\n".join([_HEADER, manifest.name.encode(), manifest.version.encode(), *hashes, b""])
    keys = {hashlib.sha256(_raw(each)).hexdigest()[:16]: each for each in trusted}
    try:
        told = json.loads(_text(folder / "signature.json"))
        key, value = str(told["key"]), base64.b64decode(str(told["value"]), validate=True)
    except (ValueError, KeyError, TypeError, binascii.Error, ModelRefused) as error:
        raise ModelRefused(f"the model {manifest.name!r} is not signed") from error
    if key not in keys:
        raise ModelRefused(f"the key {key[:16]} that signed the model {manifest.name!r} is not trusted here (keys)")
    try:
        Ed25519PublicKey.from_public_bytes(_raw(keys[key])).verify(value, said)
    except (InvalidSignature, ValueError) as error:
        wrong = "was changed after it was signed: graph, manifest or card"
        raise ModelRefused(f"the model {manifest.name!r} {wrong}") from error


def _release() -> str:
    return str(json.loads(_text(shipped() / "release.json"))["key"])


def _raw(key: str) -> bytes:
    try:
        return base64.b64decode(key.strip(), validate=True)
    except binascii.Error as error:
        raise ModelRefused("a key in keys is not 32 bytes in base64") from error


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ModelRefused(f"{path.name} of the model {path.parent.name!r} cannot be read") from error
