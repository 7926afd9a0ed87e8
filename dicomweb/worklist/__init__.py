"""What is to be done and was done: orders as worklist items, steps, commitments; for DIMSE and for the web."""
