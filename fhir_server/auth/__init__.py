"""Authority: who asks (SMART on FHIR), and what they may see and do."""
