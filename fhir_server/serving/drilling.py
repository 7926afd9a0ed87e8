"""A restore drill: the newest state of an archive restored beside, checked, served, measured, and removed again."""

import asyncio
import json
import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx

from fhir_server.app import create_app
from fhir_server.audit.verify import verify as verify_audit
from fhir_server.encryption.masters.chosen import encrypted, name_of
from fhir_server.serving.archive_contents import tenant_folder
from fhir_server.serving.archiving_claim import complete_until
from fhir_server.serving.recovery import Restored, Wish, restore_archive
from fhir_server.serving.supervisor import as_operator
from fhir_server.settings import Settings
from fhir_server.storage.sqlite.archive.kinship import overshadowed
from fhir_server.storage.sqlite.archive.places.place import Spot
from fhir_server.storage.sqlite.blob_files import BlobFiles
from fhir_server.storage.sqlite.bodies import Bodies
from fhir_server.storage.sqlite.check import check_blobs, check_record
from fhir_server.storage.sqlite.connection import connect, faults, fetch
from fhir_server.storage.sqlite.reader import Reader
from fhir_server.storage.sqlite.sampling import check_digests, check_records, sample
from fhir_server.storage.sqlite.sealing import keys_of

DRILLS: Final = "drills.ndjson"


@dataclass(slots=True)
class Drill:
    """What a drill came to; seconds, and times in seconds since 1970.

    rpo: writes of so many seconds before the drill are not in the archive, at most; -1 where it does not say. rto: from
    the beginning until the restored server had answered. problems: what is wrong, in words; over: the goals that were
    missed.
    """

    begun: float
    rpo: float = 0.0
    rto: float = 0.0
    restore: float = 0.0
    serve: float = 0.0
    checks: float = 0.0
    size: int = 0
    resources: int = 0
    requests: int = 0
    tenants: dict[str, dict[str, Any]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    over: list[str] = field(default_factory=list)


def drill(archive: Spot, settings: Settings, scratch: Path, say: Callable[[str], None], *, thorough: bool) -> Drill:
    """Restore, serve, check and measure; nothing is left in `scratch`."""
    found = Drill(time.time())
    began = time.monotonic()
    with _place(scratch) as place:
        beside = rehearsing(settings, place)
        try:
            _reach(archive, found)
            restored = restore_archive(archive, beside, Wish(), say)
            found.restore = round(time.monotonic() - began, 3)
            say(f"restored in {found.restore:.1f} s")
            asyncio.run(_serve(beside, restored, found))
            found.rto = round(time.monotonic() - began, 3)
            found.serve = round(found.rto - found.restore, 3)
            say(f"the restored server answered after {found.rto:.1f} s in all")
            for name, each in restored.items():
                tenant = tenant_folder(archive, name)
                if said := overshadowed(tenant, tenant / each.lineage):
                    found.problems.append(f"{name}: {said}")
                found.tenants[name] = {**asdict(each), "lost_blobs": len(each.lost_blobs)}
                _check(beside, name, each, found, thorough=thorough)
            found.size = sum(path.stat().st_size for path in place.rglob("*") if path.is_file())
        except Exception as error:  # whatever goes wrong in a drill is what it is there to find
            found.problems.append(f"{type(error).__name__}: {error}")
        found.checks = round(time.monotonic() - began - found.rto, 3) if found.rto else 0.0
    _compare(found, settings)
    _record(archive, found)
    return found


def _reach(archive: Spot, found: Drill) -> None:
    complete = complete_until(archive)
    found.rpo = round(found.begun - complete, 3) if complete else -1.0
    if not complete:
        found.problems.append(f"{archive} was never complete: it has no base backup, or a gap")


def rehearsing(settings: Settings, place: Path) -> Settings:
    """Return the settings of a server that nobody sees: on a folder of its own, without anything outside."""
    return settings.model_copy(
        update={
            "data_dir": place / "data", "storage": "sqlite", "demo": False,
            "encryption_key": name_of(settings) if encrypted(settings) else "",
            "patient_keys": place / "patient-keys", "backup_archive": None,
            "erasure_register": None, "coordinator_url": "", "workers": 1, "reserve_bytes": 0,
            "search_index": "none", "tracing": "off",
        }
    )  # fmt: skip


@contextmanager
def _place(scratch: Path) -> Iterator[Path]:
    """Give an empty folder that goes when the drill ends, by SIGTERM too; those of killed drills go now."""
    scratch.mkdir(parents=True, exist_ok=True)
    for old in scratch.glob("fhir-drill-*"):
        if not Path(f"/proc/{old.name.rpartition('-')[2]}").exists():
            shutil.rmtree(old, ignore_errors=True)
    place = scratch / f"fhir-drill-{os.getpid()}"
    place.mkdir(mode=0o700)
    before = signal.signal(signal.SIGTERM, lambda number, frame: (_ for _ in ()).throw(KeyboardInterrupt))
    try:
        yield place
    finally:
        signal.signal(signal.SIGTERM, before)
        shutil.rmtree(place, ignore_errors=True)


async def _serve(settings: Settings, restored: dict[str, Restored], found: Drill) -> None:
    """Open the restored stores and answer reads and searches: the application itself, without background work, so that
    nothing is sent to anybody."""
    app = create_app(settings)
    app.background = False
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app=as_operator(app))
        async with httpx.AsyncClient(transport=transport, base_url="http://drill.invalid", timeout=60) as client:
            for name in restored:
                root = "/fhir" if name == "default" else f"/t/{name}/fhir"
                await _ask(client, root, settings.data_dir / "tenants" / name, settings, found)


