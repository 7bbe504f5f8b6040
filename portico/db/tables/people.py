"""Who may change things: people and service accounts, what they are in an organisation, and the keys
of the admin API."""

from sqlalchemy import CheckConstraint, Column, ForeignKey, Index, LargeBinary, Table, Text

from portico.db.tables.base import Int64, identifier, metadata, partial_index

# A person (`user_`) or a service account (`svc_`).
subject = Table(
    "subject",
    metadata,
    identifier(),
    Column("kind", Text, CheckConstraint("kind IN ('user', 'service_account')"), nullable=False),
    Column("name", Text, nullable=False),
    # Of a person, in lower case; NULL for a service account.
    Column("email", Text, unique=True),
    # Of a service account, which belongs to one project; NULL for a person.
    Column("project_id", Text, ForeignKey("project.id")),
    Column("created_at_ms", Int64, nullable=False),
    # Of a service account that was put out of use, for good.
    Column("disabled_at_ms", Int64),
    partial_index("subject_project", "project_id", only="project_id IS NOT NULL"),
    sqlite_strict=True,
)

# What a subject is in an organisation; a row goes when it leaves.
member = Table(
    "member",
    metadata,
    Column("organisation_id", Text, ForeignKey("organisation.id"), primary_key=True),
    Column("subject_id", Text, ForeignKey("subject.id"), primary_key=True),
    # A role of ours, or one of the organisation's own.
    Column("role", Text, nullable=False),
    Column("created_at_ms", Int64, nullable=False),
    Index("member_subject", "subject_id"),
    sqlite_strict=True,
)

# What a member is in one project besides.
project_member = Table(
    "project_member",
    metadata,
    Column("project_id", Text, ForeignKey("project.id"), primary_key=True),
    Column("subject_id", Text, ForeignKey("subject.id"), primary_key=True),
    Column("organisation_id", Text, ForeignKey("organisation.id"), nullable=False),
    Column("role", Text, nullable=False),
    Column("created_at_ms", Int64, nullable=False),
    Index("project_member_subject", "subject_id"),
    sqlite_strict=True,
)

# A role of an organisation's own: a name for scopes.
role = Table(
    "role",
    metadata,
    Column("organisation_id", Text, ForeignKey("organisation.id"), primary_key=True),
    Column("name", Text, primary_key=True),
    # Where it counts: in the organisation, or in projects.
    Column("level", Text, CheckConstraint("level IN ('organisation', 'project')"), nullable=False),
    # Words with blanks between.
    Column("scopes", Text, nullable=False),
    Column("created_at_ms", Int64, nullable=False),
    sqlite_strict=True,
)

invitation = Table(
    "invitation",
    metadata,
    identifier(),
    Column("organisation_id", Text, ForeignKey("organisation.id"), nullable=False),
    # In lower case.
    Column("email", Text, nullable=False),
    Column("role", Text, nullable=False),
    # HMAC-SHA256 of the token, which is shown once.
    Column("digest", LargeBinary, nullable=False, unique=True),
    Column("pepper_id", Text, nullable=False),
    Column("invited_by", Text, nullable=False),
    Column("created_at_ms", Int64, nullable=False),
    Column("expires_at_ms", Int64, nullable=False),
    # Once it is accepted or taken back it is of no use any more.
    Column("accepted_at_ms", Int64),
    Column("revoked_at_ms", Int64),
    Index("invitation_organisation", "organisation_id"),
    sqlite_strict=True,
)

# A key of the admin API.  It opens nothing else, and no other key opens that.
admin_key = Table(
    "admin_key",
    metadata,
    identifier(),
    # NULL: the operator's own, for the whole installation.
    Column("organisation_id", Text, ForeignKey("organisation.id")),
    # Whose rights it has, at most; NULL: the operator's.
    Column("owner_id", Text, ForeignKey("subject.id")),
    Column("name", Text, nullable=False),
    Column("digest", LargeBinary, nullable=False, unique=True),
    Column("pepper_id", Text, nullable=False),
    Column("prefix", Text, nullable=False),
    Column("last4", Text, nullable=False),
    # Words with blanks between; NULL: whatever its owner may.
    Column("scopes", Text),
    Column("networks", Text),
    Column("created_at_ms", Int64, nullable=False),
    Column("expires_at_ms", Int64),
    Column("revoked_at_ms", Int64),
    Column("last_used_at_ms", Int64),
    CheckConstraint("(organisation_id IS NULL) = (owner_id IS NULL)"),
    Index("admin_key_organisation", "organisation_id"),
    sqlite_strict=True,
)
