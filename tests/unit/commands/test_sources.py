"""What `load` makes of files."""

import bz2
import gzip
import json
import lzma
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fhir_server.commands.sources import LINES_PER_BATCH, Parcel, Unreadable, find_files, kind_of, parcels

PATIENT = {"resourceType": "Patient", "active": True}
NAMED = {"resourceType": "Patient", "id": "a"}


def _write(path: Path, document: object) -> Path:
    path.write_text(json.dumps(document))
    return path


def _entries(parcel: Parcel) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(parcel.body)["entry"]
    return found


def _bundle(type_: str, *entries: dict[str, Any]) -> dict[str, Any]:
    return {"resourceType": "Bundle", "type": type_, "entry": list(entries)}


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.json", ".json"),
        ("A.JSON.GZ", ".json"),
        ("a.ndjson.xz", ".ndjson"),
        ("a.jsonl", ".ndjson"),
        ("a.b.json.bz2", ".json"),
        ("a.xml", None),
        ("a.gz", None),
        ("a", None),
        ("a.json.part", None),
    ],
)
def test_the_kind_of_a_file_is_in_its_name(name: str, kind: str | None) -> None:
    assert kind_of(Path(name)) == kind


def test_folders_are_searched_through_in_order_and_other_files_left_alone(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    for name in ("b/z.json", "a.ndjson.gz", "c.txt"):
        (tmp_path / name).write_text("")
    found = find_files([tmp_path, tmp_path / "a.ndjson.gz"])
    assert [path.name for path in found] == ["a.ndjson.gz", "z.json"]


@pytest.mark.parametrize("name", ["missing.json", "there.txt"])
def test_a_named_file_that_cannot_be_read_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "there.txt").write_text("x")
    with pytest.raises(Unreadable, match=name):
        find_files([tmp_path / name])


@pytest.mark.parametrize(
    ("suffix", "pack"), [("", bytes), (".gz", gzip.compress), (".bz2", bz2.compress), (".xz", lzma.compress)]
)
def test_packed_files_are_read(tmp_path: Path, suffix: str, pack: Callable[[bytes], bytes]) -> None:
    path = tmp_path / f"a.json{suffix}"
    path.write_bytes(pack(json.dumps(NAMED).encode()))
    (parcel,) = parcels(path)
    assert _entries(parcel) == [{"resource": NAMED, "request": {"method": "PUT", "url": "Patient/a"}}]


@pytest.mark.parametrize("name", ["a.json.gz", "a.json.bz2", "a.json.xz", "a.json", "a.ndjson.gz"])
def test_a_broken_file_is_unreadable_and_named(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"{ this is neither packed nor JSON")
    with pytest.raises(Unreadable, match=name):
        list(parcels(tmp_path / name))


def test_a_packed_file_that_was_cut_short_is_unreadable(tmp_path: Path) -> None:
    (tmp_path / "a.ndjson.gz").write_bytes(gzip.compress(json.dumps(NAMED).encode() * 50)[:-12])
    with pytest.raises(Unreadable):
        list(parcels(tmp_path / "a.ndjson.gz"))


def test_lines_become_batches_that_know_their_places(tmp_path: Path) -> None:
    path = tmp_path / "a.ndjson"
    path.write_text(
        "".join(json.dumps({**NAMED, "id": f"p{number}"}) + "\n\n" for number in range(LINES_PER_BATCH + 2))
    )
    first, second = parcels(path)
    assert (first.first, first.size, second.first, second.size) == (0, LINES_PER_BATCH, LINES_PER_BATCH, 2)
    assert list(second.places) == [LINES_PER_BATCH, LINES_PER_BATCH + 1]
    (rest,) = parcels(path, skip=LINES_PER_BATCH + 1)
    assert [entry["resource"]["id"] for entry in _entries(rest)] == [f"p{LINES_PER_BATCH + 1}"]


