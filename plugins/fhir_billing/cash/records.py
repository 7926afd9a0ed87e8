"""The records of cash: shifts, and the number of the last receipt of each cash point."""

from typing import Any, Final

from fhir_server.plugin_api import Collection, Conflict, PluginStore, Record, RecordField

SHIFTS: Final = Collection("fhir_billing.shifts", (RecordField("state"), RecordField("point"), RecordField("cashier")))
RECEIPTS: Final = Collection("fhir_billing.receipts", (RecordField("point"), RecordField("number", "integer")))
NUMBERS: Final = Collection("fhir_billing.numbers")
COLLECTIONS: Final = (SHIFTS, RECEIPTS, NUMBERS)


class NotOpen(Conflict):
    """Cash needs an open shift of its cashier."""

    code = "business-rule"


async def open_shift_of(store: PluginStore, shift: str) -> Record:
    """Return an open shift. Raises NotOpen."""
    record = await store.get(SHIFTS.name, shift)
    if record is None or record.value["state"] != "open":
        raise NotOpen("this shift is not open: open one by $open-shift", expression="Parameters.parameter")
    return record


def point_of(record: Record) -> str:
    """Return the cash point of a shift."""
    value: Any = record.value
    return str(value["point"])
