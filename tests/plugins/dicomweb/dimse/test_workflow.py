"""The worklist, performed steps and storage commitment, as modalities use them; forwarding and prefetching."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import UID
from pynetdicom import AE, build_role, evt
from pynetdicom.sop_class import (
    CTImageStorage,
    ModalityPerformedProcedureStep,
    ModalityPerformedProcedureStepRetrieve,
    ModalityWorklistInformationFind,
    StorageCommitmentPushModel,
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelGet,
)

from tests.plugins.dicomweb.dimse.conftest import TITLE, Site, ae, eventually, free_port, listening
from tests.plugins.dicomweb.dimse.objects import SYSTEM, ct, write

pytestmark = pytest.mark.usefixtures("dcmtk")
DICOM = {
    "issuers": {"HOSP": SYSTEM},
    "default_issuer": "HOSP",
    "unknown_patients": "create",
    "accession_system": "urn:acc",
}
INSTANCE = UID("1.2.840.10008.1.20.1.1")
WORKSTATION, ARCHIVE, ASKER = free_port(), free_port(), free_port()
RULES = """
[[forward]]
name = "to the workstation"
to = "WS1"
from = ["CT1"]
modalities = ["CT"]
commit = true

[[prefetch]]
name = "priors"
source = "OLD"
modalities = ["CT"]
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    table = ae("CT1") + ae("ASKER", ASKER) + ae("WS1", WORKSTATION) + ae("OLD", ARCHIVE, get="true") + RULES
    with listening(tmp_path_factory.mktemp("dimse"), table, dicom=DICOM) as found:
        yield found


def _associated(site: Site, *models: str, title: str = "CT1", **more: Any) -> Any:
    user = AE(title)
    for model in models:
        user.add_requested_context(model)
    found = user.associate("127.0.0.1", site.port, ae_title=TITLE, **more)
    assert found.is_established
    return found


def _posted(site: Site, resource: dict[str, Any]) -> str:
    answer = site.server.client.post(f"/fhir/{resource['resourceType']}", json=resource)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def ordered(site: Site, accession: str, start: str, modality: str = "CT", **patient: Any) -> tuple[str, str]:
    """Make a patient and an order; return the ids."""
    name = patient.pop("name", [{"family": "Hopper", "given": ["Grace", "Brewster"]}])
    person = _posted(
        site,
        site.server.patient(
            name=name,
            identifier=[{"system": SYSTEM, "value": f"M{accession}"}],
            birthDate="1906-12-09",
            gender="female",
        ),
    )
    order = {
        "resourceType": "ServiceRequest", "status": "active", "intent": "order", "priority": "stat",
        "subject": {"reference": f"Patient/{person}"}, "occurrenceDateTime": start,
        "identifier": [{"system": "urn:acc", "value": accession}],
        "code": {"text": "CT of the chest", "coding": [{"system": "http://snomed.info/sct", "code": "169069000"}]},
        "orderDetail": [{"coding": [{"system": "http://dicom.nema.org/resources/ontology/DCM", "code": modality}]}],
    }  # fmt: skip
    return person, _posted(site, order)


def worklist(site: Site, **step: str) -> list[Dataset]:
    asked, inner = Dataset(), Dataset()
    for name in ("PatientName", "PatientID", "AccessionNumber", "StudyInstanceUID", "RequestedProcedureID"):
        setattr(asked, name, step.pop(name, ""))
    wanted = {"ScheduledStationAETitle": "", "ScheduledProcedureStepStartDate": "", "Modality": ""}
    for name, value in {
        **wanted,
        "ScheduledProcedureStepID": "",
        "ScheduledProcedureStepStartTime": "",
        **step,
    }.items():
        setattr(inner, name, value)
    asked.ScheduledProcedureStepSequence = [inner]
    found = _associated(site, ModalityWorklistInformationFind)
    answers = list(found.send_c_find(asked, ModalityWorklistInformationFind))
    found.release()
    assert answers[-1][0].Status == 0
    return [row for _, row in answers[:-1]]


