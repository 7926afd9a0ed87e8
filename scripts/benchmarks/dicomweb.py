"""DICOMweb: storing, searching, retrieving; beside Orthanc, if it is installed, with the same client in one run."""

import argparse
import http.client
import json
import random
import shutil
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from io import BytesIO
from pathlib import Path

import numpy as np
import pydicom
from pydicom.dataset import FileMetaDataset

from scripts.benchmarks import dicomweb_pixels
from scripts.benchmarks.servers import free_port, ours

_SLICES, _PER_REQUEST, _STUDIES = 200, 20, 1_000
_ROOT = "1.2.826.0.1.3680043.10.9999"
_CT = "1.2.840.10008.5.1.4.1.1.2"
_FAMILIES = ("Smith", "Meyer", "Okafor", "Ivanova", "Garcia", "Tanaka", "Dubois", "Haddad", "Novak", "Silva")
_ORTHANC = Path("/usr/sbin/Orthanc")
Call = Callable[[], object]


def run(options: argparse.Namespace, folder: Path) -> None:
    """Take turns on each row, so that a change of the machine's speed hits both."""
    with ExitStack() as stack:
        port, _, _ = stack.enter_context(ours(folder / "ours", workers=options.workers))
        servers = {"ours": Client(port, "/dicomweb")}
        if _ORTHANC.exists():
            servers["Orthanc"] = Client(stack.enter_context(_orthanc(folder / "orthanc")), "/dicom-web")
        else:
            print("  Orthanc is not installed (Debian: orthanc, orthanc-dicomweb): ours alone")
        slices = [_slice(number) for number in range(_SLICES)]
        _fill(servers)
        _stored(servers, slices)
        _searched(servers)
        _retrieved(servers)
        dicomweb_pixels.rows(servers, f"/studies/{_ROOT}.1/series/{_ROOT}.1.1/instances/{_ROOT}.1.1.100", _print)


class Client:
    """One connection to a server."""

    def __init__(self, port: int, root: str) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        self._root = root

    def get(self, path: str, accept: str = "application/dicom+json", **headers: str) -> bytes:
        """Return the body."""
        try:
            self._connection.request("GET", self._root + path, headers={"Accept": accept, **headers})
            answer = self._connection.getresponse()
        except (http.client.RemoteDisconnected, ConnectionError):  # it was idle for too long
            self._connection.close()
            self._connection.request("GET", self._root + path, headers={"Accept": accept, **headers})
            answer = self._connection.getresponse()
        body = answer.read()
        if answer.status != 200:
            raise SystemExit(f"{path}: {answer.status} {body[:300]!r}")
        return body

    def store(self, objects: list[bytes]) -> None:
        """Store objects in one request."""
        parts = b"".join(b"--b\r\nContent-Type: application/dicom\r\n\r\n" + each + b"\r\n" for each in objects)
        kind = 'multipart/related; type="application/dicom"; boundary=b'
        headers = {"Content-Type": kind, "Accept": "application/dicom+json"}
        self._connection.request("POST", f"{self._root}/studies", parts + b"--b--\r\n", headers)
        answer = self._connection.getresponse()
        body = answer.read()
        if answer.status != 200:
            raise SystemExit(f"STOW: {answer.status} {body[:300]!r}")


