"""The table of PS3.4 CC.1.1-2: what each event comes to in each state."""

import pytest

from dicomweb.ups.states import WorkitemRefused, cancellation, may_update, passage

OWN, OTHER = "1.2.3", "1.2.4"


@pytest.mark.parametrize(
    ("state", "target", "given", "comes_to"),
    [
        ("SCHEDULED", "IN PROGRESS", OWN, "changed"),
        ("SCHEDULED", "IN PROGRESS", "", 0xC301),
        ("SCHEDULED", "COMPLETED", OWN, 0xC310),
        ("SCHEDULED", "CANCELED", OWN, 0xC310),
        ("SCHEDULED", "SCHEDULED", OWN, 0xC303),
        ("IN PROGRESS", "IN PROGRESS", OWN, 0xC302),
        ("IN PROGRESS", "IN PROGRESS", OTHER, 0xC302),
        ("IN PROGRESS", "COMPLETED", OWN, "changed"),
        ("IN PROGRESS", "COMPLETED", OTHER, 0xC301),
        ("IN PROGRESS", "CANCELED", OWN, "changed"),
        ("IN PROGRESS", "CANCELED", "", 0xC301),
        ("IN PROGRESS", "SCHEDULED", OWN, 0xC303),
        ("COMPLETED", "IN PROGRESS", OWN, 0xC300),
        ("COMPLETED", "COMPLETED", OWN, "warned"),
        ("COMPLETED", "COMPLETED", OTHER, 0xC301),
        ("COMPLETED", "CANCELED", OWN, 0xC300),
        ("CANCELED", "IN PROGRESS", OWN, 0xC300),
        ("CANCELED", "COMPLETED", OWN, 0xC300),
        ("CANCELED", "CANCELED", OWN, "warned"),
    ],
)
def test_the_table_of_states_holds(state: str, target: str, given: str, comes_to: object) -> None:
    try:
        way = passage(state, target, OWN, given)
        found: object = "changed" if way.changed else "warned"
    except WorkitemRefused as refused:
        found = refused.code
    assert found == comes_to


@pytest.mark.parametrize(
    ("state", "comes_to"),
    [("SCHEDULED", True), ("IN PROGRESS", False), ("CANCELED", False), ("COMPLETED", 0xC311)],
)
def test_a_request_to_cancel_comes_to(state: str, comes_to: object) -> None:
    try:
        assert cancellation(state).changed is comes_to
    except WorkitemRefused as refused:
        assert refused.code == comes_to


@pytest.mark.parametrize(
    ("state", "given", "allowed"),
    [
        ("SCHEDULED", "", True),
        ("SCHEDULED", OTHER, True),
        ("IN PROGRESS", OWN, True),
        ("IN PROGRESS", OTHER, False),
        ("IN PROGRESS", "", False),
        ("COMPLETED", OWN, False),
        ("CANCELED", OWN, False),
    ],
)
def test_who_may_update(state: str, given: str, allowed: bool) -> None:
    if allowed:
        may_update(state, OWN, given)
    else:
        with pytest.raises(WorkitemRefused):
            may_update(state, OWN, given)
