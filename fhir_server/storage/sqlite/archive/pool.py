"""The large objects of a tenant in its archive: each once, for all base backups and segments."""

from pathlib import Path
from typing import Final

from fhir_server.storage.sqlite.durable import copy, sync

_HEAD: Final = 128  # bytes at the beginning of a file that tell under whose key it is


class Pool:
    """`blobs/ab/<id>`, as a store has them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, blob: str) -> Path:
        """Return where one is."""
        return self.folder / blob[:2] / blob

    def take(self, blob: str, source: Path) -> int:
        """Copy one that is not here as it is there; return its bytes. Raises FileNotFoundError: it is gone there.

        One that came under the key of its patient takes the place of what was under the key of the tenant: that copy
        would outlive an erasure.
        """
        target = self.path(blob)
        size = source.stat().st_size
        if _start(target) == _start(source) and target.stat().st_size == size:
            return 0
        draft = target.with_name(f".{blob}.new")
        copy(source, draft)
        draft.rename(target)
        sync(target.parent)
        return size

    def keep(self, blobs: set[str]) -> int:
        """Remove all but these; return how many went."""
        gone = [path for path in self.folder.glob("[0-9a-f][0-9a-f]/[0-9a-f]*") if path.name not in blobs]
        for path in gone:
            path.unlink(missing_ok=True)
        return len(gone)


def _start(path: Path) -> bytes | None:
    try:
        with path.open("rb") as file:
            return file.read(_HEAD)
    except FileNotFoundError:
        return None
