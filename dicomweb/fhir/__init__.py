"""ImagingStudy and what else is in the record."""
