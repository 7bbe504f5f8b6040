"""Money in and out through a payment provider: top-ups, recharge, refunds, disputes."""
