"""Traces are off by default, cost nothing then, and load nothing."""

import subprocess
import sys
from timeit import timeit

from fhir_server.telemetry import tracing
from fhir_server.telemetry.numbers import COMMIT_SECONDS


def test_a_span_while_traces_are_off_is_nothing() -> None:
    with tracing.span("read", "server", {"fhir.type": "Patient"}) as span:
        span.note("a", 1)
        span.name("b")
        span.failed("c")
    assert (tracing.ids(), tracing.outgoing(), tracing.is_on()) == (("", ""), {}, False)


def test_what_is_done_for_numbers_takes_microseconds() -> None:
    def one() -> None:
        with COMMIT_SECONDS.timed():
            pass

    assert timeit(one, number=2_000) / 2_000 < 20e-6


def test_opentelemetry_is_not_loaded_where_traces_are_off() -> None:
    heavy = "('opentelemetry.sdk', 'opentelemetry.exporter')"  # FastAPI loads the rest
    asked = f"import fhir_server.app, sys; print([name for name in sys.modules if name.startswith({heavy})])"
    found = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, timeout=60, check=True)
    assert found.stdout.strip() == "[]"
