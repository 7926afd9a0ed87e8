"""Rows as JSON, NDJSON, CSV and Parquet."""

from fhir_views.formats.writers import FORMATS, Format, Writer, format_named

__all__ = ["FORMATS", "Format", "Writer", "format_named"]
