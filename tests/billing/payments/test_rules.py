"""Each thing that a payment must have in common with its order, one at a time."""

from dataclasses import replace
from typing import Any

import pytest

from bench.faults.shop import NOW_MS
from portico.billing.payments.model import Intent, Order
from portico.billing.payments.rules import WAITS_MS, mismatch, stands

ORDER = Order(
    "top_1", "org_1", "manual", "open", 1_000, 1_000 * 10**7, "usd", "card", "cus_1", "pm_1",
    "pi_1", "", NOW_MS, NOW_MS, None,
)  # fmt: skip
PAID = Intent(
    "pi_1", "top_1", "succeeded", 1_000, 1_000, "usd", "cus_1", ("card",), live=False, problem=""
)


def test_the_payment_of_the_order_fits() -> None:
    assert mismatch(ORDER, PAID, live=False) == ""
    assert mismatch(replace(ORDER, intent_id=""), PAID, live=False) == "", "not known yet"
    assert mismatch(ORDER, replace(PAID, status="processing", received_minor=0), live=False) == ""


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("order", {"order_id": "top_2"}),
        ("order", {"order_id": ""}),
        ("payment", {"id": "pi_2"}),
        ("amount", {"amount_minor": 1_001}),
        ("received", {"received_minor": 999}),
        ("received", {"received_minor": 1_001}),
        ("currency", {"currency": "eur"}),
        ("customer", {"customer_id": ""}),
        ("method", {"methods": ("link",)}),
        ("method", {"methods": ("card", "link")}),
        ("method", {"methods": ()}),
        ("mode", {"live": True}),
    ],
)
def test_one_that_differs_in_anything_does_not(name: str, change: dict[str, Any]) -> None:
    assert mismatch(ORDER, replace(PAID, **change), live=False).startswith(f"{name} ")


@pytest.mark.parametrize(
    ("status", "origin", "after_ms", "how"),
    [
        ("succeeded", "manual", WAITS_MS, "succeeded"),
        ("canceled", "manual", 0, "canceled"),
        ("processing", "recharge", WAITS_MS, ""),
        ("requires_capture", "manual", 0, ""),
        ("requires_payment_method", "manual", 0, "declined"),
        ("requires_confirmation", "manual", 0, "declined"),
        ("requires_action", "manual", WAITS_MS - 1, "requires_action"),
        ("requires_action", "manual", WAITS_MS, "declined"),
        ("requires_action", "recharge", 0, "declined"),
        ("something_new", "manual", WAITS_MS, ""),
    ],
)
def test_how_a_payment_stands(status: str, origin: Any, after_ms: int, how: str) -> None:
    order = replace(ORDER, origin=origin)
    assert stands(order, replace(PAID, status=status), NOW_MS + after_ms) == how
