"""The table people read and the JSON file programs read."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from lab.model import Row, Turn

TITLES = {
    "idle": "idle: open streams on which nothing happens",
    "json": "json: 32 connections, answers at once; CPU per request",
    "rate": "rate: a fixed rate (--rate, 200/s); latency from the moment a request was due",
    "stream": "stream: a chunk per stream every 50 ms; CPU per chunk, relay delay per chunk",
    "burst": "burst: 64 streams as fast as they go; CPU per chunk",
    "big": "big: 1 MB bodies; CPU per request",
}
COLUMNS = {
    "idle": (("ratio", "x nginx", 2), ("kb_per_stream", "KB/stream", 1), ("base_mb", "base MB", 1),
             ("cpu_at_rest_share", "core at rest", 4)),
    "rate": (("ratio", "x nginx", 2), ("cpu_us", "CPU us", 1), ("p50_us", "p50 us", 0),
             ("p99_us", "p99 us", 0), ("added_p50_us", "added p50", 0),
             ("added_p99_us", "added p99", 0)),
}  # fmt: skip
LOAD_COLUMNS = (
    ("ratio", "x nginx", 2),
    ("ratio_lowest", "lowest", 2),
    ("ratio_highest", "highest", 2),
    ("cpu_us", "CPU us", 1),
    ("per_s", "per second", 0),
    ("p50_us", "p50 us", 0),
    ("p99_us", "p99 us", 0),
)
ALWAYS = (("others_share", "others", 2), ("errors", "errors", 0))


def shown(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:,.{digits}f}"


def table(rows: Sequence[Row], turns: Sequence[Turn]) -> str:
    """One block per scenario.  `others` is the share of the server's core that others used."""
    lines: list[str] = []
    for scenario in dict.fromkeys(row.scenario for row in rows):
        columns = (*COLUMNS.get(scenario, LOAD_COLUMNS), *ALWAYS)
        lines += ["", TITLES[scenario]]
        lines.append(" " * 12 + "".join(f"{title:>13}" for _, title, _ in columns))
        for row in rows:
            if row.scenario != scenario:
                continue
            cells = (shown(row.figures.get(name), digits) for name, _, digits in columns)
            lines.append(f"{row.server:12}" + "".join(f"{cell:>13}" for cell in cells))
        lines += notes(scenario, turns)
    return "\n".join(lines)


def notes(scenario: str, turns: Sequence[Turn]) -> list[str]:
    said = dict.fromkeys(
        (turn.server, turn.note) for turn in turns if turn.scenario == scenario and turn.note
    )
    return [f"  {server}: {note}" for server, note in said]


def dearer_lines(peer: str, than: str, times: Mapping[str, float]) -> str:
    parts = ", ".join(f"{scenario} {factor:,.1f}x" for scenario, factor in times.items())
    return f"{peer} spends this many times the CPU of {than} on the same work: {parts}"


def save(
    path: Path, machine: Mapping[str, object], rows: Sequence[Row], turns: Sequence[Turn]
) -> None:
    """Every turn of every round, besides the medians, so that anyone can work them out again."""
    path.parent.mkdir(parents=True, exist_ok=True)
    whole = {
        "machine": machine,
        "rows": [asdict(row) for row in rows],
        "turns": [asdict(turn) for turn in turns],
    }
    path.write_text(json.dumps(whole, indent=1) + "\n")
