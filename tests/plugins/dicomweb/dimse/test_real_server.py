"""A real server: killed in the middle of an association, and `fhir-server dicom` with it."""

import json
import subprocess
import threading
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydicom import dcmread
from pynetdicom import AE
from pynetdicom.sop_class import CTImageStorage

from fhir_server.cli import main
from tests.integration.running import Running, running, start
from tests.plugins.dicomweb.dimse.conftest import TITLE, ae, eventually, free_port, wait_for
from tests.plugins.dicomweb.dimse.objects import SYSTEM, ct, write

pytestmark = pytest.mark.usefixtures("dcmtk")


@dataclass
class Installed:
    """A server in a process of its own, and its configuration."""

    server: Running
    port: int
    config: Path

    def studies(self, **query: str) -> list[dict[str, Any]]:
        answer = httpx.get(f"{self.server.base.removesuffix('/fhir')}/dicomweb/studies", params=query, timeout=30)
        found: list[dict[str, Any]] = answer.json() if answer.status_code == 200 else []
        return found

    def dicom(self, *arguments: str) -> "Said":
        """Run `fhir-server dicom`, in this process: a start of Python takes longer than all that it does."""
        line = ["dicom", *arguments, "--config", str(self.config), "--data-dir", str(self.server.folder)]
        out, error = StringIO(), StringIO()
        with redirect_stdout(out), redirect_stderr(error):
            try:
                status = main([*line, "--auth", "none"])
            except SystemExit as usage:
                status = int(str(usage.code))
        return Said(status, out.getvalue(), error.getvalue())


@dataclass
class Said:
    """What a command has said."""

    returncode: int
    stdout: str
    stderr: str


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installed]:
    folder, port = tmp_path_factory.mktemp("real"), free_port()
    table, config = folder / "aes.toml", folder / "config.toml"
    table.write_text(ae("CT1") + ae("SELF") + ae(TITLE, port))
    settings = {"dimse_port": port, "dimse_table": str(table), "unknown_patients": "create", "dimse_greeting": 5}
    lines = [f"{name} = {json.dumps(value)}" for name, value in settings.items()]
    config.write_text("[plugins.dicomweb]\n" + "\n".join(lines) + f'\n[plugins.dicomweb.issuers]\nHOSP = "{SYSTEM}"\n')
    with running(folder / "data", "--config", str(config)) as server:
        wait_for(port)
        yield Installed(server, port, config)


def test_echo_send_and_find(installed: Installed, tmp_path: Path) -> None:
    answer = installed.dicom("echo", TITLE, "--calling", "CT1")
    assert (answer.returncode, "answered" in answer.stdout) == (0, True), answer.stderr
    write(tmp_path, [ct("P1", "1.2.60", number=number) for number in (1, 2)])
    (tmp_path / "readme.txt").write_text("no image")
    sent = installed.dicom("send", TITLE, str(tmp_path), "--calling", "CT1")
    assert (sent.returncode, "2 sent, 0 refused, 1 no DICOM" in sent.stderr) == (0, True), sent.stderr
    eventually(lambda: installed.studies(StudyInstanceUID="1.2.60"))
    place = f"{TITLE}@127.0.0.1:{installed.port}"
    found = installed.dicom("find", place, "PatientID=P1", "StudyInstanceUID=1.2.60", "--json", "--calling", "CT1")
    assert json.loads(found.stdout)["0020000D"]["Value"] == ["1.2.60"]
    shown = installed.dicom("find", place, "PatientID=P1", "--calling", "CT1")
    assert "Lovelace^Ada" in shown.stdout


