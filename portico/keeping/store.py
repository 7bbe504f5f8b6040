"""The rows, written beside usage records by the writer's thread."""

from collections.abc import Collection, Sequence

import msgspec

from portico.db.tables import response
from portico.db.transaction import Row, Transaction, places
from portico.keeping.model import KeptLine, KeptResponse
from portico.keeping.rules import content_ms_max

_CHANGED = ("state", "request", "body", "ended_at_ms", "expires_at_ms", "request_id", "owner")
_PUT = (
    "ON CONFLICT (id) DO UPDATE SET "
    + ", ".join(f"{name} = excluded.{name}" for name in _CHANGED)
    # One that was queued, by the request that was to answer it; no other, whoever made up its id.
    + " WHERE response.state = 'in_progress' AND response.request_id = ?"
    " AND response.organisation_id = excluded.organisation_id RETURNING id"
)
_COLUMNS = ", ".join(response.columns.keys())
_INSERT = f"INSERT INTO response ({_COLUMNS}) VALUES {places(len(response.columns))} {_PUT}"


class _Identified(msgspec.Struct):
    id: str


_identified = msgspec.json.Decoder(_Identified)


def most_ms(transaction: Transaction, projects: Collection[str]) -> dict[str, int]:
    """How long those of them that say so may keep what they keep; 0: nothing is kept."""
    found = transaction.rows(
        f"SELECT id, retention, retention_days FROM project WHERE id IN {places(len(projects))}"
        " AND retention IN ('zero', 'days')",
        tuple(projects),
    )
    told = {row[0]: content_ms_max(row[1], row[2], None, 0) for row in found}
    return {project_id: most for project_id, most in told.items() if most is not None}


def put(
    transaction: Transaction, kept: KeptResponse, now_ms: int, expires_at_ms: int | None
) -> bool:
    """False where it is there already, or was deleted while it was made."""
    if kept.request_id is not None and not _is_open(transaction, kept):
        return False
    row = _row(kept, now_ms, expires_at_ms)
    return bool(transaction.rows(_INSERT, (*row, kept.request_id)))


def _is_open(transaction: Transaction, kept: KeptResponse) -> bool:
    found = transaction.rows(
        "SELECT id FROM response WHERE id = ? AND organisation_id = ? AND request_id = ?"
        " AND state = 'in_progress'",
        (kept.id, kept.organisation_id, kept.request_id),
    )
    return bool(found)


def _row(kept: KeptResponse, now_ms: int, expires_at_ms: int | None) -> Row:
    return (
        kept.id,
        kept.organisation_id,
        kept.project_id,
        kept.key_id,
        kept.credential_id,
        kept.model,
        kept.state,
        int(kept.request_id is not None),
        int(kept.stream),
        kept.previous_id,
        kept.conversation_id,
        None,
        kept.input,
        kept.body,
        kept.created_at_ms,
        now_ms,
        expires_at_ms,
        None,
        None,
        0,
        None,
    )


def unlock(transaction: Transaction, conversation_id: str, locked_by: str) -> bool:
    """False where it is not ours: it was deleted, or we were too slow."""
    changed = transaction.run(
        "UPDATE conversation SET locked_by = NULL, locked_until_ms = NULL"
        " WHERE id = ? AND locked_by = ?",
        (conversation_id, locked_by),
    )
    return changed == 1


def append(transaction: Transaction, kept: KeptResponse, now_ms: int) -> None:
    """The conversation is locked by this very transaction, so nobody counts beside us."""
    last = transaction.rows(
        "SELECT COALESCE(MAX(position), 0) FROM conversation_item"
        " WHERE conversation_id = ? AND organisation_id = ?",
        (kept.conversation_id, kept.organisation_id),
    )[0][0]
    transaction.each(
        "INSERT INTO conversation_item"
        " (conversation_id, position, organisation_id, id, item, created_at_ms)"
        " VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (conversation_id, id) DO NOTHING",
        [
            (
                kept.conversation_id,
                place,
                kept.organisation_id,
                _identified.decode(item).id,
                item,
                now_ms,
            )
            for place, item in enumerate(kept.items, last + 1)
        ],
    )


def answer(transaction: Transaction, line: KeptLine) -> None:
    transaction.run(
        "UPDATE batch_line SET state = ?, status = ?, answer = ?, request = NULL"
        " WHERE batch_id = ? AND number = ? AND organisation_id = ?"
        " AND state = 'running' AND request_id = ?",
        (
            line.state,
            line.status,
            line.answer,
            line.batch_id,
            line.number,
            line.organisation_id,
            line.request_id,
        ),
    )


def is_others_line(transaction: Transaction, line: KeptLine) -> bool:
    """Does the line wait for another request, or has it been answered by one?  Not one whose batch was
    dropped meanwhile: nobody else makes that, and what was generated is paid."""
    found = transaction.rows(
        "SELECT request_id FROM batch_line"
        " WHERE batch_id = ? AND number = ? AND organisation_id = ?" + transaction.for_update,
        (line.batch_id, line.number, line.organisation_id),
    )
    return bool(found) and found[0][0] != line.request_id


def is_of_another(transaction: Transaction, kept: KeptResponse) -> bool:
    """Is it in line again, or worked on by another request?  Not one that was cancelled or deleted:
    nobody else makes that, and what was generated is paid."""
    found = transaction.rows(
        "SELECT request_id FROM response WHERE id = ? AND organisation_id = ?"
        " AND state IN ('queued', 'in_progress')" + transaction.for_update,
        (kept.id, kept.organisation_id),
    )
    return bool(found) and found[0][0] != kept.request_id


def reopen_responses(transaction: Transaction, ids: Sequence[str]) -> set[str]:
    """ids: of requests."""
    working = transaction.rows(
        f"SELECT request_id FROM response WHERE request_id IN {places(len(ids))}"
        " AND state = 'in_progress'",
        ids,
    )
    transaction.run(
        "UPDATE response SET state = 'queued', request_id = NULL, owner = NULL"
        f" WHERE request_id IN {places(len(ids))} AND state = 'in_progress'",
        ids,
    )
    return {row[0] for row in working}


def reopen_lines(transaction: Transaction, ids: Sequence[str]) -> set[str]:
    """ids: of requests."""
    working = transaction.rows(
        f"SELECT request_id FROM batch_line WHERE request_id IN {places(len(ids))}"
        " AND state = 'running'",
        ids,
    )
    transaction.run(
        "UPDATE batch_line SET state = 'waiting', request_id = NULL"
        f" WHERE request_id IN {places(len(ids))} AND state = 'running'",
        ids,
    )
    return {row[0] for row in working}


def drop(transaction: Transaction, project_id: str, most: int) -> None:
    """Responses and conversations of a project, up to `most` of each.  Those that are under way find
    themselves deleted."""
    transaction.run(
        "DELETE FROM response WHERE project_id = ? AND id IN"
        " (SELECT id FROM response WHERE project_id = ? LIMIT ?)",
        (project_id, project_id, most),
    )
    transaction.run(
        "DELETE FROM conversation WHERE project_id = ? AND id IN"
        " (SELECT id FROM conversation WHERE project_id = ? LIMIT ?)",
        (project_id, project_id, most),
    )
