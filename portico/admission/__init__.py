"""May it enter now: concurrency, a bounded and deadlined wait."""
