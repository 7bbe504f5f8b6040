"""Responses that were asked to be kept, and conversations."""

from sqlalchemy import (
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    LargeBinary,
    Table,
    Text,
    UniqueConstraint,
)

from portico.db.tables.base import Int64, identifier, metadata, partial_index

# One row per response: written in the commit that settles its request; of one that runs in the
# background before that, as queued.  No foreign keys, for the reasons of usage_record.
response = Table(
    "response",
    metadata,
    identifier(),
    Column("organisation_id", Text, nullable=False),
    Column("project_id", Text, nullable=False),
    Column("key_id", Text, nullable=False),
    # The key that was sent, by which one in the background goes on asking.
    Column("credential_id", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column(
        "state",
        Text,
        CheckConstraint(
            "state IN ('queued', 'in_progress', 'completed', 'incomplete', 'failed', 'cancelled')"
        ),
        nullable=False,
    ),
    Column("background", Int64, nullable=False),
    Column("stream", Int64, nullable=False),
    # What came before: one response, or a conversation, or neither.
    Column("previous_id", Text),
    Column("conversation_id", Text),
    # JSON: the request as it was sent, until it has been answered.
    Column("request", LargeBinary),
    # JSON: the items of its own input, those before not included.
    Column("input", LargeBinary, nullable=False),
    # JSON: the response object as it stands.
    Column("body", LargeBinary, nullable=False),
    Column("created_at_ms", Int64, nullable=False),
    Column("ended_at_ms", Int64),
    # NULL: until it is deleted.
    Column("expires_at_ms", Int64),
    # In the background: the request that works on it, the process that runs it, how often it began.
    Column("request_id", Text),
    Column("owner", Text),
    Column("attempts", Int64, nullable=False),
    # NULL: who wants to hear of its end has not been told.
    Column("announced_at_ms", Int64),
    Index("response_project", "project_id", "id"),
    partial_index(
        "response_open", "state", "project_id", "id", only="state IN ('queued', 'in_progress')"
    ),
    partial_index("response_expiry", "expires_at_ms", only="expires_at_ms IS NOT NULL"),
    partial_index("response_request", "request_id", only="request_id IS NOT NULL"),
    partial_index(
        "response_unannounced",
        "ended_at_ms",
        only="background = 1 AND announced_at_ms IS NULL AND ended_at_ms IS NOT NULL",
    ),
    sqlite_strict=True,
)

# What a stream in the background has said, for whoever comes back for it.
response_event = Table(
    "response_event",
    metadata,
    Column(
        "response_id",
        Text,
        ForeignKey("response.id", ondelete="CASCADE"),
        primary_key=True,
        nullable=False,
    ),
    # Of the first of them; they are numbered without gaps.
    Column("sequence", Int64, primary_key=True, nullable=False, autoincrement=False),
    Column("organisation_id", Text, nullable=False),
    # Whole events, as they went over the wire.
    Column("events", LargeBinary, nullable=False),
    sqlite_strict=True,
)

conversation = Table(
    "conversation",
    metadata,
    identifier(),
    Column("organisation_id", Text, nullable=False),
    Column("project_id", Text, nullable=False),
    # JSON.
    Column("metadata", Text, nullable=False),
    Column("created_at_ms", Int64, nullable=False),
    Column("expires_at_ms", Int64),
    # The request that is adding to it, and until when nobody else may.
    Column("locked_by", Text),
    Column("locked_until_ms", Int64),
    Index("conversation_project", "project_id", "id"),
    partial_index("conversation_expiry", "expires_at_ms", only="expires_at_ms IS NOT NULL"),
    sqlite_strict=True,
)

conversation_item = Table(
    "conversation_item",
    metadata,
    Column(
        "conversation_id",
        Text,
        ForeignKey("conversation.id", ondelete="CASCADE"),
        primary_key=True,
        nullable=False,
    ),
    # Growing, not without gaps.
    Column("position", Int64, primary_key=True, nullable=False, autoincrement=False),
    Column("organisation_id", Text, nullable=False),
    Column("id", Text, nullable=False),
    # JSON.
    Column("item", LargeBinary, nullable=False),
    Column("created_at_ms", Int64, nullable=False),
    UniqueConstraint("conversation_id", "id"),
    sqlite_strict=True,
)
