"""Which windows count for a request, and how a refusal is told.  Pure."""

from collections.abc import Iterable, Mapping

from portico import errors
from portico.rates.model import AtOnce, Count, Left, Meter, Rule, Standing, Window
from portico.rates.window import WINDOW_S

ByOwner = Mapping[tuple[str, str], tuple[Rule, ...]]

_WORDS: dict[Meter, str] = {
    "requests": "requests",
    "input_tokens": "input tokens (those read from a cache left out)",
    "output_tokens": "output tokens",
}


_TOO_SMALL = "Ask for less at once, or have the limit raised: it is smaller than this request."


def windows_of(rules: Iterable[Rule], model: str) -> tuple[Window, ...]:
    """Those of `rules` that count for `model`, narrowest scope first as the rules are."""
    found = []
    for rule in rules:
        if rule.model not in ("", model):
            continue
        limits: tuple[tuple[Meter, int | None], ...] = (
            ("requests", rule.requests_per_minute),
            ("input_tokens", rule.input_tokens_per_minute),
            ("output_tokens", rule.output_tokens_per_minute),
        )
        found += [
            Window(rule, meter, limit, f"{rule.scope}:{rule.scope_id}:{rule.model}:{meter}")
            for meter, limit in limits
            if limit is not None
        ]
    return tuple(found)


def at_once_of(rules: Iterable[Rule], model: str) -> tuple[AtOnce, ...]:
    return tuple(
        AtOnce(
            f"{rule.scope}:{rule.scope_id}:{rule.model}",
            f"This {'server' if rule.scope == 'installation' else rule.scope}"
            + (f", with {rule.model!r}," if rule.model else ""),
            rule.requests_at_once,
        )
        for rule in rules
        if rule.requests_at_once is not None and rule.model in ("", model)
    )


def refusal(window: Window, need: int, count: Count) -> errors.Refusal:
    """need: what the request would take."""
    rule, meter = window.rule, window.meter
    whose = f"this {rule.scope}" if rule.scope != "installation" else "this server"
    of = f" of {rule.model!r}" if rule.model else ""
    limit = share_of(window.limit, count.share)
    part = f" ({limit} on this server for now)" if count.share > 1 else ""
    left = max(0, limit - count.used)
    takes = f"; this request takes {need}" if need > 1 else ""
    never = max(need, 1) > window.limit
    return errors.RATE_LIMITS[meter](
        f"The limit of {whose} is {window.limit} {_WORDS[meter]} per minute{of}{part}; {left} are "
        f"left{takes}.",
        value=count.used + need,
        limit=limit,
        retry_after_ms=None if never else max(1, round(count.wait_s * 1000)),
        remedy=_TOO_SMALL if never else "",
    )


def share_of(limit: int, share: int) -> int:
    """At least one, unless there is none at all."""
    return limit if share == 1 else max(limit // share, min(limit, 1))


def standing(windows: Iterable[Window], counts: Iterable[Count], at_ms: int) -> Standing:
    """The tightest limit of each meter."""
    tightest: dict[Meter, Left] = {}
    for window, count in zip(windows, counts, strict=True):
        limit = share_of(window.limit, count.share)
        left = Left(limit, max(0, limit - count.used), count.wait_s or WINDOW_S)
        known = tightest.get(window.meter)
        if known is None or left.remaining < known.remaining:
            tightest[window.meter] = left
    return Standing(
        at_ms, tightest.get("requests"), tightest.get("input_tokens"), tightest.get("output_tokens")
    )
