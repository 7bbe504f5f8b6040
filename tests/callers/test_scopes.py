"""What a key may do that names its scopes, and one that does not."""

from portico.callers.scopes import EVERY_SCOPE, GENERATE, KEY_SCOPES, MINT, TOOLS
from portico.callers.store import _lent, _scopes


def test_a_key_that_names_no_scopes_calls_no_remote_tools() -> None:
    assert TOOLS not in _scopes(None)
    assert _scopes(f"{GENERATE} {TOOLS}") == {GENERATE, TOOLS}
    assert KEY_SCOPES | {TOOLS} == EVERY_SCOPE


def test_a_lent_key_has_what_both_name() -> None:
    assert _lent(f"{GENERATE} {TOOLS} {MINT}", f"{GENERATE} {TOOLS} {MINT}") == {GENERATE, TOOLS}
    assert TOOLS not in _lent(f"{GENERATE} {TOOLS}", None)
    assert TOOLS not in _lent(None, f"{GENERATE} {TOOLS}")
