"""Which archive a data folder has: a mount point without its mount, or a bucket that was made anew, is another one.

An archive bears an id in `alive.json`, and the data folder remembers it with the place. Where nothing is in that place
now, nothing is begun there: it would be filled on the wrong disk, and nobody would see that the archive is gone.
"""

import json
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from fhir_server.storage.sqlite.archive.places.place import Spot
from fhir_server.storage.sqlite.durable import replace

FILE: Final = "archive.json"
"""In the data folder."""


class Identity:
    """What a data folder knows of its archive."""

    def __init__(self, data: Path, archive: Spot) -> None:
        self._file, self._archive = data / FILE, archive

    def of(self, said: Mapping[str, Any]) -> str:
        """Return the id of the archive, a new one where it has none; `said` is what it says of itself.

        Raises:
            OSError: it is empty, and there was one in this place, or something should be mounted there.
        """
        known = self.remembered()
        if said.get("id"):
            return str(said["id"])
        if not self._empty():  # of an earlier release, or its file was lost
            return known or secrets.token_hex(8)
        if known:
            raise OSError(
                f"{self._archive} is empty, and had the archive of this data folder: see whether its disk is mounted, "
                "or bring it back; to begin another one there, `fhir-server backup anew`"
            )
        doubt = self._archive.place.doubt()
        if doubt:
            raise OSError(f"{self._archive} is empty, and {doubt}")
        return secrets.token_hex(8)

    def remember(self, identity: str) -> None:
        """Note the id, which is in the archive. Raises OSError."""
        if identity != self.remembered():
            replace(self._file, json.dumps({"archive": str(self._archive), "id": identity}).encode())

    def remembered(self) -> str:
        """Return the id that is known of this place; empty for none."""
        try:
            found = json.loads(self._file.read_bytes())
            return str(found["id"]) if found["archive"] == str(self._archive) else ""
        except (OSError, ValueError, KeyError, TypeError):
            return ""

    def forget(self) -> None:
        """Let another archive begin in this place."""
        self._file.unlink(missing_ok=True)

    def _empty(self) -> bool:
        return not any((self._archive / "tenants" / name).folders() for name in (self._archive / "tenants").folders())
