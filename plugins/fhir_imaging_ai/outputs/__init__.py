"""Outputs: what a model said as DICOM objects and as FHIR resources."""