async def _ask(client: httpx.AsyncClient, root: str, folder: Path, settings: Settings, found: Drill) -> None:
    """Read a sample, search for it, and compare totals with what the tables say."""
    with closing(connect(folder / "record.db", settings, writer=False)) as connection:
        looked_at = sample(connection)
        totals: dict[str, int] = dict(fetch(connection, "SELECT name, total FROM type WHERE total>0"))
    found.resources += sum(totals.values())
    for type_, id_, version in looked_at:
        read = await client.get(f"{root}/{type_}/{id_}")
        if not read.is_success or read.json()["meta"]["versionId"] != str(version):
            found.problems.append(f"{folder.name}: {type_}/{id_} was answered with {read.status_code}")
        searched = await client.get(f"{root}/{type_}", params={"_id": id_})
        if not searched.is_success or len(searched.json().get("entry", ())) != 1:
            found.problems.append(f"{folder.name}: a search for {type_}/{id_} did not find it")
    for type_, total in totals.items():
        counted = await client.get(f"{root}/{type_}", params={"_summary": "count"})
        if not counted.is_success or counted.json().get("total") != total:
            found.problems.append(f"{folder.name}: of {total} {type_} a search counts {counted.text[:200]}")
    await _prove_books(client, root, folder.name, found)
    found.requests += 2 * len(looked_at) + len(totals)


async def _prove_books(client: httpx.AsyncClient, root: str, tenant: str, found: Drill) -> None:
    """Ask the ledger of billing, where there is one, for the proof that its books are in order."""
    answer = await client.get(f"{root}/Invoice/$ledger")
    if answer.is_success:
        values = {part["name"]: part for part in answer.json().get("parameter", ())}
        if not values.get("in-order", {}).get("valueBoolean", True):
            found.problems.append(f"{tenant}: the books of the billing ledger are not in order")


def _check(settings: Settings, tenant: str, restored: Restored, found: Drill, *, thorough: bool) -> None:
    """Look through the record: structure, counts, large objects, records of collections, and the audit log."""
    folder = settings.data_dir / "tenants" / tenant
    with faults(tenant), closing(connect(folder / "record.db", settings, writer=False)) as connection:
        bodies = Bodies(folder, settings)
        files = BlobFiles(folder / "blobs", durable=False, keys=keys_of(folder, settings), bodies=bodies)
        problems = check_record(connection, thorough=thorough) + check_blobs(connection, files)
        problems += check_digests(connection, files) + check_records(connection)
    if restored.lost_blobs:
        problems.append(f"{len(restored.lost_blobs)} large objects are not in the archive")
    with closing(Reader(folder, settings)) as reader:
        problems += asyncio.run(verify_audit(reader)).problems
    found.problems += [f"{tenant}: {problem}" for problem in problems]


def _compare(found: Drill, settings: Settings) -> None:
    for name, value, goal in (
        ("RPO", found.rpo, settings.recovery_point_goal),
        ("RTO", found.rto, settings.recovery_time_goal),
    ):
        if value > goal and not found.problems:
            found.over.append(f"{name} is {value:.0f} s, the goal is {goal} s")


def _record(archive: Spot, found: Drill) -> None:
    """Note the drill in the archive, where that can be written."""
    spot, line = archive / DRILLS, json.dumps(asdict(found)).encode() + b"\n"
    with suppress(OSError):
        try:
            known, mark = spot.place.marked(spot.at)
        except FileNotFoundError:
            known, mark = b"", ""
        spot.place.put_if(spot.at, known + line, mark)
