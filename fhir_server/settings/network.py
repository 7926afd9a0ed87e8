"""Settings: servers across the network that do not answer."""

from pydantic import Field

from fhir_server.settings.kinds import Positive, Section


class Network(Section):
    """Servers across the network that do not answer."""

    store_deadline: Positive = Field(
        45, description="Seconds that a request may wait for servers of its store in all, repeats included; then 503."
    )
    store_tries: Positive = Field(
        4, description="Times that a read is tried when the database across the network fails."
    )
    store_queue: Positive = Field(
        1_000, description="Most writes of a tenant that wait in one process; others get 503."
    )
    breaker_failures: Positive = Field(
        5, description="Calls in a row that a server must leave unanswered until requests that need it get 503 at once."
    )
    breaker_longest: float = Field(2, gt=0, description="Most seconds between two looks whether such a server is back.")
