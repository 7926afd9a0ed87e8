"""Package: the files of one version of a model; nothing of it is used before its signature and its hash hold."""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from fhir_ai.models.errors import ModelRefused, ModelUnavailable
from fhir_ai.models.manifest import FILE, Manifest, parse_manifest
from fhir_ai.models.signing import Signature, statement, verify

CARD: Final = "card.json"
SIGNATURE: Final = "signature.json"


@dataclass(frozen=True, slots=True)
class Package:
    """The texts of manifest and card as they were signed, the signature, and a way to the bytes of the graph.

    content: reads the graph each time it is loaded, so that a file that was changed on disk is noticed.
    trusted: public keys; None: the signature is not looked at (a folder of one's own making, in tests and training).
    """

    manifest: Manifest
    manifest_text: str
    card_text: str
    signature: Signature | None
    content: Callable[[], bytes]
    trusted: tuple[str, ...] | None = None

    def checked(self) -> bytes:
        """Return the graph's bytes.

        Raises:
            ModelUnavailable: the file cannot be read. ModelRefused: its hash or the signature is wrong.
        """
        content = self.content()
        check_hash(self.manifest, content)
        if self.trusted is not None:
            verify(self.said(content), self.signature, self.trusted, self.manifest.name)
        return content

    def said(self, content: bytes) -> bytes:
        """Return the statement that is signed."""
        files = (content, self.manifest_text.encode(), self.card_text.encode())
        return statement(self.manifest.name, self.manifest.version, files)

    def card(self) -> Mapping[str, Any]:
        """Return the card that the training run wrote. Raises ModelUnavailable: it is missing or damaged."""
        try:
            card: Mapping[str, Any] = json.loads(self.card_text)
        except ValueError as error:
            raise ModelUnavailable(f"the card of the model {self.manifest.name!r} cannot be read") from error
        return card


def check_hash(manifest: Manifest, content: bytes) -> None:
    """Hold the graph's bytes to the manifest. Raises ModelRefused."""
    found = hashlib.sha256(content).hexdigest()
    if found != manifest.sha256:
        raise ModelRefused(
            f"the file of the model {manifest.name!r} is refused: its SHA-256 is {found[:12]}..., "
            f"its manifest says {manifest.sha256[:12]}...; install the file that belongs to the manifest",
            "wrong-hash",
        )


def package_in(folder: Path, trusted: Iterable[str] | None = None) -> Package:
    """Return the package of a folder. Raises ModelUnavailable: its manifest is missing or damaged."""
    try:
        text = (folder / FILE).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ModelUnavailable(f"the model {folder.name!r} has no manifest that can be read") from error
    manifest = parse_manifest(text, folder.name)
    return Package(
        manifest, text, _text_of(folder / CARD), read_signature(_text_of(folder / SIGNATURE)),
        lambda: _content(folder, manifest), None if trusted is None else tuple(trusted),
    )  # fmt: skip


def read_signature(text: str) -> Signature | None:
    """Read `signature.json`; None where there is none that can be read."""
    try:
        raw = json.loads(text)
        return Signature(str(raw["key"]), str(raw["value"]))
    except (ValueError, KeyError, TypeError):
        return None


def _content(folder: Path, manifest: Manifest) -> bytes:
    try:
        return (folder / manifest.file).read_bytes()
    except OSError as error:
        raise ModelUnavailable(f"the file of the model {manifest.name!r} cannot be read") from error


def _text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ""
