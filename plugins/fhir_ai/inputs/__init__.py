"""The inputs of scores in the record: by code, newest within a window, in the units that formulas take."""

from fhir_ai.inputs.finder import Finder, Found
from fhir_ai.inputs.record import Record, read_record

__all__ = ["Finder", "Found", "Record", "read_record"]
