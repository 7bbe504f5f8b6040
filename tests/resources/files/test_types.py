"""Which types of files are taken."""

from dataclasses import replace

import pytest

from portico.errors import Refusal
from portico.resources.files.rules import BINARY, check_type
from tests.resources.files.place import ROOMY

SOME = replace(ROOMY, types=("application/pdf", "image/*", "application/jsonl"))


@pytest.mark.parametrize(
    ("media_type", "filename"),
    [
        ("application/pdf", "a.exe"),
        ("image/png", "a"),
        (BINARY, "a.pdf"),
        (BINARY, "a.webp"),
        (BINARY, "lines.jsonl"),
    ],
)
def test_of_these_types_it_is_taken(media_type: str, filename: str) -> None:
    check_type(media_type, filename, SOME)


@pytest.mark.parametrize(
    ("media_type", "filename"),
    [("text/html", "a.pdf"), (BINARY, "a.exe"), (BINARY, ""), ("imagex/png", "a.png")],
)
def test_of_others_it_is_not(media_type: str, filename: str) -> None:
    with pytest.raises(Refusal) as refused:
        check_type(media_type, filename, SOME)
    assert refused.value.code == "file_type_not_allowed"
    assert refused.value.limit == list(SOME.types)
    check_type(media_type, filename, ROOMY)
