"""Who may change what: rights, and the errands that are run with them."""
