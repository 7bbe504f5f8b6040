"""Is this what the page shows?  Equal, but for what no two runs share.

`…` in a page stands for the rest of anything on its line, a line of its own for any lines.  Keys,
ids, addresses, times, durations and versions match any of their kind, and those a reader would
carry on to the next command (keys, ids, addresses) are remembered under the words of the page.
"""

import re
from difflib import unified_diff

_IDS = "adminkey|key|req|proj|org|user|svc|inv|grant|bud|allow|top|ref|pi|pm|dep|whk|msg|msgbatch|batch"
_KINDS = {
    # name: (in the page, in a run)
    "live": (r"pk_live_(?:\w+…?\w*|…)", r"pk_live_\w+…?\w*"),
    "admin": (r"pk_admin_(?:\w+…?\w*|…)", r"pk_admin_\w+…?\w*"),
    "invite": (r"pk_invite_(?:\w+…?\w*|…)", r"pk_invite_\w+"),
    "test": (r"pk_test_(?:\w+…?\w*|…)", r"pk_test_\w+…?\w*"),
    "id": (
        rf"(?:{_IDS})_[0-9a-f]{{6,}}…?",
        rf"(?:{_IDS})_[0-9a-f]{{32}}",
    ),
    "secret": (r"whsec_[A-Za-z0-9+/]{12,}=*", r"whsec_[A-Za-z0-9+/]+=*"),
    "number": (r"(?:INV|CN)-\d{4}-\d{6}", r"(?:INV|CN)-\d{4}-\d{6}"),
    "address": (r"127\.0\.0\.1:\d+", r"127\.0\.0\.1:\d+"),
    "call": (r"(?<=chatcmpl-)[0-9a-f]+…?", r"[0-9a-f]{32}"),
    "time": (
        r"\d{4}-\d\d-\d\d(?:[ T]\d\d:\d\d(?::\d\d)?)?|\d\d-\d\d \d\d:\d\d:\d\d",
        r"\d{4}-\d\d-\d\d(?:[ T]\d\d:\d\d(?::\d\d)?)?|\d\d-\d\d \d\d:\d\d:\d\d",
    ),
    "amount": (
        r"\d+(?:\.\d+)?(?= ms\b| tokens/s| GB)|(?<=\"created\":)[ ]?\d{9,}|(?<=process )\d+",
        r"[ ]?\d+(?:\.\d+)?",
    ),
    "version": (r"\d+\.\d+\.\d+", r"\d+\.\d+\.\d+"),
    "lines": (r"(?m:^…\n)", r"(?:.*\n)*?"),
    "rest": (r"…", r".*?"),
    "blank": (r"[ ]+", r"[ ]+"),
}
_CARRIED = ("live", "test", "admin", "invite", "id", "secret", "number", "address")
_VARYING = re.compile("|".join(f"(?P<{name}>{page})" for name, (page, _) in _KINDS.items()))
_ESCAPE = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")


class Words:
    """What the words of a page stand for in this run."""

    def __init__(self) -> None:
        self._meant: dict[str, str] = {}

    def in_this_run(self, text: str) -> str:
        """`text` of the page, with what it stands for; longest words first, because one may be
        the beginning of another."""
        for word in sorted(self._meant, key=len, reverse=True):
            text = text.replace(word, self._meant[word])
        return text

    def difference(self, page: str, run: str) -> str:
        """ "" when `run` is what the page shows."""
        page, run = _plain(page), _plain(run)
        pattern, carried = _pattern(page)
        match = re.fullmatch(pattern, run)
        if match is None:
            return "\n".join(
                unified_diff(page.splitlines(), run.splitlines(), "the page", "this run", "", "")
            )
        for word, real in zip(carried, match.groups(), strict=True):
            self._meant[word] = real
        return ""


def _plain(text: str) -> str:
    lines = [line.rstrip() for line in _ESCAPE.sub("", text).splitlines()]
    return "\n".join(lines).strip("\n") + "\n"


def _pattern(page: str) -> tuple[str, list[str]]:
    """A pattern for a run, and the words of the page that its groups stand for."""
    pattern, carried, at = "", [], 0
    for found in _VARYING.finditer(page):
        kind = str(found.lastgroup)
        run = _KINDS[kind][1]
        pattern += re.escape(page[at : found.start()])
        pattern += f"({run})" if kind in _CARRIED else f"(?:{run})"
        carried += [found[0]] if kind in _CARRIED else []
        at = found.end()
    return pattern + re.escape(page[at:]), carried
