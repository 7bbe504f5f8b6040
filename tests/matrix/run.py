"""Runs cells of the matrix against a server, without pytest and without Portico.

python -m tests.matrix.run --origin http://127.0.0.1:8080 --key pk_live_... --client openai_chat

Without --client: of all of them.

From the root of the repository, under whatever release of the SDK is installed.  Prints a JSON line
for each cell: what was run, and in `failure` how it failed (null: it did not).  Exit 1 if any did.
"""

import argparse
import json
import sys
import traceback
from importlib import import_module

from tests.matrix import scenarios
from tests.matrix.asking import Door
from tests.matrix.cells import CLIENTS, ENGINES, SCENARIOS, Cell, running
from tests.matrix.ways import WAYS, Client, Way


def client_of(name: str, door: Door, way: Way) -> Client:
    client: Client = import_module(f"tests.matrix.{name}").Client(door.origin, door.key, way)
    return client


def run(cell: Cell, client: Client, door: Door) -> None:
    """Raises: whatever goes wrong."""
    scenarios.BY_NAME[cell.scenario](client, door, ENGINES[cell.engine])


def failure_of(cell: Cell, client: Client, door: Door) -> str | None:
    try:
        run(cell, client, door)
    except Exception:  # noqa: BLE001 - whatever it is, it is what is told
        return traceback.format_exc()
    return None


def main() -> int:
    told = _arguments()
    door = Door(told.origin, told.key)
    names = [told.client] if told.client else list(CLIENTS)
    clients = {(name, way): client_of(name, door, way) for name in names for way in WAYS}
    failures = 0
    for cell, way in running():
        client = told.client or cell.client
        asked = (client, told.scenario or cell.scenario, told.engine or cell.engine)
        if asked == (cell.client, cell.scenario, cell.engine) and told.way in (None, way):
            failure = failure_of(cell, clients[client, way], door)
            failures += failure is not None
            ran = {"client": client, "scenario": cell.scenario, "engine": cell.engine, "way": way}
            sys.stdout.write(json.dumps({**ran, "failure": failure}) + "\n")
            sys.stdout.flush()
    for each in clients.values():
        each.close()
    return min(failures, 1)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m tests.matrix.run")
    parser.add_argument("--origin", required=True, help="of the server, without /v1")
    parser.add_argument("--key", required=True)
    parser.add_argument("--client", choices=CLIENTS)
    parser.add_argument("--scenario", choices=SCENARIOS)
    parser.add_argument("--engine", choices=ENGINES)
    parser.add_argument("--way", choices=WAYS)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
