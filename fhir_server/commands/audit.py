"""`fhir-server audit`: verify the audit log against its signed heads, or export it, beside the server or without."""

import argparse
import asyncio
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, nullcontext
from pathlib import Path

import msgspec

from fhir_server.audit.export import lines
from fhir_server.audit.ledger import HEADS, Head, head_of
from fhir_server.audit.retention import cutoff, plan
from fhir_server.audit.verify import Report, verify
from fhir_server.model.version import instant
from fhir_server.serving.door import CommandFailed
from fhir_server.serving.moving.ends import End
from fhir_server.settings import Settings
from fhir_server.storage.base import Records, StorageFault, StoreUnavailable
from fhir_server.storage.moving import Kept
from fhir_server.storage.sqlite.store import milliseconds

HELP = "Verify that nothing in the audit log was changed, removed or cut off; export it; show what retention would do."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Name what to do, of which tenant."""
    parser.add_argument("action", choices=("verify", "export", "retention"))
    parser.add_argument("--tenant", default="default", help="whose log")
    parser.add_argument(
        "--heads",
        type=Path,
        help="verify: signed heads that were kept elsewhere: a file of lines, or the folder of an archive",
    )
    parser.add_argument("--years", type=int, help="retention: years to keep; else those of the setting audit_years")
    parser.add_argument("--out", type=Path, help="export: file to write; else standard output")
    parser.add_argument("--fhir", action="store_true", help="export: AuditEvents instead of the rows that are hashed")


def run(settings: Settings, flags: argparse.Namespace) -> int:
    """Do it; the exit status is 1 where something is wrong with the log."""
    try:
        return asyncio.run(_run(settings, flags))
    except (StorageFault, StoreUnavailable, OSError) as error:
        raise CommandFailed(str(error)) from None


async def _run(settings: Settings, flags: argparse.Namespace) -> int:
    async with _opened(settings, flags.tenant) as kept:
        if flags.action == "retention":
            return await _plan(kept, flags.years or settings.audit_years)
        return await _verify(kept, flags.heads) if flags.action == "verify" else await _export(kept, flags)


@asynccontextmanager
async def _opened(settings: Settings, tenant: str) -> AsyncIterator[Kept]:
    """Open a store for reading, whether it is served or not."""
    async with AsyncExitStack() as stack:
        installation = End(settings).open()
        stack.push_async_callback(installation.close)
        try:
            kept = await installation.kept(tenant)
        except KeyError:
            raise CommandFailed(f"there is no record of a tenant {tenant!r} in {installation.label}") from None
        stack.push_async_callback(kept.close)
        yield kept


async def _verify(kept: Kept, path: Path | None) -> int:
    heads = _heads(path) if path is not None else ()
    report = await verify(kept, heads)
    for problem in report.problems:
        print(problem)  # noqa: T201
    print(_summary(report), file=sys.stderr)  # noqa: T201
    return 1 if report.problems else 0


def _summary(report: Report) -> str:
    state = "something is wrong" if report.problems else "all is as it was"
    open_ = report.rows - report.covered
    text = f"{report.rows} rows, {report.heads} heads, {open_} rows without a head that vouches for them: {state}"
    if report.removed and report.oldest is not None:
        oldest = instant(report.oldest)
        text += f"\nrows 1 to {report.removed} were removed under retention; the oldest that is there is of {oldest}"
    return text


async def _plan(kept: Kept, years: int) -> int:
    """Say what retention would remove now; the server does it by itself, within a minute of writing to the log."""
    if years < 1:
        raise CommandFailed("the audit is kept for ever: give --years, or set audit_years")
    size = await _signed(kept.records)
    found = await plan(kept.audit, kept.records, cutoff(milliseconds(), years), size)
    if found.last:
        times = f"{instant(found.oldest)[:10]} to {instant(found.newest)[:10]}"
        print(f"rows {found.first} to {found.last}, of {times}, would be removed")  # noqa: T201
    print(f"{found.old} rows are older than {years} years, {found.waiting} of them wait", file=sys.stderr)  # noqa: T201
    print(f"the newest head counts {size} rows; what sinks have not taken stays too", file=sys.stderr)  # noqa: T201
    return 0


async def _signed(records: Records) -> int:
    try:
        newest = await records.find(HEADS.name, order="-key", limit=1)
    except KeyError:
        return 0
    return head_of(dict(newest[0].value)).size if newest else 0


def _heads(path: Path) -> Sequence[Head]:
    found = []
    if not path.exists():
        raise CommandFailed(
            f"{path} is not there: a file of heads as $tree-head gives them, or the folder of an archive"
        )
    files = sorted(path.glob("*.head.json")) if path.is_dir() else [path]
    lines_ = [line for file in files for line in file.read_bytes().splitlines()]
    for number, line in enumerate(lines_, 1):
        try:
            if line.strip():
                found.append(head_of(msgspec.json.decode(line)))
        except (msgspec.DecodeError, msgspec.ValidationError) as error:
            raise CommandFailed(f"{path}, line {number}, is no head: {error}") from None
    if not found:
        raise CommandFailed(f"{path} holds no heads")
    return found


async def _export(kept: Kept, flags: argparse.Namespace) -> int:
    count = 0
    with flags.out.open("wb") if flags.out else nullcontext(sys.stdout.buffer) as file:
        async for line in lines(kept.audit, fhir=flags.fhir):
            file.write(line)
            count += 1
    print(f"{count} events", file=sys.stderr)  # noqa: T201
    return 0
