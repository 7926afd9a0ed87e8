"""With FHIR_SERVER_TEST_STRICT set, a test that is left out fails, unless it lacks public test data."""

import os
import sys
from collections.abc import Generator
from typing import Any

import pytest

_STRICT = bool(os.environ.get("FHIR_SERVER_TEST_STRICT"))
_ALLOWED = "test data"


def _judged(report: Any) -> Any:
    """Turn a skip that is not about test data into a failure."""
    if not _STRICT or not report.skipped or hasattr(report, "wasxfail") or not isinstance(report.longrepr, tuple):
        return report
    reason = str(report.longrepr[2]).removeprefix("Skipped: ")
    if not reason.startswith(_ALLOWED):
        report.outcome = "failed"
        report.longrepr = f"left out, which FHIR_SERVER_TEST_STRICT forbids: {reason}"
    return report


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep the tests of a module in one process and in their order, for they share its servers."""
    for item in items:
        if item.get_closest_marker("xdist_group") is None:
            item.add_marker(pytest.mark.xdist_group(item.nodeid.partition("::")[0]))


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport() -> Generator[None, Any, Any]:
    """Judge the report of a test."""
    return _judged((yield))


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_make_collect_report() -> Generator[None, Any, Any]:
    """Judge the report of a module."""
    return _judged((yield))


def pytest_sessionfinish() -> None:
    """End the servers that tests of this process have started."""
    started = sys.modules.get("tests.servers.mongodb")
    if started is not None:
        started.end()
