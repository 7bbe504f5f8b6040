"""`portico batch`: how far batches are, and an end to those that nobody wants any more."""

from typing import Annotated, Any, NoReturn

from cyclopts import App, Parameter

from portico.cli.noting import Line, noted
from portico.cli.output import Exit, console, say_json, say_table, stop
from portico.cli.place import database_of, settings_for
from portico.cli.words import moment
from portico.kit.clock import SystemClock
from portico.resources.batches import operating
from portico.resources.batches.model import Batch, Counts

app = App(name="batch", help="See how far batches are, and cancel them.")

DataDir = Annotated[str | None, Parameter(help="Folder of the server's data.")]
Json = Annotated[bool, Parameter(negative="", help="Print JSON.")]
Id = Annotated[str, Parameter(help="As the API told it: batch_... or msgbatch_...")]


@app.command(name="list")
def list_batches(
    *,
    project: Annotated[str | None, Parameter(help="Of this project only.")] = None,
    limit: Annotated[int, Parameter(help="How many, the newest first.")] = 20,
    data_dir: DataDir = None,
    json: Json = False,
) -> None:
    """Batches of all projects, the newest first."""
    database = database_of(settings_for(None, server={"data_dir": data_dir}))
    found = database.read(lambda connection: operating.recent(connection, project, max(1, limit)))
    if json:
        say_json({"batches": [_told(*each) for each in found]})
        return
    columns = ("ID", "PROJECT", "ENDPOINT", "STATUS", "CREATED", "LINES", "DONE", "FAILED")
    rows = [
        (
            batch.id,
            batch.project_id,
            batch.endpoint,
            batch.state,
            moment(batch.created_at_ms),
            batch.lines,
            counts.succeeded,
            counts.failed,
        )
        for batch, counts in found
    ]
    say_table(columns, rows, numbers=3)


@app.command
def show(batch_id: Id, /, *, data_dir: DataDir = None, json: Json = False) -> None:
    """One batch, with its lines by state."""
    database = database_of(settings_for(None, server={"data_dir": data_dir}))
    found = database.read(lambda connection: operating.one(connection, batch_id))
    if found is None:
        _unknown(batch_id)
    _say(*found, json=json)


@app.command
def cancel(batch_id: Id, /, *, data_dir: DataDir = None, json: Json = False) -> None:
    """Begin no more of its lines.  Those under way are answered; it ends within seconds."""
    database = database_of(settings_for(None, server={"data_dir": data_dir}))
    now_ms = SystemClock().wall_ms()
    cancelled = noted(
        database, lambda connection: operating.cancel(connection, batch_id, now_ms), _line
    )
    if cancelled is None:
        _unknown(batch_id)
    batch, counts = cancelled.found
    if batch.state not in ("cancelling", "cancelled"):
        stop(Exit.FAILED, f"the batch {batch_id} is {batch.state}; there is nothing to cancel.")
    _say(batch, counts, json=json)


def _line(cancelled: operating.Cancelled | None) -> Line | None:
    if cancelled is None or not cancelled.now:
        return None
    batch, _ = cancelled.found
    about = {"project_id": batch.project_id, "key_id": batch.key_id}
    return Line(batch.organisation_id, "batch.cancel", batch.id, about)


def _say(batch: Batch, counts: Counts, *, json: bool) -> None:
    told = _told(batch, counts)
    if json:
        say_json(told)
        return
    width = max(map(len, told))
    for name, said in told.items():
        if said is not None:
            console.print(f"{name:<{width}}  {said}", markup=False)


def _told(batch: Batch, counts: Counts) -> dict[str, Any]:
    return {
        "id": batch.id,
        "project_id": batch.project_id,
        "organisation_id": batch.organisation_id,
        "key_id": batch.key_id,
        "endpoint": batch.endpoint,
        "status": batch.state,
        "lines": batch.lines,
        "waiting": counts.waiting,
        "running": counts.running,
        "succeeded": counts.succeeded,
        "errored": counts.errored,
        "expired": counts.expired,
        "cancelled": counts.cancelled,
        "created_at": moment(batch.created_at_ms),
        "due_at": moment(batch.due_at_ms),
        "ended_at": None if batch.ended_at_ms is None else moment(batch.ended_at_ms),
        "input_file_id": batch.input_file_id,
        "output_file_id": batch.output_file_id,
        "error_file_id": batch.error_file_id,
    }


def _unknown(batch_id: str) -> NoReturn:
    stop(Exit.FAILED, f"there is no batch {batch_id}.", fix="`portico batch list`")
