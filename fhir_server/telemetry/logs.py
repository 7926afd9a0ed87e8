"""Lines of the log: as text or as one JSON object each, with the ids of request and trace, without values of patients.

An error is told by its kind and the place where it arose. Its message is left out: messages quote what was read.
"""

import json
import logging
import sys
from contextvars import ContextVar
from datetime import UTC, datetime
from traceback import extract_tb
from types import TracebackType
from typing import Any, Final, Literal

from fhir_server.telemetry import tracing

REQUEST_ID: ContextVar[str] = ContextVar("fhir_server.request_id", default="")
"""Of the request under way; the edge sets it."""

_TEXT: Final = "%(asctime)s %(levelname)s %(name)s %(message)s"
_FRAMES: Final = 20
_OURS: Final = ("fhir_", "dicomweb")
_QUIET: Final = ("httpx", "httpcore", "uvicorn", "opentelemetry")
Raised = tuple[type[BaseException] | None, BaseException | None, TracebackType | None]


def configure(form: Literal["text", "json"]) -> None:
    """Have the log written to stderr in a form."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Json() if form == "json" else Text(_TEXT))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)


def said(record: logging.LogRecord) -> str:
    """Return the message of a line, without the messages of other people's errors."""
    if isinstance(record.args, tuple):
        plain = tuple(_told(each) for each in record.args)
        try:
            return str(record.msg) % plain if plain else str(record.msg)
        except (TypeError, ValueError):
            return str(record.msg)
    return record.getMessage()


def _told(argument: object) -> object:
    """Return what a line says of an argument: errors of our own speak for themselves, of others the kind is told."""
    if not isinstance(argument, BaseException) or type(argument).__module__.startswith(_OURS):
        return argument
    return kind_of(argument)


def kind_of(error: BaseException) -> str:
    """Return what an error is, without its message; of one of the system also what the system calls it."""
    name = type(error).__name__
    return f"{name} ({error.strerror})" if isinstance(error, OSError) and error.strerror else name


class Text(logging.Formatter):
    """Lines for people."""

    def format(self, record: logging.LogRecord) -> str:
        """Return a line, and the places of an error below it."""
        plain = logging.makeLogRecord({**record.__dict__, "msg": said(record), "args": None, "exc_text": None})
        return super().format(plain)

    def formatException(self, ei: Raised) -> str:  # noqa: N802  # its name in logging
        """Return kind and places of an error."""
        frames = extract_tb(ei[2])[-_FRAMES:]
        places = "".join(f'\n  File "{frame.filename}", line {frame.lineno}, in {frame.name}' for frame in frames)
        return f"{kind_of(ei[1])}, raised at:{places}" if ei[1] is not None else ""


class Json(logging.Formatter):
    """Lines for programs."""

    def format(self, record: logging.LogRecord) -> str:
        """Return one JSON object."""
        trace, span = tracing.ids()
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": said(record),
            "process": record.process,
            "request_id": REQUEST_ID.get(),
            "trace_id": trace,
            "span_id": span,
        }
        if record.exc_info and record.exc_info[1] is not None:
            frames = extract_tb(record.exc_info[2])[-_FRAMES:]
            line["error"] = {
                "kind": kind_of(record.exc_info[1]),
                "at": [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in reversed(frames)],
            }
        return json.dumps({name: value for name, value in line.items() if value}, ensure_ascii=False)