@contextmanager
def _orthanc(folder: Path) -> Iterator[int]:
    folder.mkdir(parents=True)
    port = free_port()
    settings = {
        "HttpPort": port, "DicomPort": free_port(), "StorageDirectory": str(folder), "IndexDirectory": str(folder),
        "AuthenticationEnabled": False, "RemoteAccessAllowed": False, "SyncStorageArea": True, "KeepAlive": True,
        "Plugins": ["/usr/share/orthanc/plugins"], "DicomWeb": {"Enable": True}, "TcpNoDelay": True,
    }  # fmt: skip
    (folder / "orthanc.json").write_text(json.dumps(settings))
    process = subprocess.Popen(
        [_ORTHANC, folder / "orthanc.json"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        for _ in range(300):
            try:
                Client(port, "").get("/system", "*/*")
                break
            except OSError:
                time.sleep(0.1)
        yield port
    finally:
        process.terminate()
        process.wait()
        shutil.rmtree(folder, ignore_errors=True)


def _slice(number: int) -> bytes:
    """Return a CT slice of noise on a disc, 512x512x16, in a series of its own make."""
    generator = np.random.default_rng(number)
    y, x = np.mgrid[-256:256, -256:256]
    pixels = np.where(x * x + y * y < 200 * 200, 1000 + generator.normal(0, 30, (512, 512)), 0).astype(np.uint16)
    data_set = _object(f"{_ROOT}.1", f"{_ROOT}.1.1", f"{_ROOT}.1.1.{number + 1}", "BENCH", "Bench^Bea", "20260101")
    data_set.update({"InstanceNumber": number + 1, "Rows": 512, "Columns": 512, "BitsAllocated": 16, "BitsStored": 16})
    data_set.update({"HighBit": 15, "PixelRepresentation": 0, "SamplesPerPixel": 1})
    data_set.PhotometricInterpretation = "MONOCHROME2"
    data_set.ImagePositionPatient, data_set.ImageOrientationPatient = [0, 0, number], [1, 0, 0, 0, 1, 0]
    data_set.PixelSpacing, data_set.RescaleIntercept, data_set.RescaleSlope = [0.7, 0.7], -1024, 1
    data_set.WindowCenter, data_set.WindowWidth = 40, 400
    for extra in range(60):
        data_set.add_new((0x0019, 0x1000 + extra), "LO", f"a value of the maker {extra}")
    data_set.add_new((0x0019, 0x0010), "LO", "BENCH")
    data_set.PixelData = pixels.tobytes()
    return _written(data_set)


def _object(study: str, series: str, sop: str, patient: str, name: str, date: str) -> pydicom.Dataset:
    made = pydicom.Dataset()
    made.SOPClassUID, made.SOPInstanceUID = _CT, sop
    made.StudyInstanceUID, made.SeriesInstanceUID = study, series
    made.PatientID, made.PatientName, made.PatientBirthDate, made.PatientSex = patient, name, "19700101", "F"
    made.StudyDate, made.StudyTime, made.Modality, made.SeriesNumber = date, "101010", "CT", 1
    made.StudyDescription, made.StudyID, made.AccessionNumber = "CT of the chest", "1", f"A{patient}"
    return made


def _written(data_set: pydicom.Dataset) -> bytes:
    data_set.file_meta = FileMetaDataset()
    data_set.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    data_set.file_meta.MediaStorageSOPClassUID = data_set.SOPClassUID
    data_set.file_meta.MediaStorageSOPInstanceUID = data_set.SOPInstanceUID
    out = BytesIO()
    pydicom.dcmwrite(out, data_set, enforce_file_format=True)
    return out.getvalue()


def _fill(servers: dict[str, Client]) -> None:
    """Store studies of two small instances each."""
    chance = random.Random(1)
    batch = []
    for number in range(_STUDIES):
        study = f"{_ROOT}.2.{number + 1}"
        date = f"20{chance.randint(10, 25)}{chance.randint(1, 12):02}{chance.randint(1, 28):02}"
        name = f"{chance.choice(_FAMILIES)}^P{number}"
        for instance in (1, 2):
            made = _object(study, f"{study}.1", f"{study}.1.{instance}", f"P{number}", name, date)
            made.Modality = chance.choice(("CT", "MR", "US", "CR"))
            made.InstanceNumber = instance
            batch.append(_written(made))
    for client in servers.values():
        for start in range(0, len(batch), 100):
            client.store(batch[start : start + 100])


def _stored(servers: dict[str, Client], slices: list[bytes]) -> None:
    rates: dict[str, list[float]] = {name: [] for name in servers}
    for start in range(0, _SLICES, _PER_REQUEST):
        for name, client in servers.items():
            begun = time.perf_counter()
            client.store(slices[start : start + _PER_REQUEST])
            rates[name].append(_PER_REQUEST / (time.perf_counter() - begun))
    medians = {name: statistics.median(each) for name, each in rates.items()}
    _print(f"STOW, {_PER_REQUEST} slices a request, instances/s", medians, "{:.0f}", more=True)


def _searched(servers: dict[str, Client]) -> None:
    modality = "/studies?limit=101&ModalitiesInStudy=CT&includefield=00081030,00080060"
    for what, path in (
        ("QIDO by PatientID", "/studies?PatientID=P500"), ("QIDO first page, limit 25", "/studies?limit=25"),
        ("QIDO modality, includefield, limit 101", modality),
        ("QIDO PatientName=Smith*, limit 25", "/studies?PatientName=Smith*&limit=25"),
        ("QIDO dates", "/studies?StudyDate=20200101-20200131"),
        ("QIDO series of a study", f"/studies/{_ROOT}.1/series"),
    ):  # fmt: skip
        _timed(what, servers, lambda client, path=path: client.get(path))


def _retrieved(servers: dict[str, Client]) -> None:
    series = f"/studies/{_ROOT}.1/series/{_ROOT}.1.1"
    first = {name: _once(lambda client=client: client.get(f"{series}/metadata")) for name, client in servers.items()}
    _print("series metadata of 200, first time, ms", {name: each * 1000 for name, each in first.items()}, "{:.1f}")
    zipped = {"Accept-Encoding": "gzip"}
    _timed("series metadata, again", servers, lambda client: client.get(f"{series}/metadata", **zipped), 30)
    frame = f"{series}/instances/{_ROOT}.1.1.100/frames/1"
    octets = 'multipart/related; type="application/octet-stream"'
    _timed("frame", servers, lambda client: client.get(frame, octets))
    whole = 'multipart/related; type="application/dicom"'
    _timed("instance", servers, lambda client: client.get(f"{series}/instances/{_ROOT}.1.1.100", whole))
    _timed("rendered", servers, lambda client: client.get(f"{series}/instances/{_ROOT}.1.1.100/rendered", "image/jpeg"))
    speeds = {}
    for name, client in servers.items():
        times = [_once(lambda client=client: client.get(series, whole)) for _ in range(5)]
        speeds[name] = len(client.get(series, whole)) / statistics.median(times) / 1e6
    _print("whole series, MB/s", speeds, "{:.0f}", more=True)


def _once(call: Call) -> float:
    begun = time.perf_counter()
    call()
    return time.perf_counter() - begun


def _timed(what: str, servers: dict[str, Client], ask: Callable[[Client], bytes], times: int = 60) -> None:
    """Print the median of a request, asked in turns."""
    found: dict[str, list[float]] = {name: [] for name in servers}
    for _ in range(times):
        for name, client in servers.items():
            found[name].append(_once(lambda client=client: ask(client)))
    _print(f"{what}, ms", {name: statistics.median(each) * 1000 for name, each in found.items()}, "{:.2f}")


def _print(what: str, found: dict[str, float], shape: str, *, more: bool = False) -> None:
    said = ", ".join(f"{name} {shape.format(value)}" for name, value in found.items())
    ratio = ""
    if "Orthanc" in found:
        times = found["ours"] / found["Orthanc"] if more else found["Orthanc"] / found["ours"]
        ratio = f"  ({times:.1f} x Orthanc)"
    print(f"  {what:45} {said}{ratio}", flush=True)