def test_orders_are_on_the_worklist(site: Site) -> None:
    ordered(site, "W1", "2026-03-01T09:30:00+00:00")
    ordered(site, "W2", "2026-03-01T08:00:00+00:00", modality="MR", name=[{"family": "Müller", "given": ["Jörg"]}])
    rows = worklist(site, ScheduledProcedureStepStartDate="20260301")
    assert [str(row.PatientName) for row in rows] == ["Müller^Jörg", "Hopper^Grace^Brewster"]
    [row] = worklist(site, ScheduledProcedureStepStartDate="20260301-20260302", Modality="CT")
    [step] = row.ScheduledProcedureStepSequence
    assert (row.PatientID, row.AccessionNumber, step.Modality) == ("MW1", "W1", "CT")
    assert (step.ScheduledProcedureStepStartDate, step.ScheduledProcedureStepStartTime) == ("20260301", "093000")
    assert worklist(site, ScheduledProcedureStepStartDate="20260301", Modality="US") == []
    assert [row.AccessionNumber for row in worklist(site, PatientName="hop*", AccessionNumber="W1")] == ["W1"]


def test_an_appointment_says_when_and_at_which_station(site: Site) -> None:
    person, order = ordered(site, "W3", "2026-04-01")
    device = _posted(site, {"resourceType": "Device", "identifier": [{"system": "urn:dicom:ae-title", "value": "CT1"}]})
    appointment = _posted(
        site,
        {
            "resourceType": "Appointment", "status": "booked", "start": "2026-04-02T10:15:00Z",
            "end": "2026-04-02T10:30:00Z",
            "basedOn": [{"reference": f"ServiceRequest/{order}"}],
            "participant": [
                {"actor": {"reference": f"Patient/{person}"}, "status": "accepted"},
                {"actor": {"reference": f"Device/{device}"}, "status": "accepted"},
            ],
        },
    )  # fmt: skip
    [row] = worklist(site, ScheduledProcedureStepStartDate="20260402", ScheduledStationAETitle="CT1")
    [step] = row.ScheduledProcedureStepSequence
    assert (step.ScheduledProcedureStepStartTime, step.ScheduledProcedureStepID) == ("101500", appointment[:16])
    assert worklist(site, ScheduledProcedureStepStartDate="20260402", ScheduledStationAETitle="CT2") == []


def test_findscu_reads_the_worklist(site: Site) -> None:
    ordered(site, "W4", "2026-05-01T09:30:00+00:00")
    keys = ["-k", "PatientName", "-k", "(0040,0100)[0].ScheduledProcedureStepStartDate=20260501"]
    answer = site.dcmtk("findscu", "-W", *keys)
    assert "Hopper^Grace^Brewster" in answer.stdout + answer.stderr


def _step(accession: str, uid: str = "1.2.77.1") -> Dataset:
    found, scheduled = Dataset(), Dataset()
    scheduled.AccessionNumber, scheduled.StudyInstanceUID = accession, uid
    scheduled.ScheduledProcedureStepID = scheduled.RequestedProcedureID = ""
    found.ScheduledStepAttributesSequence = [scheduled]
    found.PatientName, found.PatientID = "Hopper^Grace", "M1"
    found.PerformedProcedureStepID, found.PerformedStationAETitle = "PPS1", "CT1"
    found.PerformedProcedureStepStartDate, found.PerformedProcedureStepStartTime = "20260301", "093500"
    found.PerformedProcedureStepStatus, found.Modality = "IN PROGRESS", "CT"
    found.PerformedProcedureStepEndDate = found.PerformedProcedureStepEndTime = ""
    found.PerformedSeriesSequence = []
    return found


def test_a_performed_step_moves_the_task_of_its_order(site: Site) -> None:
    person, order = ordered(site, "W5", "2026-06-01")
    find = f"/fhir/Task?based-on=ServiceRequest/{order}"
    found = _associated(site, ModalityPerformedProcedureStep, ModalityPerformedProcedureStepRetrieve)
    status, _ = found.send_n_create(_step("W5"), ModalityPerformedProcedureStep, UID("1.2.77.1"))
    assert status.Status == 0, status
    task = site.server.client.get(find).json()["entry"][0]["resource"]
    assert (task["status"], task["for"]["reference"]) == ("in-progress", f"Patient/{person}")
    assert found.send_n_create(_step("W5"), ModalityPerformedProcedureStep, UID("1.2.77.1"))[0].Status == 0x0111
    done = Dataset()
    done.PerformedProcedureStepStatus = "COMPLETED"
    done.PerformedProcedureStepEndDate, done.PerformedProcedureStepEndTime = "20260301", "094500"
    assert found.send_n_set(done, ModalityPerformedProcedureStep, UID("1.2.77.1"))[0].Status == 0
    task = site.server.client.get(find).json()["entry"][0]["resource"]
    assert (task["status"], task["executionPeriod"]["end"]) == ("completed", "2026-03-01T09:45:00Z")
    late, _ = found.send_n_set(done, ModalityPerformedProcedureStep, UID("1.2.77.1"))
    assert (late.Status, late.ErrorID) == (0x0110, 0xA710)
    status, kept = found.send_n_get(
        [(0x0040, 0x0252)], ModalityPerformedProcedureStepRetrieve, UID("1.2.77.1"),

    )  # fmt: skip
    assert (status.Status, kept.PerformedProcedureStepStatus) == (0, "COMPLETED")
    assert found.send_n_set(done, ModalityPerformedProcedureStep, UID("1.2.77.9"))[0].Status == 0x0112
    found.release()


