"""Ways of writing that have cost others dearly are not in the code: SQL put together of texts,
patterns that explode, programs started from requests, packages that were poisoned or refused."""

import ast
import tomllib
import warnings
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from pathlib import Path

import pytest

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    import sre_constants
    import sre_parse

ROOT = Path(__file__).parents[2]
EXECUTES = {"execute", "executemany", "executescript", "exec_driver_sql", "text", "rows"}
"""`rows` and `run` are our own Transaction's."""
LOCK = "transaction.for_update"
REVIEWED: dict[str, set[str]] = {
    "portico/billing/audit.py": {"_sum('amount_nano')"},
    "portico/billing/credits.py": {LOCK},
    "portico/billing/invoices/store.py": {"where", LOCK},
    "portico/billing/payments/recharge_store.py": {"changed", LOCK},
    "portico/billing/payments/store.py": {"which", "whose", LOCK},
    "portico/billing/proofs/verify.py": {"within"},
    "portico/keeping/store.py": {LOCK},
    "portico/ledger/store.py": {"_by_id(transaction)", LOCK, "names", "values", "skip", "one"},
    "portico/metering/store.py": {"names"},
    "portico/replay/store.py": {"pairs", LOCK},
}
"""Read by a person: names of our own columns, question marks, one of two fixed words.  What comes in
from outside is a value, in its own place, always.  The list only shrinks."""
STARTS = {"subprocess", "multiprocessing", "pty", "os.system", "os.popen", "create_subprocess_exec",
          "create_subprocess_shell"}  # fmt: skip
MAY_START = ("portico/engines/embedded/", "portico/media/", "portico/cli/")
"""The engine's child, the worker that opens files in a process with limits, and the command line."""
REFUSED = {"litellm", "jose", "authlib.jose", "h11", "pickle", "marshal", "shelve", "oso"}
REFUSED_PACKAGES = {"litellm", "python-jose", "authlib", "oso", "ecdsa"}


@cache
def sources() -> dict[str, ast.Module]:
    """Read by whoever runs one of these tests, not by everybody who collects them."""
    return {
        str(path.relative_to(ROOT)): ast.parse(path.read_text())
        for path in sorted((ROOT / "portico").rglob("*.py"))
    }


@cache
def nodes(tree: ast.AST) -> tuple[ast.AST, ...]:
    """All of them, for each of the laws below."""
    return tuple(ast.walk(tree))


def wrong(
    found_in: Callable[[ast.AST], Iterable[str]], *, but: tuple[str, ...] = ()
) -> dict[str, set[str]]:
    """What is found, by the files in which anything is.  but: how paths begin that are left out."""
    return {
        path: found
        for path, tree in sources().items()
        if not path.startswith(but) and (found := set(found_in(tree)))
    }


def name_of(called: ast.expr) -> str:
    return called.attr if isinstance(called, ast.Attribute) else ast.unparse(called)


def is_ours(value: ast.expr) -> bool:
    """May it stand in SQL?  A constant of the module, question marks, or a choice between such."""
    if isinstance(value, ast.Constant):
        return isinstance(value.value, str)
    if isinstance(value, ast.Name | ast.Attribute):
        return name_of(value).lstrip("_").isupper()
    if isinstance(value, ast.Call):
        return name_of(value.func) in {"places", "join", "values"}
    if isinstance(value, ast.IfExp):
        return is_ours(value.body) and is_ours(value.orelse)
    return False


def pieces(sql: ast.expr) -> Iterator[ast.expr]:
    """What an SQL text is put together of, constants left out."""
    if isinstance(sql, ast.JoinedStr):
        for part in sql.values:
            if isinstance(part, ast.FormattedValue):
                yield part.value
    elif isinstance(sql, ast.BinOp) and isinstance(sql.op, ast.Add):
        for side in (sql.left, sql.right):
            yield from pieces(side) if isinstance(side, ast.JoinedStr | ast.BinOp) else (side,)
    elif isinstance(sql, ast.BinOp) and isinstance(sql.op, ast.Mod):
        yield sql.right
    elif isinstance(sql, ast.Call) and name_of(sql.func) == "format":
        yield sql


def put_together(tree: ast.AST) -> Iterator[str]:
    for node in nodes(tree):
        if not isinstance(node, ast.Call) or not node.args:
            continue
        called = name_of(node.func)
        ours = called == "run" and "transaction" in ast.unparse(node.func)
        if called in EXECUTES or ours:
            for piece in pieces(node.args[0]):
                if not is_ours(piece):
                    yield f"line {node.lineno}: {ast.unparse(piece)}"


