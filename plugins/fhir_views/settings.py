"""Settings of the plugin."""

from pydantic import BaseModel, ConfigDict, Field

from fhir_views.engine.limits import ViewLimits


class ViewSettings(BaseModel):
    """Settings of `fhir_views`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_rows_per_resource: int = Field(100_000, ge=1, description="Rows that one resource may give in a view.")
    max_columns: int = Field(1_000, ge=1, description="Columns of a view.")
    max_depth: int = Field(20, ge=1, description="Levels of select and unionAll within each other.")
    max_repeat_depth: int = Field(100, ge=1, description="Levels that repeat descends.")
    run_seconds: float = Field(120, gt=0, description="Seconds that one $viewdefinition-run may take; jobs have none.")
    page: int = Field(500, ge=1, le=10_000, description="Resources that are read at once for a view.")
    sql_timeout: float = Field(30, gt=0, description="Seconds that one $view-query may take.")
    sql_memory: int = Field(512, ge=16, description="Megabytes that one $view-query may take.")
    sql_rows: int = Field(1_000_000, ge=1, description="Rows that one $view-query may give.")
    table_cache: int = Field(256, ge=0, description="Megabytes of tables that a worker keeps in memory.")
    reconcile_every: float = Field(
        600, ge=1, description="Seconds between two looks whether tables are what the record is."
    )
    export_life: int = Field(86_400, ge=60, description="Seconds for which the files of an export are kept.")

    @property
    def limits(self) -> ViewLimits:
        """The limits of the engine."""
        return ViewLimits(self.max_rows_per_resource, self.max_columns, self.max_depth, self.max_repeat_depth)
