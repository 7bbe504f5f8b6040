"""A charge is the exact fraction, rounded once a line, to the nano; and never above the bound."""

import random
from fractions import Fraction

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from portico.canon.usage import Meters
from portico.pricing import rules
from portico.pricing.checks import TOKEN_NANO_MAX
from portico.pricing.model import (
    INPUT_METERS,
    METERS,
    NANO_MAX,
    NOTHING,
    OUTPUT_METERS,
    Line,
    Pinned,
    Quote,
)
from portico.pricing.offer import offer
from portico.pricing.rules import bound, line, rate, rerate
from tests.pricing.rows import quote


@pytest.mark.parametrize(
    ("units", "price", "share", "nano"),
    [
        (1, 499_999, (1, 1), 0),
        (1, 500_000, (1, 1), 0),  # a half: to the even 0
        (1, 500_001, (1, 1), 1),
        (1, 1_499_999, (1, 1), 1),
        (1, 1_500_000, (1, 1), 2),  # a half: to the even 2
        (3, 500_000, (1, 1), 2),
        (5, 500_000, (1, 1), 2),
        (7, 500_000, (1, 1), 4),
        (1, 1_000_000, (1, 1), 1),
        (1, 999_999, (1, 1), 1),
        (1, 3_000_000, (1, 2), 2),  # 1.5
        (1, 5_000_000, (1, 2), 2),  # 2.5
        (1, 1_000_000, (1, 3), 0),
        (2, 1_000_000, (1, 3), 1),
        (1_000_000, 150_000_000, (1, 1), 150_000_000),  # a million tokens at $0.15
        (1_000_000, 150_000_000, (4, 5), 120_000_000),
        (0, 150_000_000, (1, 1), 0),
        (7, 150_000_000, (0, 1), 0),
        (1_000_000_000, 10**12, (1, 1), 10**15),  # 1e9 units at $1000: a million dollars
    ],
)
def test_half_to_even_by_hand(units: int, price: int, share: tuple[int, int], nano: int) -> None:
    assert line(units, price, *share) == nano


def oracle(quoted: Quote, used: dict[str, int]) -> tuple[int, int]:
    """(list, net) in exact fractions; Python rounds those half to even."""
    inputs = sum(units for meter, units in used.items() if meter.startswith("input_"))
    share = Fraction(quoted.share_numerator, quoted.share_denominator)
    list_nano = net_nano = 0
    for meter, units in used.items():
        steps = {
            p.above_input_tokens: p.nano_per_million for p in quoted.prices if p.meter == meter
        }
        if not units or not steps:
            continue
        step = max(above for above in steps if above == 0 or inputs > above)
        exact = Fraction(units * steps[step], 1_000_000)
        list_nano += round(exact)
        net_nano += round(exact * share)
    return list_nano, net_nano


def any_quote(chance: random.Random) -> Quote:
    prices = []
    for meter in METERS:
        for above in sorted({0, *chance.choices((0, 10, 1_000, 200_000), k=chance.randrange(3))}):
            highest = 10 ** chance.randrange(1, 13)
            prices.append(
                (meter, chance.randrange(highest) * chance.choice((1, 1, 500_000)), above)
            )
    chance.shuffle(prices)
    denominator = chance.choice((1, 1, 2, 3, 7, 100, 10**9))
    return quote(*prices, share=(chance.randrange(denominator + 1), denominator))


def any_usage(chance: random.Random) -> dict[str, int]:
    return {
        meter: chance.choice((0, 1, chance.randrange(20), chance.randrange(10**6)))
        for meter in Meters.__struct_fields__
    }


