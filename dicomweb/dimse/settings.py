"""The settings of DIMSE."""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, Field

Right = Literal["echo", "store", "find", "move", "get", "worklist", "mpps", "commitment"]
"""What an AE may be let do."""


class DimseSettings(BaseModel):
    """Names begin with the name of this part. Times are seconds, sizes bytes."""

    dimse_port: int = Field(
        0, ge=0, le=65535, description="Port on which AEs call without TLS (11112 is usual); 0: none."
    )
    dimse_tls_port: int = Field(
        0, ge=0, le=65535, description="Port on which AEs call by TLS (2762 is usual); 0: none."
    )
    dimse_address: str = Field("127.0.0.1", description="Address that both ports are opened on.")
    dimse_title: str = Field(
        "FHIRSERVER", pattern=r"^[A-Z0-9_.\- ]{1,16}$", description="Our AE title; calls to others are refused."
    )
    dimse_table: Path | None = Field(
        None, description="TOML file with the AEs, and what is forwarded and prefetched; read again when it changes."
    )
    dimse_strangers: tuple[Right, ...] = Field(
        (), description="What AEs may do that the table does not name; only where nothing asks for tokens."
    )
    dimse_tls_certificate: Path | None = Field(
        None, description="PEM file with our certificate chain, for both directions."
    )
    dimse_tls_key: Path | None = Field(None, description="PEM file with the key of our certificate.")
    dimse_tls_ca: Path | None = Field(
        None, description="PEM file with the authorities whose certificates AEs must show."
    )
    dimse_associations: int = Field(50, gt=0, description="Associations at the same time; more are refused for now.")
    dimse_associations_each: int = Field(10, gt=0, description="Associations of one AE at the same time.")
    dimse_connections: int = Field(200, gt=0, description="Open connections; more are closed at once.")
    dimse_calls_per_minute: int = Field(600, gt=0, description="Associations that one address may ask for in a minute.")
    dimse_max_pdu: int = Field(131_072, ge=4_096, le=1 << 24, description="Longest data PDU that we take.")
    dimse_greeting: float = Field(
        10, gt=0, description="Seconds in which a new connection has to ask for an association."
    )
    dimse_idle: float = Field(120, gt=0, description="Seconds of silence between messages after which we abort.")
    dimse_stalled: float = Field(30, gt=0, description="Seconds of silence within a message after which we abort.")
    dimse_connecting: float = Field(10, gt=0, description="Seconds in which an AE that we call has to answer.")
    dimse_max_identifier: int = Field(
        1 << 20, gt=0, description="Bytes that a query or another command's data may have."
    )
    dimse_max_matches: int = Field(
        10_000, gt=0, description="Most matches of one query; then it ends as refused: too many."
    )
    dimse_queries: int = Field(8, gt=0, description="Queries and retrievals that are worked on at the same time.")
    dimse_checked: float = Field(30, gt=0, description="Seconds after which the authority of an AE is looked up again.")
    dimse_unknown_storage: bool = Field(
        True, description="Whether objects of SOP classes that the standard does not know are taken."
    )
    dimse_pause: float = Field(
        10, gt=0, description="Seconds before what could not be sent is tried again; then doubled."
    )
    dimse_longest_pause: float = Field(3_600, gt=0, description="Longest pause between two tries to send.")
    dimse_give_up: float = Field(
        3 * 86_400, gt=0, description="Seconds after which sending is given up, with an alert."
    )
    dimse_worklist_days: int = Field(
        7, ge=0, description="Days around today in which orders are on the worklist if a query names no date."
    )
