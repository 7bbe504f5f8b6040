"""The one internal form: what was asked, what comes back, what was used.  No I/O, no dialect."""
