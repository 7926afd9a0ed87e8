"""What comes in by C-STORE: as it was, durable, with a reason where it is refused; then found, moved and got."""

import asyncio
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import AE, build_role, evt
from pynetdicom.sop_class import (
    CTImageStorage,
    MRImageStorage,
    PatientRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelGet,
    StudyRootQueryRetrieveInformationModelMove,
)

from dicomweb.dimse.wire.accepting import Call, connect
from dicomweb.dimse.wire.association import Association
from dicomweb.dimse.wire.command import Command, Field
from tests.plugins.dicomweb.dimse.conftest import TITLE, Site, ae, eventually, free_port, listening
from tests.plugins.dicomweb.dimse.objects import SYSTEM, ct, raw, write

pytestmark = pytest.mark.usefixtures("dcmtk")
DICOM = {"issuers": {"HOSP": SYSTEM}, "unknown_patients": "create", "dimse_stalled": 2}
MOVED_TO = free_port()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    table = ae("CT1") + ae("DEST", MOVED_TO) + ae("DOWN", free_port()) + ae("READER", may=["find"])
    with listening(tmp_path_factory.mktemp("dimse"), table, dicom=DICOM) as found:
        yield found


def studies(site: Site, **query: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = site.server.client.get("/dicomweb/studies", params=query).json()
    return found


def test_storescu_stores_and_the_study_is_an_imaging_study(site: Site, tmp_path: Path) -> None:
    paths = write(tmp_path, [ct("P1", "1.2.10", number=number) for number in range(1, 4)])
    answer = site.dcmtk("storescu", *map(str, paths))
    assert answer.returncode == 0, answer.stderr
    found = eventually(
        lambda: site.server.client.get("/fhir/ImagingStudy?identifier=urn:dicom:uid|urn:oid:1.2.10").json().get("entry")
    )
    study = found[0]["resource"]
    assert (study["numberOfSeries"], study["numberOfInstances"]) == (1, 3)
    assert study["meta"]["versionId"] == "1"


def _got(site: Site, into: Path, study: str) -> Path:
    into.mkdir()
    keys = ["-k", "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={study}"]
    answer = site.dcmtk("getscu", "-S", "+B", "-od", str(into), *keys)
    assert answer.returncode == 0, answer.stderr
    [back] = into.iterdir()
    return back


def test_what_is_stored_is_what_was_sent(site: Site, tmp_path: Path) -> None:
    sent = ct("P1", "1.2.11", transfer=ExplicitVRLittleEndian)
    [path] = write(tmp_path, [sent])
    assert site.dcmtk("storescu", "-xe", str(path)).returncode == 0
    assert _got(site, tmp_path / "got", "1.2.11").read_bytes().endswith(_data_set(sent))


def test_what_the_other_side_does_not_take_is_transcoded(site: Site, tmp_path: Path) -> None:
    sent = ct("P1", "1.2.17", transfer=ImplicitVRLittleEndian)
    [path] = write(tmp_path, [sent])
    assert site.dcmtk("storescu", "-xi", str(path)).returncode == 0
    back = dcmread(_got(site, tmp_path / "got", "1.2.17"))
    assert back.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
    assert back.PixelData == sent.PixelData


def test_the_same_object_twice_is_stored_once(site: Site, tmp_path: Path) -> None:
    [path] = write(tmp_path, [ct("P1", "1.2.12")])
    assert [site.dcmtk("storescu", str(path)).returncode for _ in range(2)] == [0, 0]
    [study] = eventually(lambda: studies(site, StudyInstanceUID="1.2.12"))
    assert study["00201208"]["Value"] == [1]


def _status_of(site: Site, sent: Dataset) -> tuple[int, str]:
    user = AE("CT1")
    user.add_requested_context(CTImageStorage)
    found = user.associate("127.0.0.1", site.port, ae_title=TITLE)
    status = found.send_c_store(sent)
    found.release()
    return status.Status, str(status.get("ErrorComment", ""))


@pytest.mark.parametrize("tag", ["StudyInstanceUID", "SeriesInstanceUID"])
def test_what_lacks_its_uids_is_refused_with_a_reason(site: Site, tag: str) -> None:
    sent = ct("P1", "1.2.13")
    delattr(sent, tag)
    status, said = _status_of(site, sent)
    assert status & 0xF000 in (0xA000, 0xC000)
    assert said


async def _associated(site: Site, *classes: str) -> Association:
    call = Call("127.0.0.1", site.port, TITLE, "CT1")
    return await connect(call, [(each, ["1.2.840.10008.1.2.1"]) for each in classes])


def _request(association: Association, sop_class: str, uid: str) -> Command:
    return {
        "AffectedSOPClassUID": sop_class, "CommandField": Field.C_STORE_RQ, "MessageID": association.next_id(),
        "Priority": 0, "AffectedSOPInstanceUID": uid,
    }  # fmt: skip


def _data_set(sent: Dataset) -> bytes:
    whole = raw(sent)
    return whole[144 + int.from_bytes(whole[140:144], "little") :]


@pytest.mark.parametrize(
    "broken",
    [
        lambda data: data[:300],
        lambda data: data[:-7],
        lambda data: b"\x08\x00\x05\x00ZZ\x02\x00ab" + data[20:],
        lambda data: b"",
    ],
    ids=["in the header", "in the pixels", "illegal VR", "nothing"],
)
async def test_broken_data_sets_are_answered_and_the_association_goes_on(site: Site, broken: Any) -> None:
    sent, whole = ct("P1", "1.2.14", number=1), ct("P1", "1.2.14", number=2)
    association = await _associated(site, CTImageStorage)
    context = association.context_for(CTImageStorage)
    assert context is not None
    try:
        await association.send(
            context, _request(association, CTImageStorage, sent.SOPInstanceUID), broken(_data_set(sent))
        )
        answer = await association.receive()
        assert answer.number("Status") != 0
        assert answer.text("ErrorComment")
        await association.send(context, _request(association, CTImageStorage, whole.SOPInstanceUID), _data_set(whole))
        assert (await association.receive()).number("Status") == 0
        await association.release()
    finally:
        await association.close()
    [study] = await asyncio.to_thread(eventually, lambda: studies(site, StudyInstanceUID="1.2.14"))
    assert study["00201208"]["Value"] == [1]


async def test_a_wrong_class_or_uid_in_the_command_is_refused(site: Site) -> None:
    sent = ct("P1", "1.2.15")
    association = await _associated(site, CTImageStorage, MRImageStorage)
    try:
        for sop_class, uid in ((MRImageStorage, str(sent.SOPInstanceUID)), (CTImageStorage, "1.9.9.9")):
            context = association.context_for(sop_class)
            assert context is not None
            await association.send(context, _request(association, sop_class, uid), _data_set(sent))
            assert (await association.receive()).number("Status") not in (0, 0xB000)
        await association.release()
    finally:
        await association.close()
    assert studies(site, StudyInstanceUID="1.2.15") == []


@pytest.mark.parametrize("how", ["abort", "hang up", "stall"])
async def test_who_breaks_off_in_the_middle_leaves_nothing_but_what_was_acknowledged(site: Site, how: str) -> None:
    uid = f"1.2.16.{len(how)}"
    first, second = ct("P1", uid, number=1), ct("P1", uid, number=2, side=512)
    association = await _associated(site, CTImageStorage)
    context = association.context_for(CTImageStorage)
    assert context is not None

    async def half() -> Any:
        yield _data_set(second)[:200_000]
        yield b""
        if how == "abort":
            await association.abort()
        elif how == "stall":
            await asyncio.sleep(2.5)
        raise RuntimeError("enough")

    await association.send(context, _request(association, CTImageStorage, first.SOPInstanceUID), _data_set(first))
    assert (await association.receive()).number("Status") == 0
    with pytest.raises(RuntimeError):
        await association.send(context, _request(association, CTImageStorage, second.SOPInstanceUID), half())
    await association.close()
    [study] = await asyncio.to_thread(eventually, lambda: studies(site, StudyInstanceUID=uid))
    assert study["00201208"]["Value"] == [1]


def _found(site: Site, model: str, title: str = "CT1", **keys: str) -> list[Dataset]:
    asked = Dataset()
    for name, value in keys.items():
        setattr(asked, name, value)
    user = AE(title)
    user.add_requested_context(model)
    found = user.associate("127.0.0.1", site.port, ae_title=TITLE)
    assert found.is_established
    answers = list(found.send_c_find(asked, model))
    found.release()
    assert answers[-1][0].Status == 0, hex(answers[-1][0].Status)
    return [row for _, row in answers[:-1] if row is not None]


@pytest.fixture(scope="module")
def some(site: Site, tmp_path_factory: pytest.TempPathFactory) -> None:
    objects = [
        ct("P7", "1.2.20", "1", 1), ct("P7", "1.2.20", "1", 2), ct("P7", "1.2.20", "2", 1),
        ct("P8", "1.2.21", PatientName="Grünberg^Käthe", StudyDate="20250101"),
    ]  # fmt: skip
    paths = write(tmp_path_factory.mktemp("some"), objects)
    assert site.dcmtk("storescu", *map(str, paths)).returncode == 0
    eventually(lambda: len(studies(site, PatientID="P7")) + len(studies(site, PatientID="P8")) == 2)


@pytest.mark.usefixtures("some")
class TestQueries:
    """C-FIND over what `some` has stored."""

    STUDY = StudyRootQueryRetrieveInformationModelFind
    PATIENT = PatientRootQueryRetrieveInformationModelFind

    def test_studies_by_patient(self, site: Site) -> None:
        [row] = _found(
            site, self.STUDY, QueryRetrieveLevel="STUDY", PatientID="P7", StudyInstanceUID="", StudyDescription="",
            NumberOfStudyRelatedInstances="", ModalitiesInStudy="", PatientName="",
        )  # fmt: skip
        assert (row.StudyInstanceUID, row.NumberOfStudyRelatedInstances, row.ModalitiesInStudy) == ("1.2.20", 3, "CT")
        assert (row.RetrieveAETitle, row.InstanceAvailability) == (TITLE, "ONLINE")

    def test_names_dates_and_letters_beyond_ascii(self, site: Site) -> None:
        [row] = _found(site, self.STUDY, QueryRetrieveLevel="STUDY", PatientName="gr*", StudyDate="20241231-20250102")
        assert str(row.PatientName) == "Grünberg^Käthe"

    def test_series_and_instances_below_a_study(self, site: Site) -> None:
        rows = _found(site, self.STUDY, QueryRetrieveLevel="SERIES", StudyInstanceUID="1.2.20", SeriesInstanceUID="")
        assert sorted(row.SeriesInstanceUID for row in rows) == ["1.2.20.1", "1.2.20.2"]
        rows = _found(
            site, self.STUDY, QueryRetrieveLevel="IMAGE", StudyInstanceUID="1.2.20", SeriesInstanceUID="1.2.20.1",
            SOPInstanceUID="", InstanceNumber="",
        )  # fmt: skip
        assert sorted(row.InstanceNumber for row in rows) == [1, 2]

    def test_patients(self, site: Site) -> None:
        rows = _found(site, self.PATIENT, QueryRetrieveLevel="PATIENT", PatientID="P7", PatientName="", PatientSex="")
        assert [(row.PatientID, str(row.PatientName), row.PatientSex) for row in rows] == [("P7", "Lovelace^Ada", "F")]

    def test_what_the_model_does_not_allow_is_refused(self, site: Site) -> None:
        answer = site.dcmtk("findscu", "-S", "-v", "-k", "QueryRetrieveLevel=SERIES", "-k", "SeriesInstanceUID")
        assert "DataSetDoesNotMatchSOPClass" in answer.stderr
        answer = site.dcmtk("findscu", "-S", "-v", "-k", "QueryRetrieveLevel=PATIENT", "-k", "PatientID")
        assert "DataSetDoesNotMatchSOPClass" in answer.stderr

    def test_findscu_finds(self, site: Site) -> None:
        answer = site.dcmtk("findscu", "-S", "-k", "QueryRetrieveLevel=STUDY", "-k", "PatientID=P8", "-k", "StudyDate")
        assert "20250101" in answer.stdout + answer.stderr

    def test_an_ae_that_may_only_find_cannot_store(self, site: Site, tmp_path: Path) -> None:
        assert _found(site, self.STUDY, "READER", QueryRetrieveLevel="STUDY", PatientID="P7")
        [path] = write(tmp_path, [ct("P7", "1.2.22")])
        assert site.dcmtk("storescu", str(path), title="READER").returncode != 0


@pytest.mark.usefixtures("some")
class TestRetrieval:
    """C-MOVE and C-GET of what `some` has stored."""

    def test_movescu_moves_to_a_known_ae(self, site: Site, tmp_path: Path) -> None:
        receiver = subprocess.Popen(
            ["/usr/bin/storescp", "-aet", "DEST", "-od", str(tmp_path), str(MOVED_TO)], stderr=subprocess.DEVNULL
        )
        try:
            keys = ["-k", "QueryRetrieveLevel=STUDY", "-k", "StudyInstanceUID=1.2.20"]
            answer = eventually(lambda: _moved(site, "DEST", keys))
            assert answer.returncode == 0
            assert len(list(tmp_path.iterdir())) == 3
        finally:
            receiver.terminate()
            receiver.wait(10)

    def test_an_unknown_destination_is_refused(self, site: Site) -> None:
        keys = ["-k", "QueryRetrieveLevel=STUDY", "-k", "StudyInstanceUID=1.2.20"]
        answer = site.dcmtk("movescu", "-S", "-v", "-aem", "NOBODY", *keys)
        assert "MoveDestinationUnknown" in answer.stdout + answer.stderr

    def test_a_destination_that_is_down_is_told(self, site: Site) -> None:
        user = AE("CT1")
        user.add_requested_context(StudyRootQueryRetrieveInformationModelMove)
        found = user.associate("127.0.0.1", site.port, ae_title=TITLE)
        asked = Dataset()
        asked.QueryRetrieveLevel, asked.StudyInstanceUID = "STUDY", "1.2.20"
        [(status, _)] = found.send_c_move(asked, "DOWN", StudyRootQueryRetrieveInformationModelMove)
        found.release()
        assert (status.Status, "reached" in status.ErrorComment) == (0xA702, True)

    def test_pynetdicom_gets_one_series(self, site: Site) -> None:
        got: list[Dataset] = []

        def take(event: Any) -> int:
            got.append(event.dataset)
            return 0

        user = AE("CT1")
        user.add_requested_context(StudyRootQueryRetrieveInformationModelGet)
        user.add_requested_context(CTImageStorage)
        role = build_role(CTImageStorage, scp_role=True)
        found = user.associate(
            "127.0.0.1", site.port, ae_title=TITLE, ext_neg=[role], evt_handlers=[(evt.EVT_C_STORE, take)]
        )
        asked = Dataset()
        asked.QueryRetrieveLevel, asked.StudyInstanceUID, asked.SeriesInstanceUID = "SERIES", "1.2.20", "1.2.20.1"
        statuses = [status.Status for status, _ in found.send_c_get(asked, StudyRootQueryRetrieveInformationModelGet)]
        found.release()
        assert statuses[-1] == 0
        assert sorted(each.SOPInstanceUID for each in got) == ["1.2.20.1.1", "1.2.20.1.2"]


def _moved(site: Site, destination: str, keys: list[str]) -> Any:
    answer = site.dcmtk("movescu", "-S", "-aem", destination, *keys)
    return answer if answer.returncode == 0 else None