def likes(tree: ast.AST) -> Iterator[str]:
    """Searches by a pattern, where it is not one that is written down."""
    for node in nodes(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            words = node.value.split(" LIKE ")[1:]
            yield from (word for word in words if not word.startswith("'"))
        elif isinstance(node, ast.Attribute) and node.attr in {"like", "ilike", "regexp_match"}:
            yield ast.unparse(node)


def explosive(pattern: str) -> bool:
    """Does something without bound repeat something without bound?"""

    def walk(parsed: object, inside: bool) -> bool:
        for op, argument in parsed:  # type: ignore[attr-defined]
            if op in (sre_constants.MAX_REPEAT, sre_constants.MIN_REPEAT):
                _, most, body = argument
                unbounded = most == sre_constants.MAXREPEAT
                if (unbounded and inside) or walk(body, inside or unbounded):
                    return True
            elif op is sre_constants.SUBPATTERN:
                if walk(argument[3], inside):
                    return True
            elif op is sre_constants.BRANCH and any(walk(each, inside) for each in argument[1]):
                return True
        return False

    return walk(sre_parse.parse(pattern), False)


def patterns(tree: ast.AST) -> Iterator[str]:
    for node in nodes(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func).startswith("re."):
            first = node.args[0] if node.args else None
            if isinstance(first, ast.Constant) and isinstance(first.value, str | bytes):
                value = first.value
                yield value if isinstance(value, str) else value.decode("latin-1")


@cache
def imported(tree: ast.AST) -> frozenset[str]:
    return frozenset(_imported(tree))


def _imported(tree: ast.AST) -> Iterator[str]:
    for node in nodes(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Attribute):
            yield ast.unparse(node)
            yield node.attr


def started(tree: ast.AST) -> Iterator[str]:
    return (name for name in imported(tree) if name in STARTS or name.split(".")[0] in STARTS)


def refused(tree: ast.AST) -> Iterator[str]:
    beginnings = tuple(f"{name}." for name in REFUSED)
    return (name for name in imported(tree) if name in REFUSED or name.startswith(beginnings))


def not_written_down(tree: ast.AST) -> set[str]:
    return {said.partition(": ")[2] for said in put_together(tree)}


def test_sql_is_written_down_never_put_together() -> None:
    """LiteLLM, CVE-2026-42208: a header in the text of a query, in the path of an error."""
    found = wrong(not_written_down, but=("portico/db/migrations/",))
    found = {path: said - REVIEWED.get(path, set()) for path, said in found.items()}
    assert {path: said for path, said in found.items() if said} == {}


def test_nobody_outside_gives_a_pattern_to_search_by() -> None:
    """new-api, CVE-2026-25591: wildcards that burn the database.  A search that takes words from
    outside escapes them, bounds them, and is put on a list here."""
    assert wrong(likes) == {}


@pytest.mark.parametrize("path", REVIEWED)
def test_what_was_reviewed_is_still_there(path: str) -> None:
    assert not_written_down(sources()[path]) >= REVIEWED[path], "take it off the list"


def test_no_pattern_explodes() -> None:
    assert wrong(lambda tree: filter(explosive, patterns(tree))) == {}


def test_no_request_starts_a_program() -> None:
    """LiteLLM, CVE-2026-42271: an endpoint that tries a connection ran a command."""
    assert wrong(started, but=MAY_START) == {}


def test_nothing_refused_is_imported() -> None:
    assert wrong(refused) == {}


def test_nothing_refused_is_locked() -> None:
    locked = tomllib.loads((ROOT / "uv.lock").read_text())["package"]
    assert {package["name"] for package in locked} & REFUSED_PACKAGES == set()


def test_what_is_not_seen_cannot_be_installed() -> None:
    """Each file of each package is fixed by its hash, and the youngest are left alone."""
    lock = tomllib.loads((ROOT / "uv.lock").read_text())
    assert lock["options"]["exclude-newer"]
    for package in lock["package"]:
        for file in [
            *package.get("wheels", []),
            *([package["sdist"]] if "sdist" in package else []),
        ]:
            assert file["hash"].startswith("sha256:")


@pytest.mark.parametrize(
    "source",
    [
        'connection.execute(f"SELECT {name} FROM t")',
        'connection.execute("SELECT " + name)',
        'connection.execute("SELECT %s" % name)',
        'text("SELECT {}".format(name))',
        'transaction.run(f"DELETE FROM {table}")',
        'connection.exec_driver_sql(f"SELECT {a.b(c)}")',
    ],
)
def test_what_is_put_together_is_found(source: str) -> None:
    assert list(put_together(ast.parse(source)))


@pytest.mark.parametrize("source", ['x = "SELECT 1 FROM t WHERE a LIKE ?"', "t.c.name.ilike(word)"])
def test_a_search_by_pattern_is_found(source: str) -> None:
    assert list(likes(ast.parse(source)))


@pytest.mark.parametrize("pattern", ["(a+)+$", "(?:a*b?)*", "((x|y)+z?)+", "(.*)*", r"(\w+\s?)*"])
def test_what_explodes_is_found(pattern: str) -> None:
    assert explosive(pattern)


@pytest.mark.parametrize("pattern", ["[a-z]+", "(a{1,3})+", r"\d+\.\d+", "(?:ab)+c*"])
def test_what_does_not_is_let_pass(pattern: str) -> None:
    assert not explosive(pattern)
