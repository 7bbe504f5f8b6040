"""Credentials: shapes that nothing else has."""

from portico.callers.rules import KEY_PATTERN, kind_of
from portico.safety.model import Rule


def _example(prefix: str, repeated: str, times: int) -> str:
    """Put together here, so that no scanner takes this file for a leak."""
    return prefix + repeated * times


def _is_ours(said: str) -> bool:
    return kind_of(said) is not None


RULES = (
    Rule(
        "secrets/private-key",
        1,
        "secrets",
        "clear",
        pattern=r"-----BEGIN (?:(?:RSA|EC|DSA|OPENSSH|ENCRYPTED|PGP) )?PRIVATE KEY(?: BLOCK)?-----",
        languages=(),
        matches=(
            _example("-----BEGIN RSA PRIVATE KEY", "-", 5) + "\nMIIE",
            _example("-----BEGIN PRIVATE KEY", "-", 5),
        ),
        passes=(_example("-----BEGIN PUBLIC KEY", "-", 5), "BEGIN PRIVATE KEY"),
    ),
    Rule(
        "secrets/jwt",
        1,
        "secrets",
        "clear",
        pattern=r"\beyJ[A-Za-z0-9_-]{10,250}\.eyJ[A-Za-z0-9_-]{10}",
        languages=(),
        matches=(
            "Bearer "
            + _example("eyJ", "hbGciOiJIUzI1NiJ9", 1)
            + _example(".eyJ", "zdWIiOiIxMjM", 2),
            _example("eyJ", "0eXAiOiJKV1Qi", 3) + _example(".eyJ", "pc3MiOiJqb2Ui", 1) + ".sig",
        ),
        passes=("eyJ is how they begin", _example("eyJ", "hbGciOiJIUzI1NiJ9", 1) + ".short"),
    ),
    Rule(
        "secrets/provider-key",
        1,
        "secrets",
        "clear",
        pattern=r"\bsk-(?:proj-|svcacct-|admin-|ant-)?[A-Za-z0-9][A-Za-z0-9_-]{19}"
        r"|\bAIza[A-Za-z0-9_-]{35}|\bhf_[A-Za-z0-9]{30}|\bxox[abprs]-[A-Za-z0-9-]{20}"
        r"|\b[sr]k_live_[A-Za-z0-9]{16}",
        languages=(),
        matches=(
            _example("sk-", "abcD1", 8),
            _example("sk-ant-", "api03-Xy", 6),
            _example("AIza", "Sy0aB", 7),
            _example("sk_live_", "4eC3", 6),
        ),
        passes=(
            "sk-learn is a library",
            "sk_live_ and then nothing",
            "the risk-averse-investor-of-1929-x",
        ),
    ),
    Rule(
        "secrets/github-key",
        1,
        "secrets",
        "clear",
        pattern=r"\bgh[pousr]_[A-Za-z0-9]{36}\b|\bgithub_pat_[A-Za-z0-9_]{60}",
        languages=(),
        matches=(_example("ghp_", "aB3d", 9), _example("github_pat_", "11ABCDEF_x", 8)),
        passes=("ghp_short", "github_pat_ is the prefix"),
    ),
    Rule(
        "secrets/aws-key",
        1,
        "secrets",
        "clear",
        pattern=r"\b(?:AKIA|ASIA)[A-Z2-7]{16}\b",
        languages=(),
        matches=(_example("AKIA", "ABCD2345", 2), _example("key=ASIA", "QRST6723", 2)),
        passes=("AKIA", _example("akia", "abcd2345", 2)),
    ),
    Rule(
        "secrets/portico-key",
        1,
        "secrets",
        "clear",
        pattern=rf"\b{KEY_PATTERN}\b",
        check=_is_ours,
        languages=(),
        matches=(),
        passes=(_example("pk_live_", "0", 43), "pk_live_ and then nothing"),
    ),
)
