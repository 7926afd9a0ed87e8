"""Attaching and releasing of large objects inside a commit."""

from collections.abc import Sequence

import apsw

from fhir_server.storage.base import BlobChange


def check(connection: apsw.Connection, changes: Sequence[BlobChange]) -> None:
    """Raise StorageFault where a blob to attach is not staged."""


def write(connection: apsw.Connection, changes: Sequence[BlobChange]) -> list[str]:
    """Write the rows; return the ids of the blobs whose bytes can go after the commit."""
    return []
