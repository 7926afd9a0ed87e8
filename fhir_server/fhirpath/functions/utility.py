"""Functions on time and on the evaluation itself.

Spec: https://hl7.org/fhirpath/N1/#utility-functions
"""

from collections.abc import Mapping
from datetime import datetime

from fhir_server.fhirpath.constants import is_built_in
from fhir_server.fhirpath.context import Run
from fhir_server.fhirpath.errors import FhirPathError
from fhir_server.fhirpath.functions.function import Function, Step, fixed
from fhir_server.fhirpath.node import Collection
from fhir_server.fhirpath.temporal import Temporal
from fhir_server.fhirpath.values import string


def trace(run: Run, focus: Collection, name: Step, projection: Step | None = None) -> Collection:
    """`trace(name [, projection])`: the input; what is traced goes to the service, if there is one."""
    label = string(name(run, focus), "trace()")
    if run.services.trace is not None:
        traced = [found for item in focus for found in projection(run, [item])] if projection else focus
        run.services.trace(label or "", traced)
    return focus


def now(run: Run, focus: Collection) -> Collection:
    """`now()`."""
    return [_moment(run.now())]


def today(run: Run, focus: Collection) -> Collection:
    """`today()`."""
    moment = run.now()
    return [Temporal("Date", (moment.year, moment.month, moment.day))]


def time_of_day(run: Run, focus: Collection) -> Collection:
    """`timeOfDay()`."""
    moment = run.now()
    return [Temporal("Time", (moment.hour, moment.minute, moment.second), f"{moment.microsecond // 1000:03}")]


def _moment(moment: datetime) -> Temporal:
    parts = (moment.year, moment.month, moment.day, moment.hour, moment.minute, moment.second)
    return Temporal("DateTime", parts, f"{moment.microsecond // 1000:03}", _zone(moment))


def _zone(moment: datetime) -> str:
    offset = moment.utcoffset()
    minutes = int(offset.total_seconds()) // 60 if offset else 0
    sign = "-" if minutes < 0 else "+"
    return "Z" if not minutes else f"{sign}{abs(minutes) // 60:02}:{abs(minutes) % 60:02}"


def define_variable(run: Run, focus: Collection, name: Step, value: Step | None = None) -> Collection:
    """`defineVariable(name [, value])`: the input; the rest of the path may say `%name`.

    Spec: https://hl7.org/fhirpath/#definevariablename-string--expr-expression-

    Raises:
        FhirPathError: the name is taken.
    """
    label = string(name(run, focus), "defineVariable()")
    if not label or label in run.variables or is_built_in(label):
        raise FhirPathError(f"defineVariable() cannot define %{label}: the name is taken")
    run.variables = {**run.variables, label: value(run, focus) if value else focus}
    return focus


FUNCTIONS: Mapping[str, Function] = {
    "trace": Function(trace, 1, 2, lazy=True),
    "now": fixed(now),
    "today": fixed(today),
    "timeOfDay": fixed(time_of_day),
    "defineVariable": Function(define_variable, 1, 2, lazy=True),
}
