"""The settings of the worklist."""

from pydantic import BaseModel, Field


class UpsSettings(BaseModel):
    """Names begin with the name of this part. Times are seconds."""

    ups_label: str = Field("DEFAULT", description="Worklist label of workitems that come without one.")
    ups_page: int = Field(100, gt=0, description="Most workitems in one answer that names no limit.")
    ups_max_page: int = Field(1_000, gt=0, description="Most workitems in one answer, whatever is asked for.")
    ups_looked_at: int = Field(50_000, gt=0, description="Workitems that one search may look at.")
    ups_poll: float = Field(0.5, gt=0, description="Seconds between two looks for events of an open WebSocket.")
    ups_events: int = Field(1_000, gt=0, description="Events that wait for one subscriber; older ones are dropped.")
    ups_kept_days: int = Field(30, ge=0, description="Days for which a workitem that is over is kept; 0: for ever.")
    ups_subscriptions: int = Field(10_000, gt=0, description="Workitems that one subscriber may follow.")
