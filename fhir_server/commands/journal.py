"""What `load` remembers in the data folder, so that one that was stopped goes on where it was."""

import json
from collections import defaultdict
from hashlib import sha256
from pathlib import Path

NAME = "load-journal.ndjson"


class Journal:
    """Which resources of each file were answered.

    Requests of one file are answered in any order, so spans are kept, and a load goes on after the first gap.
    """

    def __init__(self, folder: Path, *, forget: bool, tenant: str = "") -> None:
        self._path = folder / (f"{tenant}-{NAME}" if tenant else NAME)
        self._spans: dict[str, list[tuple[int, int]]] = defaultdict(list)
        self._names: dict[Path, str] = {}
        if forget:
            self._path.unlink(missing_ok=True)
        if self._path.exists():
            self._read()
        with self._path.open("a") as stream:
            stream.write("\n")  # after a kill the last line may be half a one

    def done(self, path: Path) -> int:
        """Return how many resources from the start of the file were answered before, all of them."""
        done = 0
        for first, size in sorted(self._spans.get(self._identity(path), ())):
            if first > done:
                break
            done = max(done, first + size)
        return done

    def mark(self, path: Path, first: int, size: int) -> None:
        """Remember that `size` resources, the first of them at position `first`, were answered."""
        row = {"file": self._identity(path), "first": first, "size": size}
        with self._path.open("a") as stream:
            stream.write(json.dumps(row) + "\n")

    def _read(self) -> None:
        for line in self._path.read_text().splitlines():
            try:
                row = json.loads(line)
            except json.JSONDecodeError:  # empty, or cut short when a load was killed
                continue
            self._spans[row["file"]].append((row["first"], row["size"]))

    def _identity(self, path: Path) -> str:
        """A file is the same while its place, size and time of change are."""
        if path not in self._names:
            stat = path.stat()
            text = f"{path.resolve()}|{stat.st_size}|{stat.st_mtime_ns}"
            self._names[path] = sha256(text.encode()).hexdigest()[:32]
        return self._names[path]
