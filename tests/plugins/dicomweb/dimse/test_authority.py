"""AEs as system clients: what they may see is what their client may; and TLS, where a certificate says who calls."""

import datetime
import logging
import os
import socket
import ssl
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from pydicom.dataset import Dataset
from pynetdicom import AE
from pynetdicom.sop_class import (
    CTImageStorage,
    ModalityWorklistInformationFind,
    StudyRootQueryRetrieveInformationModelFind,
    Verification,
)

from fhir_server.auth.clients import Client, save_client
from fhir_server.auth.desk import Desk
from fhir_server.auth.grants import new_grant, stored
from fhir_server.auth.tokens import new_tokens
from tests.plugins.dicomweb.dimse.conftest import TITLE, Site, ae, eventually, free_port, listening, wait_for
from tests.plugins.dicomweb.dimse.objects import SYSTEM, ct

pytestmark = pytest.mark.usefixtures("dcmtk")
DICOM = {"issuers": {"HOSP": SYSTEM}, "unknown_patients": "create", "dimse_checked": 0.01}
CLIENTS = {
    "scanner": "system/ImagingStudy.cruds system/Patient.rs system/ServiceRequest.rs",
    "reader": "system/ImagingStudy.rs",
    "of-p1": f"system/ImagingStudy.rs?patient.identifier={SYSTEM}|P1",
    "nothing": "system/Observation.rs",
}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    rows = [("CT1", "scanner"), ("READER", "reader"), ("ONLYP1", "of-p1"), ("NOTHING", "nothing"), ("GONE", "nobody")]
    table = "".join(ae(title, client=f'"{client}"') for title, client in rows) + ae("NOCLIENT")
    with listening(tmp_path_factory.mktemp("dimse"), table, dicom=DICOM, auth="smart") as found:
        _registered(found, **CLIENTS)
        yield found


async def _desk(site: Site) -> Desk:
    running = site.server.app.running
    assert running is not None
    return await running.desk_of("default", "http://testserver/fhir")


def _registered(site: Site, **scopes: str) -> None:
    async def save() -> None:
        for name, given in scopes.items():
            client = Client(name, name, "asymmetric", scopes=given, active=given != "off")
            await save_client(await _desk(site), client)

    site.server.call(save)


def _token(site: Site, scopes: str) -> dict[str, str]:
    async def made() -> str:
        desk = await _desk(site)
        grant = new_grant(desk, "scanner", scopes, roles=("auditor",))
        pair = new_tokens(desk, grant, refreshing=False)
        await desk.put(stored(grant), *pair.changes)
        return pair.access

    return {"authorization": f"Bearer {site.server.call(made)}"}


def _send(site: Site, sent: Dataset, title: str = "CT1") -> int:
    user = AE(title)
    user.add_requested_context(CTImageStorage)
    found = user.associate("127.0.0.1", site.port, ae_title=TITLE)
    assert found.is_established
    status: int = found.send_c_store(sent).Status
    found.release()
    return status


def _studies(site: Site, title: str) -> list[str]:
    asked = Dataset()
    asked.QueryRetrieveLevel, asked.StudyInstanceUID = "STUDY", ""
    rows = _rows(site, title, asked, StudyRootQueryRetrieveInformationModelFind)
    return sorted(str(row.get("StudyInstanceUID", "refused")) for row in rows)


def _rows(site: Site, title: str, asked: Dataset, model: str) -> list[Dataset]:
    user = AE(title)
    user.add_requested_context(model)
    found = user.associate("127.0.0.1", site.port, ae_title=TITLE)
    answers = list(found.send_c_find(asked, model))
    found.release()
    if answers[-1][0].Status:
        return [Dataset()]
    return [row for _, row in answers[:-1]]


def test_each_ae_sees_what_its_client_may(site: Site) -> None:
    assert [_send(site, ct(patient, study)) for patient, study in (("P1", "1.2.41"), ("P2", "1.2.42"))] == [0, 0]
    eventually(lambda: _studies(site, "CT1") == ["1.2.41", "1.2.42"])
    assert _studies(site, "READER") == ["1.2.41", "1.2.42"]
    assert "1.2.42" not in _studies(site, "ONLYP1")


def test_who_may_not_write_studies_cannot_store(site: Site) -> None:
    assert _send(site, ct("P1", "1.2.43"), "READER") == 0x0124
    assert _send(site, ct("P1", "1.2.43"), "NOTHING") == 0x0124


def test_an_ae_whose_client_is_gone_may_nothing(site: Site) -> None:
    assert _send(site, ct("P1", "1.2.44"), "GONE") == 0x0124


def test_an_ae_without_a_client_may_only_echo(site: Site) -> None:
    user = AE("NOCLIENT")
    for each in (Verification, CTImageStorage):
        user.add_requested_context(each)
    found = user.associate("127.0.0.1", site.port, ae_title=TITLE)
    assert [each.abstract_syntax for each in found.accepted_contexts] == [Verification]
    found.release()