def test_a_line_that_is_not_json_is_told_of_and_hurts_no_other(tmp_path: Path) -> None:
    path = tmp_path / "a.ndjson"
    path.write_text('{"resourceType":"Patient","id":"a"}\n{"resourceType":\n[]\n{"resourceType":"Patient","id":"b"}\n')
    (parcel,) = parcels(path)
    assert list(parcel.places) == [0, 3]
    assert [place for place, _ in parcel.faults] == [1, 2]
    assert parcel.size == 4


def test_a_resource_without_id_gets_one_that_is_the_same_each_time(tmp_path: Path) -> None:
    path = tmp_path / "a.ndjson"
    path.write_text((json.dumps(PATIENT) + "\n") * 3)
    ids = [[entry["resource"]["id"] for entry in _entries(parcel)] for _ in range(2) for parcel in parcels(path)]
    assert ids[0] == ids[1]
    assert len(set(ids[0])) == 3
    (later,) = parcels(path, skip=2)
    assert _entries(later)[0]["resource"]["id"] == ids[0][2]


def test_creates_of_a_transaction_become_updates_that_keep_all_else(tmp_path: Path) -> None:
    text = (
        '{"resourceType":"Bundle","type":"transaction","entry":[{"fullUrl":"urn:uuid:1","resource":{"resourceType":'
        '"Observation","valueQuantity":{"value":1.20}},"request":{"method":"POST","url":"Observation"}}]}'
    )
    (tmp_path / "a.json").write_text(text)
    (parcel,) = parcels(tmp_path / "a.json")
    (entry,) = _entries(parcel)
    id_ = entry["resource"]["id"]
    assert entry["request"] == {"method": "PUT", "url": f"Observation/{id_}"}
    assert entry["fullUrl"] == "urn:uuid:1"
    assert b'"value":1.20' in parcel.body


@pytest.mark.parametrize(
    "entry",
    [
        {"resource": PATIENT, "request": {"method": "POST", "url": "Patient", "ifNoneExist": "identifier=1"}},
        {"resource": NAMED, "request": {"method": "PUT", "url": "Patient/a"}},
        {"request": {"method": "DELETE", "url": "Patient/a"}},
        {"resource": {"resourceType": "Parameters"}, "request": {"method": "POST", "url": "Patient/$match"}},
        {"resource": PATIENT, "request": {"method": "POST", "url": "Observation"}},
        {"resource": PATIENT},
    ],
)
def test_other_entries_of_a_transaction_stay_as_they_are(tmp_path: Path, entry: dict[str, Any]) -> None:
    (parcel,) = parcels(_write(tmp_path / "a.json", _bundle("transaction", entry)))
    assert _entries(parcel) == [entry]


def test_a_resource_with_a_member_twice_is_sent_as_it_is_and_refused_by_the_server(tmp_path: Path) -> None:
    twice = '{"resourceType":"Patient","active":true,"active":false}'
    text = (
        '{"resourceType":"Bundle","type":"batch","entry":[{"resource":%s,"request":{"method":"POST","url":"Patient"}}]}'
    )
    (tmp_path / "a.json").write_text(text % twice)
    (parcel,) = parcels(tmp_path / "a.json")
    assert twice.encode() in parcel.body


def test_a_collection_whose_resources_refer_by_urn_is_written_together(tmp_path: Path) -> None:
    patient = {"fullUrl": "urn:uuid:1", "resource": PATIENT}
    observation = {"resource": {"resourceType": "Observation", "subject": {"reference": "urn:uuid:1"}}}
    (parcel,) = parcels(_write(tmp_path / "a.json", _bundle("collection", patient, observation)))
    assert json.loads(parcel.body)["type"] == "transaction"
    assert _entries(parcel)[0]["fullUrl"] == "urn:uuid:1"


def test_a_searchset_becomes_a_batch_of_its_resources(tmp_path: Path) -> None:
    entries = [{"fullUrl": "http://x/Patient/a", "resource": NAMED}, {"search": {"mode": "outcome"}}]
    (parcel,) = parcels(_write(tmp_path / "a.json", _bundle("searchset", *entries)))
    assert json.loads(parcel.body)["type"] == "batch"
    assert len(_entries(parcel)) == parcel.size == 1
