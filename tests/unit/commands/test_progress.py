"""Progress where stderr is no terminal."""

import io
import sys

import pytest

from fhir_server.commands.progress import progress


def test_short_work_says_nothing_where_there_is_no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    with progress(" resources") as bar:
        for _ in range(10_000):
            bar.update(1)
    assert stream.getvalue().count("\n") <= 1
    assert "\r" not in stream.getvalue()
