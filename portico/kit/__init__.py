"""What any program needs and no domain word may enter: clock, ids, scopes, framing, back-off."""