def check_against_fractions(cases: int, seed: int) -> None:
    chance = random.Random(seed)
    halves = 0
    for _ in range(cases):
        quoted, used = any_quote(chance), any_usage(chance)
        requests = chance.choice((0, 1, 1, 3))
        charge = rate(quoted, Meters(**used), requests)
        assert (charge.list_nano, charge.net_nano) == oracle(quoted, {**used, "request": requests})
        assert charge.list_nano == sum(each.list_nano for each in charge.lines)
        assert charge.net_nano == sum(each.net_nano for each in charge.lines)
        assert {each.meter: each.units for each in charge.lines} == {
            meter: units for meter, units in {**used, "request": requests}.items() if units
        }
        assert all(0 <= each.net_nano <= each.list_nano for each in charge.lines)
        halves += sum(
            2 * each.units * each.nano_per_million % 2_000_000 == 1_000_000 for each in charge.lines
        )
        share = (quoted.share_numerator, quoted.share_denominator)
        assert rerate(charge.lines, *share) == (charge.list_nano, charge.net_nano)
        inputs = sum(used[meter] for meter in INPUT_METERS)
        outputs = sum(used[meter] for meter in OUTPUT_METERS)
        assert rate(quoted, Meters(**used)).net_nano <= bound(quoted, inputs, outputs, 1)
    assert halves > cases // 100, "ties are met at all"


def test_rating_is_what_fractions_say() -> None:
    check_against_fractions(3_000, seed=3)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(10))
def test_rating_is_what_fractions_say_in_100_000_cases(seed: int) -> None:
    check_against_fractions(10_000, seed=1_000 + seed)


counts = st.integers(0, 400_000) | st.integers(0, 3)
nanos = st.integers(0, TOKEN_NANO_MAX) | st.integers(0, 3_000_000) | st.just(500_000)
steps = st.tuples(st.sampled_from(METERS), nanos, st.sampled_from((0, 1, 5, 1_000, 200_000)))


@st.composite
def quotes(draw: st.DrawFn) -> Quote:
    bases = [(meter, draw(nanos), 0) for meter in METERS]
    denominator = draw(st.integers(1, 10**6))
    return quote(
        *bases, *draw(st.lists(steps)), share=(draw(st.integers(0, denominator)), denominator)
    )


