"""Organisations and their projects."""

from dataclasses import dataclass

from portico.callers.model import Retention
from portico.canon.data_use import DataUse
from portico.canon.prompt import Compatibility


@dataclass(frozen=True, slots=True)
class Organisation:
    """suspended_at_ms: its keys are refused since then; None: it may ask.  Times are wall clock."""

    id: str
    name: str
    created_at_ms: int
    suspended_at_ms: int | None
    suspended_reason: str | None


@dataclass(frozen=True, slots=True)
class Project:
    """data_use: the most that may be made of its prompts.  compatibility: what becomes of what an
    engine cannot do, for keys that say nothing of their own.  models: those its keys may name;
    None: all there are.  retention_days: for retention "days".  Times are wall clock."""

    id: str
    organisation_id: str
    name: str
    created_at_ms: int
    data_use: DataUse
    compatibility: Compatibility
    models: tuple[str, ...] | None = None
    retention: Retention = "metadata"
    retention_days: int | None = None
    archived_at_ms: int | None = None


@dataclass(frozen=True, slots=True)
class ProjectWish:
    """What should be otherwise; None: as it is.  models: () for all there are."""

    name: str | None = None
    data_use: DataUse | None = None
    compatibility: Compatibility | None = None
    models: tuple[str, ...] | None = None
    retention: Retention | None = None
    retention_days: int | None = None
