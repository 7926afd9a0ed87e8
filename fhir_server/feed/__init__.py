"""The change feed: every commit in the order of the log, to consumers that go on where they were. Work on the clock.

Everything here runs in one process of a data folder at a time (docs/feed.md).
"""

from fhir_server.feed.change import FeedChange, Method
from fhir_server.feed.consumer import Consumer, Handler
from fhir_server.feed.cron import Cron, CronError
from fhir_server.feed.scheduled import Scheduled

__all__ = ["Consumer", "Cron", "CronError", "FeedChange", "Handler", "Method", "Scheduled"]
