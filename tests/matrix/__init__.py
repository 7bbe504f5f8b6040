"""The SDKs people have, against what is served: SDK x scenario x engine.

`cells.py` says which cells there are and why some are empty, `scenarios.py` what happens in each,
once for all SDKs; a module per SDK puts it in that SDK's words.  `page.py` makes the table of the
docs from the same cells.

All but the tests need only the standard library and the SDK in question, so that they also run
under the releases of a year ago (`older/`), without pytest and without Portico.
"""
