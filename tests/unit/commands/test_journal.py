"""What `load` remembers."""

from pathlib import Path

from fhir_server.commands.journal import NAME, Journal


def test_it_goes_on_after_the_first_gap(tmp_path: Path) -> None:
    source = tmp_path / "a.ndjson"
    source.write_text("x")
    journal = Journal(tmp_path, forget=False)
    for first in (0, 1000, 1500):  # 500 was sent and not answered
        journal.mark(source, first, 500)
    assert Journal(tmp_path, forget=False).done(source) == 500
    journal.mark(source, 500, 500)
    assert Journal(tmp_path, forget=False).done(source) == 2000


def test_a_line_that_was_cut_short_by_a_kill_is_passed_over(tmp_path: Path) -> None:
    source = tmp_path / "a.json"
    source.write_text("x")
    Journal(tmp_path, forget=False).mark(source, 0, 3)
    with (tmp_path / NAME).open("a") as stream:
        stream.write('{"file": "abc", "fi')
    again = Journal(tmp_path, forget=False)
    assert again.done(source) == 3
    again.mark(source, 3, 4)
    assert Journal(tmp_path, forget=False).done(source) == 7


def test_a_file_that_changed_is_a_new_one(tmp_path: Path) -> None:
    source = tmp_path / "a.json"
    source.write_text("x")
    Journal(tmp_path, forget=False).mark(source, 0, 3)
    source.write_text("xy")
    assert Journal(tmp_path, forget=False).done(source) == 0


def test_it_can_be_told_to_forget(tmp_path: Path) -> None:
    source = tmp_path / "a.json"
    source.write_text("x")
    Journal(tmp_path, forget=False).mark(source, 0, 3)
    assert Journal(tmp_path, forget=True).done(source) == 0
