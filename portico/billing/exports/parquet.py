"""Receipts as Parquet: one row each, its meter lines nested, amounts as 64-bit nano-USD."""

from collections.abc import Iterable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import msgspec

from portico.ledger.receipts import Stored
from portico.pricing.model import Line

_lines = msgspec.json.Decoder(tuple[Line, ...])


class ExtraMissing(Exception):
    """pyarrow is not installed."""


def write_parquet(pages: Iterable[Sequence[Stored]], path: Path) -> int:
    """A row group per page; how many rows.  Raises: ExtraMissing, OSError."""
    arrow, parquet = _pyarrow()
    schema = _schema(arrow)
    written = 0
    with parquet.ParquetWriter(str(path), schema, compression="zstd") as writer:
        for page in pages:
            rows = [_row(*each) for each in page]
            writer.write_table(arrow.Table.from_pylist(rows, schema=schema))
            written += len(rows)
    return written


def _pyarrow() -> tuple[Any, Any]:
    try:  # only now: it is large, and only this format needs it
        return import_module("pyarrow"), import_module("pyarrow.parquet")
    except ImportError as error:
        raise ExtraMissing(
            "Parquet needs the extra `export`: pip install 'portico[export]'."
        ) from error


def _schema(arrow: Any) -> Any:
    text, whole = arrow.string(), arrow.int64()
    line = [
        ("meter", text),
        ("units", whole),
        ("price_id", text),
        ("nano_per_million", whole),
        ("list_nano", whole),
        ("net_nano", whole),
    ]
    return arrow.schema(
        [
            ("request_id", text),
            ("organisation_id", text),
            ("sequence", whole),
            ("project_id", text),
            ("key_id", text),
            ("model", text),
            ("tier", text),
            ("outcome", text),
            ("lines", arrow.list_(arrow.struct(line))),
            ("terms_id", text),
            ("list_nano", whole),
            ("net_nano", whole),
            ("absorbed_nano", whole),
            ("charged_at", arrow.timestamp("ms", tz="UTC")),
            ("previous_hash", text),
            ("hash", text),
        ]
    )


def _row(receipt: Any, previous: bytes, hashed: bytes) -> dict[str, object]:
    row = msgspec.structs.asdict(receipt)
    row["lines"] = [msgspec.structs.asdict(each) for each in _lines.decode(receipt.lines)]
    for name in ("list_nano", "net_nano", "absorbed_nano"):
        row[name] = int(row[name])
    row["charged_at"] = row.pop("charged_at_ms")
    return {**row, "previous_hash": previous.hex(), "hash": hashed.hex()}
