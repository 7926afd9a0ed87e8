"""`fhir-server load`: files and folders into the store, with progress, resumable, with a report of what was refused."""

import argparse
import json
import queue
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
from tqdm import tqdm

from fhir_server.commands.sources import Parcel, Unreadable, find_files, parcels
from fhir_server.serving.door import FHIR_SOCKET, CommandFailed, client, open_door
from fhir_server.settings import Settings

HELP = "Load Bundles, NDJSON and folders (.json .ndjson, also .gz .bz2 .xz); starts again where it was stopped."
_CONFLICT_TRIES = 3


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Name the sources and the report."""
    parser.add_argument("paths", nargs="+", type=Path, metavar="PATH", help="file or folder")
    parser.add_argument("--report", type=Path, default=Path("load-report.ndjson"), help="where refusals are written")
    parser.add_argument("--again", action="store_true", help="load files that an earlier run has already loaded")
    parser.add_argument("--parallel", type=int, default=4, help="requests under way at once")


@dataclass(slots=True)
class Loading:
    """What has been done so far, shared by the sender threads under `lock`."""

    journal: "Journal"
    report: Path
    bar: "tqdm[Any]"
    loaded: int = 0
    refused: int = 0
    failures: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def refuse(self, parcel: Parcel, entry: int | None, status: str, outcome: object) -> None:
        """Write one refusal to the report."""
        line = {"file": str(parcel.source), "entry": entry, "status": status, "outcome": outcome}
        with self.report.open("a") as stream:
            stream.write(json.dumps(line) + "\n")


class Journal:
    """Remembers in the data folder how many resources of each file were answered, so that a stopped load goes on."""

    def __init__(self, folder: Path, *, forget: bool) -> None:
        self._path = folder / "load-journal.ndjson"
        self._done: dict[str, int] = {}
        if forget:
            self._path.unlink(missing_ok=True)
        if self._path.exists():
            for line in self._path.read_text().splitlines():
                try:
                    row = json.loads(line)
                except json.JSONDecodeError:  # the last line of a run that was killed while it wrote
                    continue
                self._done[row["file"]] = max(row["done"], self._done.get(row["file"], 0))

    def done(self, path: Path) -> int:
        """Return how many resources from the start of the file were answered before."""
        return self._done.get(_identity(path), 0)

    def mark(self, path: Path, done: int) -> None:
        """Remember that the first `done` resources were answered."""
        with self._path.open("a") as stream:
            stream.write(json.dumps({"file": _identity(path), "done": done}) + "\n")


def run(settings: Settings, flags: argparse.Namespace) -> int:
    """Load everything; 0 when all was taken, 1 when something was refused (the report says what and why)."""
    try:
        files = find_files(flags.paths)
    except Unreadable as error:
        raise CommandFailed(str(error)) from None
    flags.report.unlink(missing_ok=True)
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    with open_door(settings) as folder, tqdm(unit=" resources", unit_scale=False, smoothing=0.1) as bar:
        loading = Loading(Journal(folder, forget=flags.again), flags.report, bar)
        _send_all(loading, folder / FHIR_SOCKET, _work(loading, files), flags.parallel)
    _say(f"{loading.loaded} resources loaded, {loading.refused} refused, {len(loading.failures)} files unreadable")
    for failure in loading.failures:
        _say(f"  {failure}")
    if loading.refused:
        _say(f"  every refusal with its reason is in {flags.report}")
    return 1 if loading.refused or loading.failures else 0


def _work(loading: Loading, files: list[Path]) -> Iterator[Parcel]:
    for number, path in enumerate(files, start=1):
        loading.bar.set_description(f"file {number} of {len(files)}")
        done = loading.journal.done(path)
        try:
            yield from parcels(path, skip=done)
        except Unreadable as error:
            loading.failures.append(str(error))


def _send_all(loading: Loading, socket_path: Path, work: Iterator[Parcel], parallel: int) -> None:
    waiting: queue.Queue[Parcel | None] = queue.Queue(maxsize=parallel)
    errors: list[Exception] = []

    def send() -> None:
        with client(socket_path) as door:
            while (parcel := waiting.get()) is not None:
                try:
                    if not errors:
                        _send(loading, door, parcel)
                except (httpx.HTTPError, OSError) as error:
                    errors.append(error)

    threads = [threading.Thread(target=send, daemon=True) for _ in range(parallel)]
    for thread in threads:
        thread.start()
    for parcel in work:
        waiting.put(parcel)
        if errors:
            break
    for _ in threads:
        waiting.put(None)
    for thread in threads:
        thread.join()
    if errors:
        raise CommandFailed(f"the server went away: {errors[0]}; run the same command again to go on")


def _send(loading: Loading, door: httpx.Client, parcel: Parcel) -> None:
    headers = {"content-type": "application/fhir+json", "prefer": "return=minimal"}
    for _ in range(_CONFLICT_TRIES):
        answer = door.post("/fhir", content=parcel.body, headers=headers)
        if answer.status_code not in (httpx.codes.CONFLICT, httpx.codes.SERVICE_UNAVAILABLE):
            break
    with loading.lock:
        _note(loading, parcel, answer)
        loading.journal.mark(parcel.source, parcel.first + parcel.size)
        loading.bar.update(parcel.size)


def _note(loading: Loading, parcel: Parcel, answer: httpx.Response) -> None:
    if answer.is_error:
        loading.refused += parcel.size
        loading.refuse(parcel, None, str(answer.status_code), _json(answer))
        return
    refused = 0
    for number, entry in enumerate(_json(answer).get("entry", [])):
        response = entry.get("response", {})
        if not str(response.get("status", "")).startswith("2"):
            refused += 1
            loading.refuse(parcel, parcel.first + number, response.get("status", ""), response.get("outcome"))
    loading.refused += refused
    loading.loaded += parcel.size - refused


def _json(answer: httpx.Response) -> dict:  # type: ignore[type-arg]
    try:
        found: dict = answer.json()  # type: ignore[type-arg]
    except ValueError:
        return {"text": answer.text[:1000]}
    return found


def _identity(path: Path) -> str:
    """A file is the same while its place, size and time of change are."""
    stat = path.stat()
    return sha256(f"{path.resolve()}|{stat.st_size}|{stat.st_mtime_ns}".encode()).hexdigest()[:32]


def _say(text: str) -> None:
    print(text, file=sys.stderr)  # noqa: T201
