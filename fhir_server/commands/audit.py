"""`fhir-server audit`: verify the audit log against its signed heads, or export it, beside the server or without."""

import argparse
import asyncio
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path

import msgspec

from fhir_server.audit.export import lines
from fhir_server.audit.ledger import Head, head_of
from fhir_server.audit.sinks.archive import HEAD
from fhir_server.audit.verify import Report, verify
from fhir_server.serving.door import CommandFailed
from fhir_server.settings import Settings
from fhir_server.storage.base import StorageFault
from fhir_server.storage.sqlite.reader import Reader

HELP = "Verify that nothing in the audit log was changed, removed or cut off; export it."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Name what to do, of which tenant."""
    parser.add_argument("action", choices=("verify", "export"))
    parser.add_argument("--tenant", default="default", help="whose log")
    parser.add_argument(
        "--heads",
        type=Path,
        help="verify: signed heads that were kept elsewhere: a file of lines, or the folder of an archive",
    )
    parser.add_argument("--out", type=Path, help="export: file to write; else standard output")
    parser.add_argument("--fhir", action="store_true", help="export: AuditEvents instead of the rows that are hashed")


def run(settings: Settings, flags: argparse.Namespace) -> int:
    """Do it; the exit status is 1 where something is wrong with the log."""
    try:
        with _opened(settings, flags.tenant) as reader:
            return _verify(reader, flags.heads) if flags.action == "verify" else _export(reader, flags)
    except (StorageFault, OSError) as error:
        raise CommandFailed(str(error)) from None


@contextmanager
def _opened(settings: Settings, tenant: str) -> Iterator[Reader]:
    folder = settings.data_dir / "tenants" / tenant
    if not (folder / "record.db").exists():
        raise CommandFailed(f"there is no record of a tenant {tenant!r} in {settings.data_dir}")
    reader = Reader(folder, settings)
    try:
        yield reader
    finally:
        reader.close()


def _verify(reader: Reader, path: Path | None) -> int:
    heads = _heads(path) if path is not None else ()
    report = asyncio.run(verify(reader, heads))
    for problem in report.problems:
        print(problem)  # noqa: T201
    print(_summary(report), file=sys.stderr)  # noqa: T201
    return 1 if report.problems else 0


def _summary(report: Report) -> str:
    state = "something is wrong" if report.problems else "all is as it was"
    open_ = report.rows - report.covered
    return f"{report.rows} rows, {report.heads} heads, {open_} rows without a head that vouches for them: {state}"


def _heads(path: Path) -> Sequence[Head]:
    found = []
    files = sorted(path.glob(f"*{HEAD}")) if path.is_dir() else [path]
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


def _export(reader: Reader, flags: argparse.Namespace) -> int:
    async def written() -> int:
        count = 0
        with flags.out.open("wb") if flags.out else nullcontext(sys.stdout.buffer) as file:
            async for line in lines(reader.audit, fhir=flags.fhir):
                file.write(line)
                count += 1
        return count

    print(f"{asyncio.run(written())} events", file=sys.stderr)  # noqa: T201
    return 0
