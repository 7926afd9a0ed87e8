"""The owner makes the code systems of the box in a process of its own, and goes on where that fails."""

import sys
from pathlib import Path

import pytest

from fhir_server.serving import terminology
from fhir_server.serving.terminology import make_terminology
from fhir_server.terminology.loaders import boxed


async def test_what_is_not_there_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(terminology, "ready", lambda folder: False)
    await make_terminology(tmp_path)
    assert boxed.ready(tmp_path / "terminology")


async def test_what_is_there_is_not_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(terminology, "ready", lambda folder: True)
    monkeypatch.setattr(sys, "executable", "/nonexistent")
    await make_terminology(tmp_path)


async def test_a_failure_is_logged_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(terminology, "ready", lambda folder: False)
    monkeypatch.setattr(sys, "executable", "/bin/false")
    await make_terminology(tmp_path)
    assert "ICD-10-CM could not be made" in caplog.text
