"""What developers have sent to be kept: files, and uploads that become files.  Their bytes are on a
shelf of their own (`portico.resources.files.shelves`), under the same ids."""

from sqlalchemy import CheckConstraint, Column, ForeignKey, Index, Table, Text

from portico.db.tables.base import Int64, identifier, metadata, partial_index

# A row is written once its bytes are safe on the shelf, and goes before they do.
file = Table(
    "file",
    metadata,
    identifier(),
    Column("organisation_id", Text, nullable=False),
    Column("project_id", Text, nullable=False),
    Column("key_id", Text, nullable=False),
    Column("purpose", Text, nullable=False),
    Column("filename", Text, nullable=False),
    # As its sender says; nothing here goes by it alone.
    Column("media_type", Text, nullable=False),
    Column("size_bytes", Int64, CheckConstraint("size_bytes >= 0"), nullable=False),
    Column("created_at_ms", Int64, nullable=False),
    # NULL: until it is deleted.
    Column("expires_at_ms", Int64),
    Index("file_project", "project_id", "id"),
    Index("file_purpose", "project_id", "purpose", "id"),
    partial_index("file_expiry", "expires_at_ms", only="expires_at_ms IS NOT NULL"),
    sqlite_strict=True,
)

# How much a project has on the shelf, parts of uploads included: changed in the commits that change
# it, so that two who come at once are both counted.
file_room = Table(
    "file_room",
    metadata,
    Column("project_id", Text, primary_key=True, nullable=False),
    Column("organisation_id", Text, nullable=False),
    Column("files", Int64, CheckConstraint("files >= 0"), nullable=False),
    Column("stored_bytes", Int64, CheckConstraint("stored_bytes >= 0"), nullable=False),
    sqlite_strict=True,
)

upload = Table(
    "upload",
    metadata,
    identifier(),
    Column("organisation_id", Text, nullable=False),
    Column("project_id", Text, nullable=False),
    Column("key_id", Text, nullable=False),
    Column("purpose", Text, nullable=False),
    Column("filename", Text, nullable=False),
    Column("media_type", Text, nullable=False),
    # What all its parts together have to come to.
    Column("size_bytes", Int64, nullable=False),
    Column("created_at_ms", Int64, nullable=False),
    # It is gone then, with its parts; its file is not.
    Column("expires_at_ms", Int64, nullable=False),
    # How long its file is to be kept, from its completion; NULL: as long as any.
    Column("keep_ms", Int64),
    Column(
        "state",
        Text,
        CheckConstraint("state IN ('pending', 'completed', 'cancelled')"),
        nullable=False,
    ),
    Column("file_id", Text),
    Index("upload_project", "project_id", "id"),
    Index("upload_expiry", "expires_at_ms"),
    sqlite_strict=True,
)

upload_part = Table(
    "upload_part",
    metadata,
    identifier(),
    Column("upload_id", Text, ForeignKey("upload.id"), nullable=False),
    Column("organisation_id", Text, nullable=False),
    Column("project_id", Text, nullable=False),
    Column("size_bytes", Int64, CheckConstraint("size_bytes >= 0"), nullable=False),
    Column("created_at_ms", Int64, nullable=False),
    Index("upload_part_upload", "upload_id"),
    sqlite_strict=True,
)
