"""Settles records for ever, printing the id of each once it was acknowledged.  To be killed.

python -m tests.metering.kill_me DATA_DIR URL
"""

import asyncio
import sys
from pathlib import Path

from portico.canon.delta import Delta
from portico.canon.usage import Meters
from tests.db.storage import Storage, storage
from tests.metering.requests import complete_one, open_one

UNFINISHED = 3
TOKENS = 4


async def _settle_for_ever(store: Storage) -> None:
    while True:
        sys.stdout.write(await complete_one(store.metering) + "\n")
        sys.stdout.flush()


async def main(data_dir: Path, url: str) -> None:
    async with storage(data_dir, url) as store:
        for n in range(UNFINISHED):
            record = open_one(store.metering, request_id=f"unfinished_{n}")
            # The engine's own figure: only the sweep makes it an estimate.
            record.count(Delta(meters=Meters(output_text=TOKENS)))
        store.metering.checkpoint(float("inf"))
        await store.writer.run(lambda connection: None)
        await asyncio.gather(*[_settle_for_ever(store) for _ in range(16)])


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2]))
