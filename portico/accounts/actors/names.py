"""What things may be called, and what people may write beside them.  Pure."""

from portico import errors
from portico.kit.visible import unseen

NAME_MAX = 200
TEXT_MAX = 500


def check_name(name: str, field: str = "name") -> None:
    """Raises: Refusal: out_of_range, invalid_value."""
    if not 1 <= len(name) <= NAME_MAX:
        raise errors.OUT_OF_RANGE(
            f"{field!r} has {len(name)} characters; it must have 1 to {NAME_MAX}.",
            field=field,
            value=len(name),
            limit=NAME_MAX,
        )
    _check_seen(name, field)


def check_text(text: str, field: str) -> None:
    """A sentence, or nothing: it is shown where names are.

    Raises: Refusal: out_of_range, invalid_value.
    """
    if len(text) > TEXT_MAX:
        raise errors.OUT_OF_RANGE(
            f"{field!r} has {len(text)} characters; it may have {TEXT_MAX}.",
            field=field,
            value=len(text),
            limit=TEXT_MAX,
        )
    _check_seen(text, field)


def _check_seen(text: str, field: str) -> None:
    found = unseen(text)
    if found:
        raise errors.INVALID_VALUE(
            f"{field!r} has the character {found} in it; write it without control characters.",
            field=field,
            value=found,
        )
