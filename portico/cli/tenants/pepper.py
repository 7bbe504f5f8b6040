"""`portico pepper`: the secret that keys are hashed with."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from portico.callers.pepper import PepperLost, add_pepper
from portico.cli.output import Exit, console, say_json, stop
from portico.cli.place import database_of, settings_for
from portico.db.lock import running_server


def pepper(
    *,
    data_dir: Annotated[str | None, Parameter(help="Folder of the server's data.")] = None,
    json: Annotated[bool, Parameter(negative="", help="Print JSON.")] = False,
) -> None:
    """Hash new keys with a new secret; old keys go on working.  The server must be stopped.

    For when the file `pepper` may have been read by others: replace the keys afterwards.
    """
    settings = settings_for(None, server={"data_dir": data_dir})
    database_of(settings)  # ends with a word where there is no data
    folder = Path(settings.server.data_dir)
    if (serving := running_server(folder)) is not None:
        stop(
            Exit.DATA,
            f"process {serving.pid} is serving {folder}.",
            fix="Stop it first: it would not know keys that are made with the new secret.",
        )
    try:
        made = add_pepper(folder)
    except PepperLost as error:
        stop(Exit.DATA, str(error))
    if json:
        say_json({"pepper": made.id})
        return
    console.print(f"New keys are hashed with {made.id}; back the file `pepper` up.", markup=False)
