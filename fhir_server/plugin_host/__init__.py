"""The server as plugins see it: contexts, the FHIR client, what they decide; and where what they add is put."""
