"""X12: the interchanges of payers in the United States (5010), parsed and built; no schema is shipped, for X12's text
is licensed: only the segments that these transactions use are known here, by their published names and codes."""
