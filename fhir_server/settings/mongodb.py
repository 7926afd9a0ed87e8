"""Settings: the engine MongoDB."""

from typing import Literal

from pydantic import Field

from fhir_server.settings.kinds import Positive, Section


class MongoDb(Section):
    """The engine MongoDB."""

    mongodb_url: str = Field(
        "mongodb://127.0.0.1:27017/", description="Address of MongoDB, with user and password where it asks for them."
    )
    mongodb_database: str = Field(
        "fhir",
        pattern=r"^[a-z0-9][a-z0-9-]{0,30}$",
        description="Name that all databases of this server begin with; each tenant has one of its own.",
    )
    mongodb_timeout: Positive = Field(5, description="Seconds to look for a server of MongoDB that answers.")
    mongodb_connections: Positive = Field(50, description="Most connections of each process to MongoDB.")
    mongodb_read_preference: Literal["primary", "primaryPreferred", "secondary", "secondaryPreferred", "nearest"] = (
        Field("primary", description="Members of a replica set that searches may read from; writes read the primary.")
    )
    mongodb_write_concern: str | int = Field(
        "majority", description="Members that must have a write before it is answered: a number or `majority`."
    )
    mongodb_sorts: tuple[str, ...] = Field(
        ("-date", "date", "family", "name", "birthdate", "-authoredon"),
        max_length=30,
        description="Orders, as `_sort` names them, that MongoDB keeps an index for; others it sorts for each search.",
    )
    mongodb_audit_interval: float = Field(
        1.0,
        ge=0,
        le=60,
        description="Seconds in which audit rows of reads wait to be numbered together; 0: each group takes a turn.",
    )
    mongodb_lease: Positive = Field(
        10, description="Seconds after which the turn to write, or leadership, of a process that died is taken over."
    )