@settings(max_examples=400, deadline=None)
@given(
    quotes(),
    st.fixed_dictionaries(dict.fromkeys(Meters.__struct_fields__, counts)),
    st.integers(0, 5),
    st.integers(0, 5),
    st.integers(1, 4),
)
@example(  # every line is a half that rounds up
    quote(*[(meter, 1_500_000) for meter in METERS]),
    dict.fromkeys(Meters.__struct_fields__, 1),
    0,
    0,
    1,
)
@example(quote(*[(meter, 500_001) for meter in METERS]), {"output_text": 1}, 0, 0, 1)
def test_no_usage_within_the_bounds_costs_more_than_the_bound(
    quoted: Quote, used: dict[str, int], more_in: int, more_out: int, choices: int
) -> None:
    meters = Meters(**used)
    inputs = meters.input_tokens + more_in
    outputs = -(-(meters.output_tokens + more_out) // choices)
    assert rate(quoted, meters).net_nano <= bound(quoted, inputs, outputs, choices)


@settings(max_examples=200, deadline=None)
@given(quotes(), counts, counts, st.integers(0, 1_000), st.integers(0, 1_000))
def test_more_tokens_never_lower_the_bound(
    quoted: Quote, inputs: int, outputs: int, more_in: int, more_out: int
) -> None:
    assert bound(quoted, inputs, outputs, 1) <= bound(
        quoted, inputs + more_in, outputs + more_out, 1
    )


@settings(max_examples=200, deadline=None)
@given(
    quotes(),
    st.integers(0, 100_000),
    st.integers(1, 4_000),
    st.integers(1, 500),
    st.integers(0, 20),
    st.tuples(st.integers(0, 3), st.integers(0, 3)),
)
def test_the_windows_of_a_stream_pay_for_what_they_cover(
    quoted: Quote,
    inputs: int,
    outputs: int,
    window: int,
    extensions: int,
    others: tuple[int, int],
) -> None:
    """Whatever an answer is cut off at, what was set aside until then pays for it."""
    plan = offer(
        quoted,
        "",
        bound,
        input_tokens_max=inputs,
        output_tokens_max=outputs,
        choices=1,
        window_tokens=window,
    )
    covered = min(plan.covers_tokens + extensions * plan.window_tokens, outputs)
    held_nano = min(plan.first_nano + extensions * plan.window_nano, plan.worst_nano)
    for meter in OUTPUT_METERS:
        spread = dict(zip([m for m in OUTPUT_METERS if m != meter], others, strict=True))
        if sum(others) <= covered:
            spread[meter] = covered - sum(others)
            used = Meters(input_image=inputs, **spread)
            assert rate(quoted, used).net_nano <= held_nano


@pytest.mark.parametrize(
    ("prices", "tokens", "nano"),
    [
        ((("input_text", 1_000_000), ("output_text", 2_000_000)), (10, 5, 1), 21),  # 20 + 1
        ((("input_text", 1_000_000), ("output_text", 2_000_000)), (10, 5, 3), 41),  # 10 + 30 + 1
        ((("input_text", 1_000_000), ("input_cache_write_1h", 2_000_000)), (10, 0, 1), 21),
        ((("output_text", 1_000_000), ("output_audio", 3_000_000)), (0, 10, 1), 31),
        ((("input_text", 1_000_000), ("input_text", 9_000_000, 10)), (10, 0, 1), 10),
        ((("input_text", 1_000_000), ("input_text", 9_000_000, 10)), (11, 0, 1), 99),
        ((("input_text", 9_000_000), ("input_text", 1_000_000, 10)), (11, 0, 1), 99),
        ((("output_text", 1_000_000), ("output_text", 9_000_000, 10)), (11, 2, 1), 18),
        ((("request", 7_000_000),), (0, 0, 1), 7),
        ((("request", 7_000_000), ("input_text", 1_000_000)), (3, 0, 1), 11),
        ((("input_text", 0), ("output_text", 0)), (10, 10, 1), 0),
        ((), (10, 10, 1), 0),
    ],
)
def test_the_bound_by_hand(
    prices: tuple[tuple[str, int], ...], tokens: tuple[int, int, int], nano: int
) -> None:
    """The dearest price in reach, and half a nano for every line that may round up."""
    assert bound(quote(*prices), *tokens) == nano


def test_the_bound_is_met() -> None:
    """By usage all of whose lines round up: nothing less would do."""
    quoted = quote(*[(meter, 1_500_000) for meter in METERS])
    used = Meters(**dict.fromkeys(Meters.__struct_fields__, 1))
    assert rate(quoted, used).net_nano == 20
    assert bound(quoted, 6, 3, 1) == 20


def test_a_discount_lowers_the_bound_and_what_costs_nothing_needs_none() -> None:
    prices = (("input_text", 1_000_000), ("output_text", 1_000_000))
    assert bound(quote(*prices, share=(1, 2)), 1_000, 1_000, 1) == 1_001
    assert bound(quote(*prices, share=(0, 1)), 1_000, 1_000, 1) == 0


LONG = quote(
    ("input_text", 1_000_000),
    ("input_text", 2_000_000, 100),
    ("input_text", 4_000_000, 200),
    ("output_text", 3_000_000),
    ("output_text", 5_000_000, 100),
)


@pytest.mark.parametrize(
    ("used", "nano"),
    [
        (Meters(input_text=100, output_text=10), 100 + 30),
        (Meters(input_text=101, output_text=10), 202 + 50),
        (Meters(input_text=200, output_text=10), 400 + 50),
        (Meters(input_text=201, output_text=10), 804 + 50),
        (Meters(output_text=500), 1_500),  # the output does not count towards the step
    ],
)
def test_the_step_is_chosen_by_the_whole_input(used: Meters, nano: int) -> None:
    assert rate(LONG, used).net_nano == nano


def test_every_input_meter_counts_towards_the_step() -> None:
    prices = [(meter, 0) for meter in INPUT_METERS]
    for meter in INPUT_METERS:
        quoted = quote(*prices, ("output_text", 1_000_000), ("output_text", 9_000_000, 10))
        assert rate(quoted, Meters(**{meter: 10, "output_text": 1})).net_nano == 1
        assert rate(quoted, Meters(**{meter: 11, "output_text": 1})).net_nano == 9


def test_a_line_carries_what_it_was_rated_by() -> None:
    quoted = quote(("input_text", 150_000_000), ("output_text", 600_000_000), share=(4, 5))
    charge = rate(quoted, Meters(input_text=1_000, output_text=10))
    assert charge.lines == (
        Line("input_text", 1_000, "price_0", 150_000_000, 150_000, 120_000),
        Line("output_text", 10, "price_1", 600_000_000, 6_000, 4_800),
    )
    assert (charge.list_nano, charge.net_nano) == (156_000, 124_800)


def test_requests_are_counted_where_they_have_a_price() -> None:
    quoted = quote(("input_text", 0), ("request", 5_000_000))
    assert [(each.meter, each.units) for each in rate(quoted, Meters()).lines] == [("request", 1)]
    assert rate(quoted, Meters(), requests=3).net_nano == 15
    assert rate(quoted, Meters(), requests=0) == NOTHING
    assert rate(quote(("input_text", 1)), Meters()) == NOTHING


@pytest.mark.parametrize("meter", Meters.__struct_fields__)
def test_a_meter_without_a_price_is_refused_by_name(meter: str) -> None:
    prices = [(other, 1) for other in METERS if other != meter]
    used = Meters(**dict.fromkeys(Meters.__struct_fields__, 1))
    with pytest.raises(rules.MeterNotPriced, match=f"m has no price for {meter} "):
        rate(quote(*prices), used)
    with pytest.raises(rules.MeterNotPriced):
        rate(quote(*prices, share=(1, 10**9)), used)
    free = rate(quote(*prices, share=(0, 1)), used)  # nothing is paid for it anyway
    assert meter not in {each.meter for each in free.lines}
    assert (len(free.lines), free.net_nano) == (9, 0)


@pytest.mark.parametrize("meter", Meters.__struct_fields__)
def test_a_negative_count_is_refused(meter: str) -> None:
    with pytest.raises(rules.NegativeUnits, match=f"{meter} of m is -1"):
        rate(quote(*[(each, 1) for each in METERS]), Meters(**{meter: -1}))
    with pytest.raises(rules.NegativeUnits):
        rate(quote(("request", 1)), Meters(), requests=-1)


def test_what_does_not_fit_in_64_bits_is_refused_and_never_wraps() -> None:
    fits = quote(("input_text", 1_000_000), ("output_text", 1_000_000))
    assert rate(fits, Meters(input_text=NANO_MAX)).net_nano == NANO_MAX
    with pytest.raises(rules.AmountTooLarge, match="The charge is 9223372036854775808"):
        rate(fits, Meters(input_text=NANO_MAX, output_text=1))
    with pytest.raises(rules.AmountTooLarge, match="input_text is 9223372036854775808"):
        rate(quote(("input_text", 0)), Meters(input_text=NANO_MAX + 1))
    # What is paid fits; the list price beside it would not.
    with pytest.raises(rules.AmountTooLarge):
        rate(quote(("input_text", 2_000_000), share=(1, 4)), Meters(input_text=NANO_MAX))
    assert bound(quote(("output_text", 1_000_000)), 0, NANO_MAX, 1) == NANO_MAX
    assert bound(quote(("output_text", 999_999)), 0, NANO_MAX, 1) < NANO_MAX
    for output_tokens, choices in ((NANO_MAX + 1, 1), (NANO_MAX // 2 + 1, 2)):
        with pytest.raises(rules.AmountTooLarge, match="is the most there is"):
            bound(quote(("output_text", 1_000_000)), 0, output_tokens, choices)


def test_the_order_of_the_prices_does_not_matter() -> None:
    turned = Quote(
        model="m",
        tier="standard",
        terms_id="terms_1",
        share_numerator=1,
        share_denominator=1,
        prices=tuple(reversed(LONG.prices)),
    )
    for inputs in (1, 100, 101, 200, 201):
        used = Meters(input_text=inputs, output_text=7)
        assert rate(turned, used) == rate(LONG, used)
        assert bound(turned, inputs, 7, 1) == bound(LONG, inputs, 7, 1)
    assert isinstance(turned.prices[0], Pinned)
