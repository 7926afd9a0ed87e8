"""The door for alarms: they are logged and told once, and whoever raises one is never hurt by it."""

import logging

import pytest

from fhir_server.alerts import Alert, listening, raise_alert

BROKEN = Alert("damaged-store", "default", "a page does not decrypt", "record.db", "ann")


def test_an_alarm_is_logged_without_its_patient_and_told_once(caplog: pytest.LogCaptureFixture) -> None:
    told: list[Alert] = []
    with caplog.at_level(logging.WARNING, "fhir_server.alerts"), listening(told.append):
        assert raise_alert(BROKEN)
        assert not raise_alert(BROKEN)
        assert raise_alert(Alert("damaged-store", "clinic", "a page does not decrypt", "record.db"))
    assert [alert.tenant for alert in told] == ["default", "clinic"]
    assert "damaged-store in tenant default (record.db): a page does not decrypt" in caplog.text
    assert "ann" not in caplog.text


def test_a_listener_that_fails_keeps_nobody_from_hearing(caplog: pytest.LogCaptureFixture) -> None:
    told: list[Alert] = []

    def failing(alert: Alert) -> None:
        raise RuntimeError("no")

    with listening(failing), listening(told.append):
        assert raise_alert(BROKEN)
    assert told == [BROKEN]


def test_who_begins_to_listen_hears_what_others_heard_before() -> None:
    told: list[Alert] = []
    for _ in range(2):
        with listening(told.append):
            raise_alert(BROKEN)
    assert told == [BROKEN, BROKEN]