def test_switching_a_client_off_ends_what_its_ae_may(site: Site) -> None:
    _registered(site, reader="off")
    assert _studies(site, "READER") == ["refused"]
    _registered(site, reader=CLIENTS["reader"])


def test_the_worklist_asks_for_orders(site: Site) -> None:
    asked = Dataset()
    asked.PatientName = ""
    asked.ScheduledProcedureStepSequence = [Dataset()]
    assert _rows(site, "CT1", asked, ModalityWorklistInformationFind) == []
    assert _rows(site, "NOTHING", asked, ModalityWorklistInformationFind) == [Dataset()]


def test_what_aes_do_is_audited_under_their_client(site: Site) -> None:
    assert _send(site, ct("P1", "1.2.45")) == 0

    def told() -> bool:
        answer = site.server.client.get("/fhir/AuditEvent?_count=200", headers=_token(site, "system/AuditEvent.rs"))
        assert answer.status_code == 200, answer.text
        return "scanner" in answer.text and "ImagingStudy" in answer.text

    assert eventually(told)


def _signed(name: str, issuer: Any = None, key: Any = None) -> tuple[Any, Any]:
    own = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.subject if issuer else subject)
        .public_key(own.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=2))
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
        .sign(key or own, hashes.SHA256())
    )
    return made, own


def _written(folder: Path, name: str, certificate: Any, key: Any) -> tuple[Path, Path]:
    pem, private = folder / f"{name}.pem", folder / f"{name}.key"
    pem.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return pem, private


@pytest.fixture(scope="module")
def safe(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Site, Path, int]]:
    folder, port = tmp_path_factory.mktemp("tls"), free_port()
    authority, its_key = _signed("hospital")
    _written(folder, "ca", authority, its_key)
    fingerprint = ""
    for name in ("server", "scanner", "other"):
        certificate, key = _signed(name, authority, its_key)
        _written(folder, name, certificate, key)
        if name == "scanner":
            fingerprint = certificate.fingerprint(hashes.SHA256()).hex()
    _written(folder, "stranger", *_signed("stranger"))
    table = f'[[ae]]\ntitle = "CT1"\ncertificate = "{fingerprint}"\nmay = ["echo"]\n'
    tls = {
        "dimse_tls_port": port, "dimse_tls_certificate": str(folder / "server.pem"),
        "dimse_tls_key": str(folder / "server.key"), "dimse_tls_ca": str(folder / "ca.pem"), "dimse_greeting": 1,
    }  # fmt: skip
    with listening(folder, table, dicom=tls) as site:
        wait_for(port)
        yield site, folder, port


def _echo_by_tls(folder: Path, port: int, name: str) -> "subprocess.CompletedProcess[str]":
    tls = ["+tls", str(folder / f"{name}.key"), str(folder / f"{name}.pem"), "+cf", str(folder / "ca.pem")]
    command = ["/usr/bin/echoscu", "-aet", "CT1", "-aec", TITLE, *tls, "127.0.0.1", str(port)]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False, env=dict(os.environ))


def test_a_certificate_says_who_calls(safe: tuple[Site, Path, int], caplog: pytest.LogCaptureFixture) -> None:
    _, folder, port = safe
    assert _echo_by_tls(folder, port, "scanner").returncode == 0
    assert "Calling AE Title Not Recognized" in _echo_by_tls(folder, port, "other").stderr
    assert _echo_by_tls(folder, port, "stranger").returncode != 0
    said = "a TLS handshake with 127.0.0.1 has failed: its certificate is not believed"
    eventually(lambda: said in caplog.text)


def test_who_speaks_no_tls_is_hung_up_on_and_the_log_says_so(
    safe: tuple[Site, Path, int], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "dicomweb.dimse")
    with socket.create_connection(("127.0.0.1", safe[2])) as plain:
        plain.sendall(b"\x01\x00" + struct.pack(">L", 10) + bytes(10))
        assert plain.recv(1024)[:1] in (b"", b"\x15")
    eventually(lambda: "a TLS handshake with 127.0.0.1 has failed: wrong version number" in caplog.text)
    with socket.create_connection(("127.0.0.1", safe[2])) as silent:
        assert silent.recv(1) == b""
    eventually(lambda: "handshake is taking longer than 1" in caplog.text)


def test_without_its_certificate_an_ae_is_nobody(safe: tuple[Site, Path, int]) -> None:
    site, _, _ = safe
    assert "Calling AE Title Not Recognized" in site.dcmtk("echoscu").stderr


def test_a_handshake_that_stalls_holds_nobody_up(safe: tuple[Site, Path, int]) -> None:
    _, folder, port = safe
    with socket.create_connection(("127.0.0.1", port)):
        assert _echo_by_tls(folder, port, "scanner").returncode == 0


def test_old_tls_is_refused(safe: tuple[Site, Path, int]) -> None:
    _, folder, port = safe
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.load_cert_chain(folder / "scanner.pem", folder / "scanner.key")
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning):
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    with socket.create_connection(("127.0.0.1", port)) as plain, pytest.raises(OSError):
        context.wrap_socket(plain)
