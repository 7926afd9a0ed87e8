"""`fhir-server terminology`: load code systems that a site brings itself, list what there is, remove some."""

import argparse
import lzma
import sys
import time
import zipfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path

import apsw

from fhir_server.commands.progress import progress
from fhir_server.errors import FhirError
from fhir_server.serving.door import CommandFailed
from fhir_server.settings import Settings
from fhir_server.terminology.loaders.claml import ClaMl
from fhir_server.terminology.loaders.icd10cm import IcdTenCmOrder
from fhir_server.terminology.loaders.loinc import Loinc
from fhir_server.terminology.loaders.resource import Resource
from fhir_server.terminology.loaders.rf2 import SnomedCt
from fhir_server.terminology.loaders.rxnorm import RxNorm
from fhir_server.terminology.loaders.table import Table
from fhir_server.terminology.systems.building import build
from fhir_server.terminology.systems.folder import HeldSystems
from fhir_server.terminology.systems.installed import FOLDER, built
from fhir_server.terminology.systems.source import Source

HELP = "Load code systems (SNOMED CT, LOINC, RxNorm, ICD-10, CSV, CodeSystem), list or remove them."

_KINDS: Mapping[str, Callable[[Path, argparse.Namespace], Source]] = {
    "snomed": lambda path, flags: SnomedCt(path, flags.version),
    "loinc": lambda path, flags: Loinc(path, flags.version),
    "rxnorm": lambda path, flags: RxNorm(path, flags.version),
    "claml": lambda path, flags: ClaMl(path, flags.version, flags.url),
    "icd-10-cm": lambda path, flags: IcdTenCmOrder(path, flags.version),
    "csv": lambda path, flags: Table(path, flags.url, flags.version),
    "fhir": lambda path, flags: Resource(path, flags.version, flags.url),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Name what to do and with what."""
    parser.add_argument("action", choices=("load", "list", "remove"))
    parser.add_argument(
        "what",
        nargs="*",
        metavar="KIND PATH | URL",
        help=f"load KIND PATH (KIND: {', '.join(_KINDS)}; PATH: folder, zip or file); remove URL or URL|VERSION",
    )
    parser.add_argument("--version", default="", help="of what is loaded, where its files do not say it")
    parser.add_argument("--url", default="", help="of the code system, where its files do not say it")


def run(settings: Settings, flags: argparse.Namespace) -> int:
    """Do it; a running server takes notice by itself."""
    try:
        return _ACTIONS[flags.action](settings.data_dir / FOLDER, flags)
    except FhirError as error:
        raise CommandFailed(str(error)) from None
    except (OSError, EOFError, apsw.Error, zipfile.BadZipFile, lzma.LZMAError, zlib.error, UnicodeDecodeError) as error:
        raise CommandFailed(f"cannot be done: {error}") from None


def _load(folder: Path, flags: argparse.Namespace) -> int:
    if len(flags.what) != 2 or flags.what[0] not in _KINDS:
        raise CommandFailed(f"load takes a KIND ({', '.join(_KINDS)}) and a PATH")
    kind, path = flags.what
    began = time.monotonic()
    source = _KINDS[kind](Path(path), flags)
    with progress(" rows") as bar:

        def note(what: str, rows: int) -> None:
            bar.set_description(what, refresh=False)
            bar.update(rows)

        target = build(source, folder, note)
    count = HeldSystems(folder).files()[target].count()
    _say(f"{source.header.url}|{source.header.version}: {count} concepts in {time.monotonic() - began:.1f} s")
    return 0


def _list(folder: Path, flags: argparse.Namespace) -> int:
    systems = HeldSystems(folder, built()).files()
    for path, held in sorted(systems.items(), key=lambda item: (item[1].header.url, item[1].header.version)):
        own = "" if path.parent == folder else "  (comes with the server)"
        print(  # noqa: T201
            f"{held.header.url}|{held.header.version}  {held.count()} concepts  {path.stat().st_size:,} bytes{own}"
        )
    return 0


def _remove(folder: Path, flags: argparse.Namespace) -> int:
    if len(flags.what) != 1:
        raise CommandFailed("remove takes one URL or URL|VERSION")
    url, _, version = flags.what[0].partition("|")
    found = [
        path
        for path, held in HeldSystems(folder).files().items()
        if held.header.url == url and version in ("", held.header.version)
    ]
    if not found:
        raise CommandFailed(f"{flags.what[0]} was not loaded here")
    for path in found:
        path.unlink()
    _say(f"{len(found)} removed")
    return 0


_ACTIONS: Mapping[str, Callable[[Path, argparse.Namespace], int]] = {"load": _load, "list": _list, "remove": _remove}


def _say(text: str) -> None:
    print(text, file=sys.stderr)  # noqa: T201
