"""The audit: what is recorded of requests, how it is read as FHIR, and how tampering with it shows."""
