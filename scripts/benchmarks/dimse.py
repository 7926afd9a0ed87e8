"""C-STORE, C-FIND and C-GET by Debian's dcmtk; beside Orthanc, if it is installed, with the same clients in one run."""

import argparse
import json
import os
import shutil
import socket
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
import pydicom
from pydicom.dataset import FileMetaDataset

from scripts.benchmarks.servers import free_port, ours

_SLICES, _ROUNDS = 200, 5
_CT = "1.2.840.10008.5.1.4.1.1.2"
_ROOT = "1.2.826.0.1.3680043.10.9998"
_ORTHANC = Path("/usr/sbin/Orthanc")
_TOOLS = Path("/usr/bin")
_ENVIRONMENT = os.environ | {"TCP_NODELAY": "1"}


@dataclass(frozen=True, slots=True)
class Called:
    """A server that takes associations."""

    title: str
    port: int

    def run(self, tool: str, *arguments: str) -> float:
        """Return the seconds that a tool takes, its own start included."""
        command = [_TOOLS / tool, "-aet", "BENCH", "-aec", self.title, "127.0.0.1", str(self.port), *arguments]
        begun = time.perf_counter()
        done = subprocess.run(command, env=_ENVIRONMENT, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"{tool} with {self.title}: {done.stderr[:500]}")
        return time.perf_counter() - begun


def run(options: argparse.Namespace, folder: Path) -> None:
    """Take turns on each row, so that a change of the machine's speed hits both."""
    with ExitStack() as stack:
        servers = {"ours": stack.enter_context(_ours(folder, options.workers))}
        if _ORTHANC.exists():
            servers["Orthanc"] = stack.enter_context(_orthanc(folder / "orthanc"))
        else:
            print("  Orthanc is not installed (Debian: orthanc): ours alone")
        studies = [_study(folder / f"study{number}", number) for number in range(_ROUNDS)]
        _row("C-STORE, 1 association", servers, lambda server, turn: server.run("storescu", *studies[turn]), _SLICES)
        patient = ["-k", "QueryRetrieveLevel=STUDY", "-k", "StudyInstanceUID", "-k", "PatientID=BENCH1"]
        _row("C-FIND by PatientID", servers, lambda server, turn: server.run("findscu", "-S", *patient), 1)
        _row("C-GET of a study", servers, lambda server, turn: _got(server, folder / "got", turn), _SLICES)


def _row(name: str, servers: dict[str, Called], measure: Callable[[Called, int], float], count: int) -> None:
    taken: dict[str, list[float]] = {each: [] for each in servers}
    for turn in range(_ROUNDS):
        for each, server in servers.items():
            taken[each].append(measure(server, turn))
    told = {each: count / statistics.median(seconds) for each, seconds in taken.items()}
    best = {each: count / min(seconds) for each, seconds in taken.items()}
    print(f"  {name}: " + ", ".join(f"{each} {told[each]:.1f}/s (best {best[each]:.1f})" for each in servers), end="")
    print(f", {told['ours'] / told['Orthanc']:.2f} x" if "Orthanc" in told else "", flush=True)


def _got(server: Called, into: Path, turn: int) -> float:
    into.mkdir()
    keys = ["-k", "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={_ROOT}.{turn}"]
    took = server.run("getscu", "-S", "+B", "-od", str(into), *keys)
    count = len(list(into.iterdir()))
    shutil.rmtree(into)
    if count != _SLICES:
        raise SystemExit(f"{server.title} sent {count} of {_SLICES}")
    return took


@contextmanager
def _ours(folder: Path, workers: int) -> Iterator[Called]:
    port, table, config = free_port(), folder / "aes.toml", folder / "config.toml"
    table.write_text('[[ae]]\ntitle = "BENCH"\nhost = "127.0.0.1"\nmay = ["echo", "store", "find", "get"]\n')
    config.write_text(f'[plugins.dicomweb]\ndimse_port = {port}\ndimse_table = "{table}"\n')
    with ours(folder / "ours", workers=workers, flags=("--config", str(config))):
        _wait(port)
        yield Called("FHIRSERVER", port)


@contextmanager
def _orthanc(folder: Path) -> Iterator[Called]:
    folder.mkdir(parents=True)
    port = free_port()
    settings = {
        "HttpPort": free_port(), "DicomPort": port, "StorageDirectory": str(folder), "IndexDirectory": str(folder),
        "AuthenticationEnabled": False, "RemoteAccessAllowed": False, "SyncStorageArea": True,
        "DicomAlwaysAllowFind": True, "DicomAlwaysAllowGet": True, "DicomAlwaysAllowStore": True,
    }  # fmt: skip
    (folder / "orthanc.json").write_text(json.dumps(settings))
    process = subprocess.Popen(
        [_ORTHANC, folder / "orthanc.json"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=_ENVIRONMENT
    )
    try:
        _wait(port)
        yield Called("ORTHANC", port)
    finally:
        process.terminate()
        process.wait()
        shutil.rmtree(folder, ignore_errors=True)


def _wait(port: int) -> None:
    for _ in range(300):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise SystemExit(f"nobody listens on {port}")


def _study(folder: Path, number: int) -> list[str]:
    """Write a study of CT slices of 512x512x16; return their paths."""
    folder.mkdir()
    generator = np.random.default_rng(number)
    base = (1000 + generator.normal(0, 30, (512, 512))).astype(np.uint16)
    paths = []
    for slice_ in range(1, _SLICES + 1):
        path = folder / f"{slice_:04}.dcm"
        path.write_bytes(_slice(f"{_ROOT}.{number}", slice_, base + slice_))
        paths.append(str(path))
    return paths


def _slice(study: str, number: int, pixels: "np.ndarray[tuple[int, int], np.dtype[np.uint16]]") -> bytes:
    made = pydicom.Dataset()
    made.SOPClassUID, made.SOPInstanceUID = _CT, f"{study}.1.{number}"
    made.StudyInstanceUID, made.SeriesInstanceUID = study, f"{study}.1"
    made.PatientID, made.PatientName, made.PatientBirthDate, made.PatientSex = "BENCH1", "Bench^Bea", "19700101", "F"
    made.StudyDate, made.StudyTime, made.Modality, made.SeriesNumber = "20260101", "101010", "CT", 1
    made.StudyID, made.AccessionNumber, made.InstanceNumber = "1", "A1", number
    made.Rows = made.Columns = 512
    made.BitsAllocated = made.BitsStored = 16
    made.HighBit, made.PixelRepresentation, made.SamplesPerPixel = 15, 0, 1
    made.PhotometricInterpretation = "MONOCHROME2"
    made.PixelData = pixels.tobytes()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    made.file_meta.MediaStorageSOPClassUID, made.file_meta.MediaStorageSOPInstanceUID = _CT, made.SOPInstanceUID
    out = BytesIO()
    made.save_as(out, enforce_file_format=True)
    return out.getvalue()
