"""`fhir-server terminology`: load code systems that a site brings itself, list what there is, remove some."""

import argparse
import asyncio
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
from fhir_server.serving.giving import give, given, take
from fhir_server.settings import Settings
from fhir_server.storage.base import StoreError
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

_LOADED = ".loaded"
"""Within the folder of code systems: where one is made that goes into the store."""

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
        return _ACTIONS[flags.action](settings, flags)
    except StoreError as error:
        raise CommandFailed(f"the store cannot be reached: {error}") from None
    except FhirError as error:
        raise CommandFailed(str(error)) from None
    except (OSError, EOFError, apsw.Error, zipfile.BadZipFile, lzma.LZMAError, zlib.error, UnicodeDecodeError) as error:
        raise CommandFailed(f"cannot be done: {error}") from None


def _load(settings: Settings, flags: argparse.Namespace) -> int:
    if len(flags.what) != 2 or flags.what[0] not in _KINDS:
        raise CommandFailed(f"load takes a KIND ({', '.join(_KINDS)}) and a PATH")
    kind, path = flags.what
    began = time.monotonic()
    source = _KINDS[kind](Path(path), flags)
    with progress(" rows") as bar:

        def note(what: str, rows: int) -> None:
            bar.set_description(what, refresh=False)
            bar.update(rows)

        folder = settings.data_dir / FOLDER
        target = build(source, folder / _LOADED if settings.shared else folder, note)
    count = HeldSystems(target.parent).files()[target].count()
    if settings.shared:
        asyncio.run(give(settings, target, f"{source.header.url}|{source.header.version}"))
        target.unlink()
    _say(f"{source.header.url}|{source.header.version}: {count} concepts in {time.monotonic() - began:.1f} s")
    if settings.shared:
        _say("It is in the store; each node has it in some seconds, and its /health/ready says so.")
    return 0


def _list(settings: Settings, flags: argparse.Namespace) -> int:
    folder = settings.data_dir / FOLDER
    for each in asyncio.run(given(settings)) if settings.shared else ():
        print(f"{each.system}  {each.size:,} bytes in the store, for all nodes")  # noqa: T201
    systems = HeldSystems(folder, built()).files()
    for path, held in sorted(systems.items(), key=lambda item: (item[1].header.url, item[1].header.version)):
        own = "" if path.parent == folder else "  (comes with the server)"
        print(  # noqa: T201
            f"{held.header.url}|{held.header.version}  {held.count()} concepts  {path.stat().st_size:,} bytes{own}"
        )
    return 0


def _remove(settings: Settings, flags: argparse.Namespace) -> int:
    folder = settings.data_dir / FOLDER
    if len(flags.what) != 1:
        raise CommandFailed("remove takes one URL or URL|VERSION")
    url, _, version = flags.what[0].partition("|")
    if settings.shared:
        names = [
            each.name for each in asyncio.run(given(settings)) if f"{each.system}|".startswith(f"{flags.what[0]}|")
        ]
        if not names:
            raise CommandFailed(f"{flags.what[0]} was not loaded")
        asyncio.run(take(settings, names))
        _say(f"{len(names)} removed; each node lets go of it in some seconds")
        return 0
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


_ACTIONS: Mapping[str, Callable[[Settings, argparse.Namespace], int]] = {
    "load": _load,
    "list": _list,
    "remove": _remove,
}


def _say(text: str) -> None:
    print(text, file=sys.stderr)  # noqa: T201
