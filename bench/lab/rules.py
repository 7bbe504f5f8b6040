"""The arithmetic: ratios inside a round, medians over rounds, limits.  Pure."""

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from lab.model import BenchError, Row, Turn

REFERENCE = "nginx"
DIRECT = "direct"


@dataclass(frozen=True, slots=True)
class Limit:
    """The most a judged server may show: `ratio` unless another figure is named."""

    scenario: str
    figure: str
    most: float


def limit(text: str) -> Limit:
    """`json=3.5` limits the ratio to nginx; `stream.p99_us=10000` limits that figure.

    Raises: BenchError: not of that form.
    """
    name, _, most = text.partition("=")
    scenario, _, figure = name.partition(".")
    try:
        return Limit(scenario, figure or "ratio", float(most))
    except ValueError:
        raise BenchError(
            f"--max {text}: expected SCENARIO=NUMBER or SCENARIO.FIGURE=NUMBER"
        ) from None


def cost(turn: Turn) -> float | None:
    """CPU microseconds per request or chunk, or KB per open stream in `idle`."""
    if turn.streams and turn.open_kb is not None and turn.base_kb is not None:
        return (turn.open_kb - turn.base_kb) / turn.streams
    if turn.scenario == "idle" or turn.cpu_us is None or not turn.work:
        return None
    return turn.cpu_us / turn.work


def median(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.median(known) if known else None


def quotients(turns: Sequence[Turn], others: Sequence[Turn]) -> list[float | None]:
    """Cost of `turns` over the cost of `others`, round by round, so that drift hits both alike."""
    by_round = {turn.round: cost(turn) for turn in others}
    pairs = ((cost(turn), by_round.get(turn.round)) for turn in turns)
    return [own / other if own is not None and other else None for own, other in pairs]


def added(turns: Sequence[Turn], direct: Sequence[Turn], figure: str) -> list[float | None]:
    """How much later than without a server in between, round by round, in microseconds."""
    without = {turn.round: getattr(turn, figure) for turn in direct}
    return [
        getattr(turn, figure) - without[turn.round] if turn.round in without else None
        for turn in turns
    ]


def idle_figures(turns: Sequence[Turn]) -> dict[str, float | None]:
    return {
        "kb_per_stream": median(cost(turn) for turn in turns),
        "base_mb": median(None if t.base_kb is None else t.base_kb / 1024 for t in turns),
        "cpu_at_rest_share": median(
            None if t.cpu_us is None else t.cpu_us / t.window_us for t in turns
        ),
    }


def load_figures(turns: Sequence[Turn], direct: Sequence[Turn]) -> dict[str, float | None]:
    figures = {
        "cpu_us": median(cost(turn) for turn in turns),
        "per_s": median(turn.work * 1e6 / turn.window_us for turn in turns),
        "p50_us": median(turn.p50_us for turn in turns),
        "p99_us": median(turn.p99_us for turn in turns),
        "core_share": median(None if t.cpu_us is None else t.cpu_us / t.window_us for t in turns),
    }
    if turns[0].server != DIRECT:
        figures["added_p50_us"] = median(added(turns, direct, "p50_us"))
        figures["added_p99_us"] = median(added(turns, direct, "p99_us"))
    return figures


def row(scenario: str, server: str, turns: Sequence[Turn]) -> Row:
    """One server's medians.  `turns` are all turns of the scenario, of every server."""
    own = [turn for turn in turns if turn.server == server]
    direct = [turn for turn in turns if turn.server == DIRECT]
    reference = [turn for turn in turns if turn.server == REFERENCE]
    figures = idle_figures(own) if scenario == "idle" else load_figures(own, direct)
    known = [quotient for quotient in quotients(own, reference) if quotient is not None]
    figures["ratio"] = median(known)
    figures["ratio_lowest"] = min(known, default=None)
    figures["ratio_highest"] = max(known, default=None)
    figures["others_share"] = median(turn.others_share for turn in own)
    figures["errors"] = sum(turn.errors for turn in own)
    return Row(scenario, server, figures)


def rows(turns: Sequence[Turn]) -> list[Row]:
    """A row per scenario and server, in the order they first ran."""
    found = dict.fromkeys((turn.scenario, turn.server) for turn in turns)
    table = []
    for scenario, server in found:
        table.append(row(scenario, server, [turn for turn in turns if turn.scenario == scenario]))
    return table


def times_dearer(turns: Sequence[Turn], server: str, than: str) -> dict[str, float]:
    """How many times the CPU of `than` a peer spends on the same work, by scenario."""
    dearer = {}
    for scenario in dict.fromkeys(turn.scenario for turn in turns if turn.scenario != "idle"):
        here = [turn for turn in turns if turn.scenario == scenario]
        own = [turn for turn in here if turn.server == server]
        other = [turn for turn in here if turn.server == than]
        times = median(quotients(own, other))
        if times is not None:
            dearer[scenario] = times
    return dearer


def broken(limits: Sequence[Limit], table: Sequence[Row], judged: Sequence[str]) -> list[str]:
    """One sentence per judged server above a limit, or without the figure that is limited."""
    figures: dict[tuple[str, str], Mapping[str, float | None]] = {
        (row.scenario, row.server): row.figures for row in table
    }
    sentences = []
    for one in limits:
        for server in judged:
            value = figures.get((one.scenario, server), {}).get(one.figure)
            if value is None:
                sentences.append(f"{server}: {one.scenario}.{one.figure} was not measured")
            elif value > one.most:
                sentences.append(
                    f"{server}: {one.scenario}.{one.figure} is {value:,.2f}, limit {one.most:,g}"
                )
    return sentences