def test_what_cannot_be_done_is_said_with_a_status(installed: Installed, tmp_path: Path) -> None:
    for arguments, status, said in (
        (["echo", TITLE, "--calling", "STRANGER"], 1, "calling AE title not recognized"),
        (["echo", "NOBODY"], 1, "the table has no AE NOBODY"),
        (["echo", "X@127.0.0.1:1"], 1, "cannot be reached"),
        (["find", TITLE, "Nonsense=1", "--calling", "CT1"], 1, "no attribute"),
        (["send", TITLE, str(tmp_path / "nothing")], 1, "there is no"),
        (["import", str(tmp_path / "nothing")], 1, "there is no"),
        (["dance", TITLE], 2, "invalid choice"),
    ):
        answer = installed.dicom(*arguments)
        assert (answer.returncode, said in answer.stderr) == (status, True), answer.stderr


def test_an_import_goes_on_where_it_was(installed: Installed, tmp_path: Path) -> None:
    images = tmp_path / "images"
    images.mkdir()
    write(images, [ct("P2", "1.2.61", number=number) for number in range(1, 4)])
    (images / "notes.txt").write_text("no image")
    (images / "broken.dcm").write_bytes((images / "1.2.61.1.1.dcm").read_bytes()[:400])
    first = installed.dicom("import", str(images))
    assert first.returncode == 1
    assert "3 imported, 1 refused, 1 no DICOM objects, 0 imported before" in first.stderr, first.stderr
    assert "broken.dcm" in first.stderr
    (images / "broken.dcm").unlink()
    write(images, [ct("P2", "1.2.61", number=4)])
    second = installed.dicom("import", str(images))
    assert (second.returncode, "1 imported, 0 refused" in second.stderr) == (0, True), second.stderr
    assert "3 imported before" in second.stderr
    [study] = installed.studies(StudyInstanceUID="1.2.61")
    assert study["00201208"]["Value"] == [4]


def test_nothing_acknowledged_is_lost_when_the_server_is_killed(installed: Installed, tmp_path: Path) -> None:
    acknowledged: list[str] = []
    user = AE("CT1")
    user.add_requested_context(CTImageStorage)
    slices = [ct("P3", "1.2.62", number=number, side=128) for number in range(1, 200)]
    objects = [dcmread(path) for path in write(tmp_path, slices)]
    association = user.associate("127.0.0.1", installed.port, ae_title=TITLE)

    def send() -> None:
        for each in objects:
            try:
                status = association.send_c_store(each)
            except (RuntimeError, ValueError):
                return
            if "Status" not in status:
                return
            if status.Status == 0:
                acknowledged.append(str(each.SOPInstanceUID))

    sender = threading.Thread(target=send)
    sender.start()
    eventually(lambda: len(acknowledged) >= 10)
    plain = association.dul.socket.socket
    installed.server.kill()
    sender.join(30)
    plain.close()  # pynetdicom leaves it open when the other side is gone
    assert 10 <= len(acknowledged) < len(objects)
    again = start(installed.server.folder, "--config", str(installed.config))
    installed.server = again
    try:
        wait_for(installed.port)
        base = again.base.removesuffix("/fhir")
        study = eventually(lambda: _study(again), 30)
        rows = httpx.get(f"{base}/dicomweb/studies/1.2.62/instances?limit=1000", timeout=30).json()
        there = {row["00080018"]["Value"][0] for row in rows}
        assert set(acknowledged) <= there
        assert len(there) - len(acknowledged) <= 1
        assert study["numberOfInstances"] == len(there)
        assert _send(installed, tmp_path / "1.2.62.1.199.dcm").returncode == 0
    finally:
        again.stop()


def _study(server: Running) -> dict[str, Any] | None:
    found = httpx.get(f"{server.base}/ImagingStudy?identifier=urn:dicom:uid|urn:oid:1.2.62", timeout=30).json()
    study: dict[str, Any] | None = found["entry"][0]["resource"] if found.get("entry") else None
    return study


def _send(installed: Installed, path: Path) -> "subprocess.CompletedProcess[str]":
    line = ["/usr/bin/storescu", "-aet", "CT1", "-aec", TITLE, "127.0.0.1", str(installed.port), str(path)]
    return subprocess.run(line, capture_output=True, text=True, timeout=30, check=False)