def test_steps_work_over_the_web_too(site: Site) -> None:
    ordered(site, "W6", "2026-06-02")
    path = "/dicomweb/modality-performed-procedure-steps/1.2.77.2"
    http = site.server.client
    assert http.post(path, json=_step("W6", "1.2.77.2").to_json_dict()).status_code == 201
    assert http.post(path, json=_step("W6", "1.2.77.2").to_json_dict()).status_code == 409
    stopped = {"00400252": {"vr": "CS", "Value": ["DISCONTINUED"]}, "00400250": {"vr": "DA", "Value": ["20260301"]}}
    assert http.post(f"{path}?update", json={"00100020": {"vr": "LO", "Value": ["X"]}}).status_code == 400
    assert http.post(f"{path}?update", json=stopped).status_code == 200
    assert http.post(f"{path}?update", json=stopped).status_code == 409
    assert http.get(path).json()[0]["00400252"]["Value"] == ["DISCONTINUED"]
    assert http.get(path.replace("77.2", "77.8")).status_code == 404
    rows = http.get("/dicomweb/modality-scheduled-procedure-steps?AccessionNumber=W6").json()
    assert [row["00080050"]["Value"] for row in rows] == [["W6"]]
    xml = http.get(path, headers={"accept": "application/dicom+xml"})
    assert b"DISCONTINUED" in xml.content


def _asked(transaction: str, *uids: str) -> Dataset:
    found = Dataset()
    found.TransactionUID = transaction
    found.ReferencedSOPSequence = []
    for uid in uids:
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = CTImageStorage, uid
        found.ReferencedSOPSequence.append(item)
    return found


def test_commitment_is_reported_over_the_association_that_asked(site: Site, tmp_path: Path) -> None:
    [path] = write(tmp_path, [ct("P1", "1.2.30")])
    assert site.dcmtk("storescu", str(path)).returncode == 0
    told: list[Any] = []
    heard = threading.Event()

    def report(event: Any) -> tuple[int, None]:
        told.append((event.event_type, event.event_information))
        heard.set()
        return 0, None

    found = _associated(site, StorageCommitmentPushModel, evt_handlers=[(evt.EVT_N_EVENT_REPORT, report)])
    asked = _asked("1.2.88.1", "1.2.30.1.1", "1.2.30.1.2")
    assert found.send_n_action(asked, 1, StorageCommitmentPushModel, INSTANCE)[0].Status == 0
    assert heard.wait(10)
    found.release()
    [(kind, said)] = told
    assert (kind, said.TransactionUID) == (2, "1.2.88.1")
    assert [each.ReferencedSOPInstanceUID for each in said.ReferencedSOPSequence] == ["1.2.30.1.1"]
    assert [(each.ReferencedSOPInstanceUID, each.FailureReason) for each in said.FailedSOPSequence] == [
        ("1.2.30.1.2", 0x0112)
    ]
    web = site.server.client.post(
        "/dicomweb/commitment-requests/1.2.88.2", json=_asked("1.2.88.2", "1.2.30.1.1").to_json_dict()
    )
    assert web.json()[0]["00081199"]["Value"][0]["00081155"]["Value"] == ["1.2.30.1.1"]
    assert site.server.client.get("/dicomweb/commitment-requests/1.2.88.2").json() == web.json()


def test_an_ae_with_a_port_is_called_back_until_it_listens(site: Site, tmp_path: Path) -> None:
    [path] = write(tmp_path, [ct("P1", "1.2.31")])
    assert site.dcmtk("storescu", str(path)).returncode == 0
    found = _associated(site, StorageCommitmentPushModel, title="ASKER")
    asked = _asked("1.2.88.3", "1.2.31.1.1")
    assert found.send_n_action(asked, 1, StorageCommitmentPushModel, INSTANCE)[0].Status == 0
    found.release()
    told: list[int] = []

    def report(event: Any) -> tuple[int, None]:
        told.append(event.event_type)
        return 0, None

    listener = AE("ASKER")
    listener.add_supported_context(StorageCommitmentPushModel, scu_role=False, scp_role=True)
    server = listener.start_server(("127.0.0.1", ASKER), block=False, evt_handlers=[(evt.EVT_N_EVENT_REPORT, report)])
    assert server is not None
    try:
        eventually(lambda: told == [1])
    finally:
        server.shutdown()


