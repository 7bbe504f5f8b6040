"""The first tables: organisations, projects, keys, deployments, usage records."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

Int64 = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

METERS = (
    "input_text",
    "input_cache_read",
    "input_cache_write_5m",
    "input_cache_write_1h",
    "input_image",
    "input_audio",
    "output_text",
    "output_reasoning",
    "output_audio",
)


def _text(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text, nullable=False)


def _int64(name: str) -> sa.Column[int]:
    return sa.Column(name, Int64, nullable=False)


def _id() -> sa.Column[str]:
    return sa.Column("id", sa.Text, primary_key=True, nullable=False)


def _ref(name: str, target: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text, sa.ForeignKey(target), nullable=False)


def upgrade() -> None:
    _accounts()
    op.create_table(
        "deployment",
        _id(),
        _text("model"),
        _text("engine"),
        _text("location"),
        _text("upstream_model"),
        sa.Column("credential_env", sa.Text),
        _int64("created_at_ms"),
        sqlite_strict=True,
    )
    _usage()


def _accounts() -> None:
    op.create_table(
        "organisation", _id(), _text("name"), _int64("created_at_ms"), sqlite_strict=True
    )
    op.create_table(
        "project",
        _id(),
        _ref("organisation_id", "organisation.id"),
        _text("name"),
        _int64("created_at_ms"),
        sqlite_strict=True,
    )
    op.create_table(
        "api_key",
        _id(),
        _ref("organisation_id", "organisation.id"),
        _ref("project_id", "project.id"),
        _text("name"),
        sa.Column("mode", sa.Text, sa.CheckConstraint("mode IN ('live', 'test')"), nullable=False),
        sa.Column("digest", sa.LargeBinary, nullable=False, unique=True),
        _text("pepper_id"),
        _text("prefix"),
        _text("last4"),
        sa.Column(
            "concurrency_max", Int64, sa.CheckConstraint("concurrency_max >= 1"), nullable=False
        ),
        _int64("created_at_ms"),
        sa.Column("expires_at_ms", Int64),
        sa.Column("revoked_at_ms", Int64),
        sqlite_strict=True,
    )


def _usage() -> None:
    op.create_table(
        "usage_record",
        _id(),
        _text("organisation_id"),
        _text("project_id"),
        _text("key_id"),
        _text("mode"),
        _text("dialect"),
        _text("model"),
        _text("deployment"),
        sa.Column("stream", sa.Integer, nullable=False),
        _text("outcome"),
        _text("finish_reason"),
        *[_int64(meter) for meter in METERS],
        sa.Column("estimated", sa.Integer, nullable=False),
        _int64("started_at_ms"),
        _int64("queue_ms"),
        sa.Column("ttft_ms", Int64),
        _int64("duration_ms"),
        sqlite_strict=True,
    )
    op.create_index("usage_record_by_project", "usage_record", ["project_id", "started_at_ms"])
    op.create_index(
        "usage_record_running",
        "usage_record",
        ["started_at_ms"],
        sqlite_where=sa.text("outcome = 'running'"),
        postgresql_where=sa.text("outcome = 'running'"),
    )
