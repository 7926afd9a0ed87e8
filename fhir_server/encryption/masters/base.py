"""What a master key is to the rest, and the libraries that some need."""

import json
from collections.abc import Mapping
from importlib import import_module
from typing import Any, Protocol

from fhir_server.encryption.faults import EncryptionFault

Context = Mapping[str, str]


class MasterKey(Protocol):
    """Wraps keys of 32 bytes. What it wraps is bound to a context, without which it does not open."""

    @property
    def id(self) -> str:
        """The name under which what it wraps now is written down."""

    def wrap(self, data: bytes, context: Context) -> bytes:
        """Wrap a key. Raises EncryptionFault."""

    def unwrap(self, wrapped: bytes, context: Context) -> bytes:
        """Open what this key, or one before it, wrapped. Raises WrongKey, EncryptionFault."""

    def rotate(self) -> None:
        """Let what is wrapped from now on be under a new key. Raises EncryptionFault where that is done elsewhere."""


def bound_to(context: Context) -> bytes:
    """Return a context as bytes, the same for the same pairs."""
    return json.dumps(dict(sorted(context.items()))).encode()


def library(name: str, extra: str) -> Any:
    """Import a library that not every installation has. Raises EncryptionFault with what to install."""
    try:
        return import_module(name)
    except ImportError as error:
        package = name.partition(".")[0]
        raise EncryptionFault(
            f"this master key needs {package}, which is not installed: pip install 'fhir-server[{extra}]'"
        ) from error
