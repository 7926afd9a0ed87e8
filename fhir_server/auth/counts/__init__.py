"""Where the counts of rate limits are kept: a file of one machine, the store of several nodes, or Redis."""

from fhir_server.auth.counts.choosing import counts_of
from fhir_server.auth.counts.counts import Counts, CountsAway
from fhir_server.auth.counts.file import FILE, FileCounts
from fhir_server.auth.counts.records import Home

__all__ = ["FILE", "Counts", "CountsAway", "FileCounts", "Home", "counts_of"]
