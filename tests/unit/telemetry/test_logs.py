"""Lines of the log quote nobody: errors are told by kind and place, whichever form a line has."""

import io
import json
import logging

import pytest

from fhir_server.storage.base import StorageFull
from fhir_server.telemetry.logs import REQUEST_ID, Json, Text

FORMS = {"json": Json(), "text": Text("%(levelname)s %(name)s %(message)s")}


def written(form: str) -> tuple[logging.Logger, io.StringIO]:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(FORMS[form])
    logger = logging.Logger("fhir_server.test")
    logger.addHandler(handler)
    return logger, stream


@pytest.mark.parametrize("form", FORMS)
def test_the_message_of_an_error_is_left_out_and_its_place_is_told(form: str) -> None:
    logger, stream = written(form)
    try:
        try:
            int("Marksmith")
        except ValueError as error:
            raise KeyError("Marksmith") from error
    except KeyError as error:
        logger.exception("job %s failed: %s", 7, error)
    assert "Marksmith" not in stream.getvalue()
    assert "job 7 failed: KeyError" in stream.getvalue()
    assert "test_logs.py" in stream.getvalue()


@pytest.mark.parametrize("form", FORMS)
def test_errors_of_our_own_and_of_the_system_say_what_is_wrong(form: str) -> None:
    logger, stream = written(form)
    logger.error("not written: %s, %s", StorageFull("only 5 bytes are free"), OSError(28, "No space left", "/data/x"))
    assert "not written: only 5 bytes are free, OSError (No space left)" in stream.getvalue()


def test_a_line_of_json_has_the_id_of_its_request() -> None:
    logger, stream = written("json")
    token = REQUEST_ID.set("abc-1")
    try:
        logger.warning("100 %% of\n%s", "two lines")
    finally:
        REQUEST_ID.reset(token)
    line = json.loads(stream.getvalue())
    assert stream.getvalue().count("\n") == 1
    assert (line["message"], line["request_id"], line["level"]) == ("100 % of\ntwo lines", "abc-1", "WARNING")
    assert "trace_id" not in line
