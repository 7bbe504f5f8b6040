"""What a page shows: its code blocks, and the commands with their output in a console block."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]

_FENCE = re.compile(
    r"^(?:<!-- (?P<mark>not run|varies): (?P<why>[^\n]+) -->\n)?```(?P<language>\w*)\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Block:
    """A comment right above a block marks it.

    not_run: `<!-- not run: why -->`, it is left out.
    varies: `<!-- varies: why -->`, it must work, and may print something else.
    """

    where: str
    language: str
    text: str
    not_run: bool
    varies: bool


@dataclass(frozen=True, slots=True)
class Step:
    """A command and what it prints; `^C` is a command, too."""

    command: str
    prints: str


def blocks_of(page: Path) -> list[Block]:
    text = page.read_text()
    return [
        Block(
            f"{page.relative_to(ROOT)}:{text[: found.start('text')].count(chr(10)) + 1}",
            found["language"],
            found["text"],
            found["mark"] == "not run",
            found["mark"] == "varies",
        )
        for found in _FENCE.finditer(text)
    ]


def steps_of(block: Block) -> Iterator[Step]:
    """`$ command`, further lines of it marked with `> `, then what it prints."""
    command = ""
    prints: list[str] = []
    for line in block.text.splitlines():
        if line.startswith("$ ") or line == "^C":
            if command:
                yield Step(command, "\n".join(prints))
            command, prints = line.removeprefix("$ "), []
        elif line.startswith("> ") and not prints:
            command += "\n" + line.removeprefix("> ")
        else:
            prints.append(line)
    if not command:
        raise ValueError(f"{block.where}: a console block starts with `$ ` and a command")
    yield Step(command, "\n".join(prints))


def printed_by(block: Block) -> str:
    """What a Python block says it prints: its `#>` lines."""
    lines = (line.strip() for line in block.text.splitlines())
    return "\n".join(line[2:].strip() for line in lines if line.startswith("#>"))