def test_studies_are_forwarded_when_the_other_side_is_there_and_only_once(site: Site, tmp_path: Path) -> None:
    paths = write(tmp_path, [ct("P1", "1.2.32", number=number) for number in (1, 2)])
    assert site.dcmtk("storescu", *map(str, paths)).returncode == 0
    assert site.dcmtk("storescu", *map(str, write(tmp_path, [ct("P1", "1.2.33")])), title="ASKER").returncode == 0
    got: list[str] = []
    promised: dict[str, str] = {}

    def take(event: Any) -> int:
        got.append(event.request.AffectedSOPInstanceUID)
        return 0

    def promise(event: Any) -> tuple[int, None]:
        asked = event.action_information
        for item in asked.ReferencedSOPSequence:
            promised[str(item.ReferencedSOPInstanceUID)] = str(asked.TransactionUID)
        return 0, None

    station = AE("WS1")
    station.add_supported_context(CTImageStorage)
    station.add_supported_context(StorageCommitmentPushModel)
    handlers = [(evt.EVT_C_STORE, take), (evt.EVT_N_ACTION, promise)]
    server = station.start_server(("127.0.0.1", WORKSTATION), block=False, evt_handlers=handlers)
    assert server is not None
    try:
        eventually(lambda: {"1.2.32.1.1", "1.2.32.1.2"} <= set(got) and "1.2.32.1.2" in promised)
        site.dcmtk("storescu", *map(str, write(tmp_path, [ct("P1", "1.2.32", number=3)])))
        eventually(lambda: "1.2.32.1.3" in got)
        assert sorted(each for each in got if each.startswith("1.2.32.")) == ["1.2.32.1.1", "1.2.32.1.2", "1.2.32.1.3"]
        assert not [each for each in got if each.startswith("1.2.33.")]
        found = _associated(
            site,
            StorageCommitmentPushModel,
            title="WS1",
            ext_neg=[build_role(StorageCommitmentPushModel, scp_role=True)],
        )
        lost = Dataset()
        lost.TransactionUID, lost.FailedSOPSequence = promised["1.2.32.1.2"], [Dataset()]
        lost.FailedSOPSequence[0].ReferencedSOPClassUID = CTImageStorage
        lost.FailedSOPSequence[0].ReferencedSOPInstanceUID = "1.2.32.1.2"
        lost.FailedSOPSequence[0].FailureReason = 0x0110
        for expected in (0, 0x0106):
            status, _ = found.send_n_event_report(lost, 2, StorageCommitmentPushModel, INSTANCE)
            assert status.Status == expected
        found.release()
        eventually(lambda: got.count("1.2.32.1.2") == 2)
    finally:
        server.shutdown()


def test_an_order_brings_the_priors_of_its_patient(site: Site) -> None:
    prior = ct("MW9", "1.2.34", PatientName="Hopper^Grace", PatientBirthDate="19061209")

    def find(event: Any) -> Any:
        row = Dataset()
        row.QueryRetrieveLevel = event.identifier.QueryRetrieveLevel
        row.PatientID, row.StudyInstanceUID, row.StudyDate = "MW9", "1.2.34", "20200101"
        row.SeriesInstanceUID, row.SOPClassUID, row.SOPInstanceUID = "1.2.34.1", CTImageStorage, prior.SOPInstanceUID
        yield 0xFF00, row

    def get(event: Any) -> Any:
        yield 1
        yield 0xFF00, prior

    old = AE("OLD")
    old.add_supported_context(StudyRootQueryRetrieveInformationModelFind)
    old.add_supported_context(StudyRootQueryRetrieveInformationModelGet)
    old.add_supported_context(CTImageStorage, scu_role=True, scp_role=True)
    server = old.start_server(
        ("127.0.0.1", ARCHIVE), block=False, evt_handlers=[(evt.EVT_C_FIND, find), (evt.EVT_C_GET, get)]
    )
    assert server is not None
    try:
        ordered(site, "W9", "2026-07-01")
        eventually(lambda: site.server.client.get("/dicomweb/studies?StudyInstanceUID=1.2.34").json(), 15)
    finally:
        server.shutdown()
