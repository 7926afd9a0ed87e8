"""`fhir-server export`: all current resources as NDJSON, one file for each type."""

import argparse
import gzip
import sys
from pathlib import Path
from typing import BinaryIO

import httpx

from fhir_server.serving.door import CONTROL_SOCKET, CommandFailed, client, need_record, open_door
from fhir_server.settings import Settings

HELP = "Write all current resources as NDJSON files, one for each type."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Name the target and narrow the types."""
    parser.add_argument("target", type=Path, help="folder for the files; made if missing")
    parser.add_argument("--type", action="append", dest="types", metavar="TYPE", help="only this type (repeatable)")
    parser.add_argument("--gzip", action="store_true", help="pack the files")
    parser.add_argument("--tenant", default="default")


def run(settings: Settings, flags: argparse.Namespace) -> int:
    """Export; all files are of one instant, and each appears under its name only when it is whole."""
    need_record(settings)
    flags.target.mkdir(parents=True, exist_ok=True)
    with open_door(settings) as folder, client(folder / CONTROL_SOCKET) as door:
        status = door.get("/status", params={"tenant": flags.tenant}).json()
        if "error" in status:
            raise CommandFailed(status["error"])
        totals: dict[str, int] = status["resources"]
        for type_ in sorted(flags.types or totals):
            if totals.get(type_, 0):
                _export_type(door, flags, type_, status["txid"])
            elif flags.types:
                print(f"{type_}: there are none", file=sys.stderr)  # noqa: T201
    return 0


def _export_type(door: httpx.Client, flags: argparse.Namespace, type_: str, txid: int) -> None:
    name = f"{type_}.ndjson" + (".gz" if flags.gzip else "")
    partial = flags.target / (name + ".part")
    lines = 0
    asked = {"type": type_, "tenant": flags.tenant, "txid": txid}
    with _open(partial, packed=flags.gzip) as stream, door.stream("GET", "/export", params=asked) as answer:
        if answer.is_error:
            raise CommandFailed(f"export of {type_} failed with status {answer.status_code}")
        for chunk in answer.iter_bytes():
            stream.write(chunk)
            lines += chunk.count(b"\n")
    partial.rename(flags.target / name)
    print(f"{name}: {lines} resources", file=sys.stderr)  # noqa: T201


def _open(path: Path, *, packed: bool) -> BinaryIO | gzip.GzipFile:
    return gzip.GzipFile(path, "wb", compresslevel=6) if packed else path.open("wb")
