"""`fhir-server load`: files and folders into the store, with progress, resumable, with a report of what was refused."""

import argparse
import json
import queue
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from tqdm import tqdm

from fhir_server.commands.journal import Journal
from fhir_server.commands.progress import progress
from fhir_server.commands.sources import Parcel, Unreadable, find_files, parcels
from fhir_server.serving.door import FHIR_SOCKET, CommandFailed, client, open_door
from fhir_server.settings import Settings

HELP = "Load Bundles, NDJSON and folders (.json .ndjson, also .gz .bz2 .xz); starts again where it was stopped."
_PAUSES = (0.1, 0.5, 1.0)


class NoRoom(Exception):
    """The server cannot write."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Name the sources and the report."""
    parser.add_argument("paths", nargs="+", type=Path, metavar="PATH", help="file or folder")
    parser.add_argument("--report", type=Path, default=Path("load-report.ndjson"), help="where refusals are written")
    parser.add_argument("--again", action="store_true", help="load files that an earlier run has already loaded")
    parser.add_argument("--tenant", default="default")
    parser.add_argument("--parallel", type=int, default=4, help="requests under way at once")


@dataclass(slots=True)
class Loading:
    """What has been done so far, shared by the sender threads under `lock`."""

    journal: Journal
    report: Path
    bar: "tqdm[Any]"
    loaded: int = 0
    refused: int = 0
    failures: list[str] = field(default_factory=list)
    endpoint: str = "/fhir"
    lock: threading.Lock = field(default_factory=threading.Lock)

    def refuse(self, source: Path, place: int | None, status: str, outcome: object) -> None:
        """Write one refusal to the report; `place` is the position in the file, None for all of it."""
        line = {"file": str(source), "entry": place, "status": status, "outcome": outcome}
        with self.report.open("a") as stream:
            stream.write(json.dumps(line) + "\n")


def run(settings: Settings, flags: argparse.Namespace) -> int:
    """Load everything; 0 when all was taken, 1 when something was refused (the report says what and why)."""
    try:
        files = find_files(flags.paths)
    except Unreadable as error:
        raise CommandFailed(str(error)) from None
    flags.report.unlink(missing_ok=True)
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    with open_door(settings) as folder, progress(" resources") as bar:
        own = flags.tenant != "default"
        journal = Journal(folder, forget=flags.again, tenant=flags.tenant if own else "")
        loading = Loading(journal, flags.report, bar, endpoint=f"/t/{flags.tenant}/fhir" if own else "/fhir")
        _check(loading, folder / FHIR_SOCKET)
        _send_all(loading, folder / FHIR_SOCKET, _work(loading, files), flags.parallel)
    _say(f"{loading.loaded} resources loaded, {loading.refused} refused, {len(loading.failures)} files unreadable")
    for failure in loading.failures:
        _say(f"  {failure}")
    if loading.refused:
        _say(f"  every refusal with its reason is in {flags.report}")
    return 1 if loading.refused or loading.failures else 0


def _work(loading: Loading, files: list[Path]) -> Iterator[Parcel]:
    for number, path in enumerate(files, start=1):
        loading.bar.set_description(f"file {number} of {len(files)}", refresh=False)
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
                except (httpx.HTTPError, OSError, NoRoom) as error:
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
        why = str(errors[0]) if isinstance(errors[0], NoRoom) else f"the server went away: {errors[0]}"
        raise CommandFailed(f"{why}; run the same command again to go on")


def _send(loading: Loading, door: httpx.Client, parcel: Parcel) -> None:
    answer = _post(door, loading.endpoint, parcel) if parcel.places else None
    with loading.lock:
        for place, text in parcel.faults:
            loading.refuse(parcel.source, place, "", {"text": text})
        loading.refused += len(parcel.faults)
        if answer is not None:
            _note(loading, parcel, answer)
        loading.journal.mark(parcel.source, parcel.first, parcel.size)
        loading.bar.update(parcel.size)


def _check(loading: Loading, socket_path: Path) -> None:
    """Raise CommandFailed where there is no such tenant, before all of a load is refused."""
    with client(socket_path) as door:
        answer = door.get(f"{loading.endpoint}/metadata", params={"_elements": "status"})
    if answer.status_code in (httpx.codes.NOT_FOUND, httpx.codes.FORBIDDEN):
        raise CommandFailed(f"the tenant is not served ({answer.status_code}): {answer.text[:300]}")


def _post(door: httpx.Client, endpoint: str, parcel: Parcel) -> httpx.Response:
    """Send a parcel. A busy server is asked again for a while; one without room ends the load.

    Raises:
        NoRoom: the server writes nothing now.
    """
    headers = {"content-type": "application/fhir+json", "prefer": "return=minimal"}
    for pause in _PAUSES:
        answer = door.post(endpoint, content=parcel.body, headers=headers)
        if answer.status_code not in (httpx.codes.CONFLICT, httpx.codes.SERVICE_UNAVAILABLE):
            break
        time.sleep(pause)
    if answer.status_code in (httpx.codes.SERVICE_UNAVAILABLE, httpx.codes.INSUFFICIENT_STORAGE):
        raise NoRoom(f"the server writes nothing now ({answer.status_code}): {answer.text[:300]}")
    return answer


def _note(loading: Loading, parcel: Parcel, answer: httpx.Response) -> None:
    if answer.is_error:
        loading.refused += len(parcel.places)
        loading.refuse(parcel.source, None, str(answer.status_code), _json(answer))
        return
    refused = 0
    for place, entry in zip(parcel.places, _json(answer).get("entry", []), strict=False):
        response = entry.get("response", {})
        if not str(response.get("status", "")).startswith("2"):
            refused += 1
            loading.refuse(parcel.source, place, response.get("status", ""), response.get("outcome"))
    loading.refused += refused
    loading.loaded += len(parcel.places) - refused


def _json(answer: httpx.Response) -> dict:  # type: ignore[type-arg]
    try:
        found: dict = answer.json()  # type: ignore[type-arg]
    except ValueError:
        return {"text": answer.text[:1000]}
    return found


def _say(text: str) -> None:
    print(text, file=sys.stderr)  # noqa: T201
