"""What `fhir-server dicom` does: asks AEs, sends files to them, and imports folders into this server.

Exit status: 0 all went well, 1 some of it did not, 2 it could not begin.
"""

import argparse
import asyncio
import json
import sys
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Final

from pydicom.datadict import dictionary_VR, tag_for_keyword

from dicomweb.dimse import asking
from dicomweb.dimse.asking import Failed
from dicomweb.dimse.calling import call_of
from dicomweb.dimse.catalog import PLAIN, STUDY_FIND, VERIFICATION, WORKLIST
from dicomweb.dimse.commands import Door
from dicomweb.dimse.files import send_files
from dicomweb.dimse.importing import import_folder
from dicomweb.dimse.table import Ae, BadTable, read_table
from dicomweb.dimse.tls import NoTls
from dicomweb.dimse.wire.accepting import Call, connect
from dicomweb.dimse.wire.dataset import element, sequence_item, text
from dicomweb.dimse.wire.faults import Ended
from dicomweb.model.values import DicomJson
from dicomweb.settings import DicomSettings
from fhir_server.plugin_api import CommandFailed

_SHOWN: Final = ("PatientID", "PatientName", "StudyInstanceUID", "StudyDate", "ModalitiesInStudy", "StudyDescription")
_BEGIN: Final = 2


def do(door: Door, flags: argparse.Namespace) -> int:
    """Do it."""
    settings = _settings(flags)
    try:
        return _ACTIONS[flags.action](door, settings, flags)
    except (BadTable, NoTls) as error:
        print(f"fhir-server dicom: {error}", file=sys.stderr)  # noqa: T201
        return _BEGIN
    except (Ended, Failed) as error:
        raise CommandFailed(str(error)) from error


def _settings(flags: argparse.Namespace) -> DicomSettings:
    found = DicomSettings.model_validate(flags.settings.plugins.get("dicomweb", {}))
    return found.model_copy(update={"dimse_title": flags.calling}) if flags.calling else found


def called(settings: DicomSettings, named: str) -> Call:
    """Return whom a name stands for: an AE of the table, or `TITLE@host:port`. Raises CommandFailed."""
    title, at, place = named.partition("@")
    if not at:
        ae = read_table(settings.dimse_table).find(title)
        if ae is None or not ae.port:
            raise CommandFailed(f"the table has no AE {title} with host and port; TITLE@HOST:PORT needs none")
        return call_of(settings, ae)
    host, _, port = place.rpartition(":")
    if not host or not port.isdigit() or not 0 < int(port) < 1 << 16:
        raise CommandFailed(f"{named} is not TITLE@HOST:PORT")
    return call_of(settings, Ae(title, host.strip("[]"), int(port)))


def _echo(door: Door, settings: DicomSettings, flags: argparse.Namespace) -> int:
    async def run() -> float:
        association = await connect(called(settings, flags.what), [(VERIFICATION, PLAIN)])
        try:
            began = perf_counter()
            await asking.echo(association)
            took = perf_counter() - began
            await association.release()
            return took
        finally:
            await association.close()

    print(f"{flags.what} answered in {asyncio.run(run()) * 1_000:.1f} ms")  # noqa: T201
    return 0


def _send(door: Door, settings: DicomSettings, flags: argparse.Namespace) -> int:
    paths = [Path(each) for each in flags.more]
    missing = [str(path) for path in paths if not path.exists()]
    if missing or not paths:
        raise CommandFailed(f"there is no {missing[0]}" if missing else "name files or folders to send")
    return asyncio.run(send_files(called(settings, flags.what), paths))


def _find(door: Door, settings: DicomSettings, flags: argparse.Namespace) -> int:
    worklist = flags.level == "WORKLIST"
    abstract = WORKLIST if worklist else STUDY_FIND
    keys = keys_of(flags.more, flags.level)

    async def run() -> int:
        association = await connect(called(settings, flags.what), [(abstract, PLAIN)])
        count = 0
        try:
            async for row in asking.find(association, abstract, keys):
                count += 1
                print(json.dumps(row) if flags.json else _line(row, keys))  # noqa: T201
            await association.release()
        finally:
            await association.close()
        return count

    count = asyncio.run(run())
    print(f"{count} match{'' if count == 1 else 'es'}", file=sys.stderr)  # noqa: T201
    return 0


def keys_of(given: list[str], level: str) -> DicomJson:
    """Return `Keyword=value` pairs as an identifier; `Keyword` alone is only returned. Raises CommandFailed."""
    keys: DicomJson = {}
    step: DicomJson = {}
    names = dict.fromkeys(_SHOWN if level == "STUDY" else ("PatientID", "PatientName"), "")
    for each in given:
        name, _, value = each.partition("=")
        names[name] = value
    for name, value in names.items():
        tag = tag_for_keyword(name)
        if tag is None:
            raise CommandFailed(f"{name} is no attribute of DICOM")
        place = step if level == "WORKLIST" and name in _OF_STEP else keys
        place[f"{tag:08X}"] = element(dictionary_VR(tag)[:2], value)
    if level == "WORKLIST":
        for tag in ("00400001", "00400002", "00400003", "00080060", "00400009"):
            step.setdefault(tag, {"vr": dictionary_VR(int(tag, 16))[:2]})
        return {**keys, "00400100": sequence_item(step), "00080050": keys.get("00080050", {"vr": "SH"})}
    return {**keys, "00080052": element("CS", level)}


_OF_STEP: Final = frozenset(
    ("Modality", "ScheduledStationAETitle", "ScheduledProcedureStepStartDate", "ScheduledProcedureStepStartTime")
)


def _line(row: DicomJson, keys: DicomJson) -> str:
    return "  ".join(text(row, tag) or "-" for tag in keys if (row.get(tag) or {}).get("vr") != "SQ")


def _import(door: Door, settings: DicomSettings, flags: argparse.Namespace) -> int:
    folder = Path(flags.what)
    if not folder.exists():
        raise CommandFailed(f"there is no {folder}")
    journal = flags.journal or flags.settings.data_dir / "dicom_import.jsonl"
    with door() as http:
        return import_folder(http, folder, journal, tenant=flags.tenant, again=flags.again)


_ACTIONS: Final[dict[str, Callable[[Door, DicomSettings, argparse.Namespace], int]]] = {
    "echo": _echo,
    "send": _send,
    "find": _find,
    "import": _import,
}
