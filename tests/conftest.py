"""For all tests: what may be left out, which run in one process, and what is let go of after each module.

With FHIR_SERVER_TEST_STRICT set, a test that is left out fails, unless it lacks public test data.
"""

import gc
import os
import sys
import warnings
from collections.abc import Generator
from pathlib import Path
from typing import Any, Final

import pytest

_STRICT = bool(os.environ.get("FHIR_SERVER_TEST_STRICT"))
_ALLOWED = "test data"
_MANY: Final = 400
"""Open files from which on it is worth a second to look for garbage. Whoever waits by `select`, as pynetdicom does,
fails with one above 1,024."""


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


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> Generator[None, Any, Any]:
    """After the last test of a module, let go of its applications."""
    try:
        return (yield)
    finally:
        if nextitem is None or nextitem.path != item.path:
            forget_applications()


def forget_applications() -> None:
    """Let go of applications that have ended, with their memory and their files.

    FastAPI remembers the functions of some thousand routes, and with them every application that they belong to;
    commands and servers that ran in this process have frozen what was there, garbage too.
    """
    found = sys.modules.get("fastapi.dependencies.models")
    for each in list(vars(found).values()) if found is not None else ():
        if hasattr(each, "cache_clear"):
            each.cache_clear()
    gc.unfreeze()
    if len(list(Path("/dev/fd").iterdir())) > _MANY:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)  # whose they are cannot be told any more
            gc.collect()


def pytest_sessionfinish() -> None:
    """End the servers that tests of this process have started."""
    started = sys.modules.get("tests.servers.mongodb")
    if started is not None:
        started.end()
