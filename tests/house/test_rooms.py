"""Every room has its ten lines: what enters, what leaves, what it never does."""

from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "portico"
ROOMS = sorted(
    path for path in PACKAGE.iterdir() if path.is_dir() and (path / "__init__.py").exists()
)


@pytest.mark.parametrize("room", ROOMS, ids=lambda room: room.name)
def test_a_room_has_its_readme(room: Path) -> None:
    text = (room / "README.md").read_text()
    lines = [line for line in text.splitlines() if line.strip()]
    assert len(lines) <= 20, "ten lines or so, not a manual"
    for heading in ("**Enters:**", "**Leaves:**", "**Never:**"):
        assert heading in text


def test_no_file_is_dead() -> None:
    """Every module is imported by another one, or is a process's own entry point."""
    entries = {"portico.cli.main", "portico.engines.embedded.worker", "portico.db.migrations.env"}
    sources = {path: path.read_text() for path in PACKAGE.rglob("*.py")}
    dead = []
    for path in sources:
        if path.name == "__init__.py" or "versions" in path.parts:
            continue
        module = "portico." + ".".join(path.relative_to(PACKAGE).with_suffix("").parts)
        parent, _, leaf = module.rpartition(".")
        ways = (f"{module}", f"from {parent} import {leaf}", f"import {module}")
        used = any(
            way in text or f"from {parent} import" in text
            for other, text in sources.items()
            if other != path and leaf in text
            for way in ways
        )
        if not used and module not in entries:
            dead.append(module)
    assert dead == []
