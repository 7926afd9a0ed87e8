"""Fixtures: a fresh server for each test."""

import pytest

from tests.conformance.http.fhir import Fhir, memory


@pytest.fixture
def fhir() -> Fhir:
    """A client of a server with default settings."""
    return memory()
