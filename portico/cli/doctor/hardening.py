"""What makes a server unsafe, rule by rule.  Pure: facts go in, a check comes out."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import urlsplit

from portico.cli.doctor.checks import Check
from portico.settings import Settings

_YEAR_MS = 365 * 86_400_000
_SEEN_LATE_MS = 120_000
"""A key's last use is noted to the minute, and revoking takes seconds."""
_TOKEN_CHARACTERS_MIN = 16
_KINDS_OF_CHARACTERS_MIN = 10
_SHOWN_MAX = 3


@dataclass(frozen=True, slots=True)
class KeyFacts:
    id: str
    name: str
    created_at_ms: int
    expires_at_ms: int | None
    revoked_at_ms: int | None
    last_used_at_ms: int | None


@dataclass(frozen=True, slots=True)
class Facts:
    """modes: permission bits by the name of a file of the data folder, its own under ".", those that
    are there.  config_mode: of the settings file, with secrets in it; None where there are none.
    strange_paths: `.pth` files in site-packages that nobody here put there.
    exposed: engines of this machine that answer under an address of its that others reach, too.
    """

    settings: Settings
    modes: Mapping[str, int]
    config_mode: int | None
    strange_paths: tuple[str, ...]
    exposed: tuple[str, ...]
    keys: tuple[KeyFacts, ...]
    now_ms: int
    runs_as_root: bool = False


def harden(facts: Facts) -> Iterator[Check]:
    """Every rule's check, in order."""
    for rule in RULES:
        yield rule(facts)


def _secret_files(facts: Facts) -> Check:
    found = [
        f"{name} has mode {facts.modes[name]:04o}"
        for name in ("pepper", "receipt-keys")
        if facts.modes.get(name, 0) & 0o077
    ]
    return Check(
        "secrets",
        not found,
        _listed(found) or "pepper and receipt-keys are their owner's alone",
        "chmod 600 them; if others may have read the pepper: `portico pepper`, and new keys.",
    )


def _data_folder(facts: Facts) -> Check:
    found = []
    if facts.modes.get(".", 0) & 0o022:
        found.append(f"others may write in the data folder (mode {facts.modes['.']:04o})")
    open_to_all = facts.modes.get(".", 0) & 0o005
    if open_to_all and facts.modes.get("portico.db", 0) & 0o004:
        found.append("everybody on this machine may read portico.db")
    return Check(
        "data dir",
        not found,
        _listed(found) or "nobody else reads or writes the data",
        "chmod 700 the data folder.",
    )


def _settings_file(facts: Facts) -> Check:
    readable = facts.config_mode is not None and bool(facts.config_mode & 0o044)
    return Check(
        "settings",
        not readable,
        f"the settings file has secrets in it and mode {facts.config_mode:04o}"
        if readable
        else "no secret lies in a settings file that others may read",
        "Put secrets into the environment, or chmod 600 the file.",
    )


def _root(facts: Facts) -> Check:
    return Check(
        "user",
        not facts.runs_as_root,
        "this runs as root" if facts.runs_as_root else "this does not run as root",
        "Make a user for Portico; it needs its data folder and nothing else.",
    )


def _tls(facts: Facts) -> Check:
    server = facts.settings.server
    bare = is_public(server.host) and not server.https
    return Check(
        "tls",
        not bare,
        f"{server.host} is reached from elsewhere, and nothing says that TLS ends in front"
        if bare
        else "keys do not travel in the clear",
        "Listen on 127.0.0.1 behind a proxy with TLS; if there is one, set server.https = true.",
    )


def _hosts(facts: Facts) -> Check:
    server = facts.settings.server
    bare = is_public(server.host) and not server.hosts_allowed
    return Check(
        "hosts",
        not bare,
        "any Host is answered on a public address" if bare else "Hosts are limited, or it is local",
        "Set server.hosts_allowed to the names this server has.",
    )


def _proxies(facts: Facts) -> Check:
    all_of_it = [each for each in facts.settings.server.proxies_trusted if each.endswith("/0")]
    return Check(
        "proxies",
        not all_of_it,
        f"everybody is believed about who they are: {_listed(all_of_it)}"
        if all_of_it
        else "X-Forwarded-For counts from named proxies only",
        "Name the networks of your own proxies in server.proxies_trusted.",
    )


def _per_address(facts: Facts) -> Check:
    edge, public = facts.settings.edge, is_public(facts.settings.server.host)
    bare = public and edge.connections_per_ip_max >= edge.connections_max
    return Check(
        "per ip",
        not bare,
        "one address may take every connection" if bare else "connections per address are limited",
        "Set edge.connections_per_ip_max, to 200 say.",
    )


def _metrics(facts: Facts) -> Check:
    token, public = facts.settings.observe.metrics_token, is_public(facts.settings.server.host)
    bare = public and not token
    weak = bool(token) and not _is_strong(token)
    return Check(
        "metrics",
        not bare and not weak,
        "/metrics is open to everybody"
        if bare
        else "the token of /metrics is easily guessed"
        if weak
        else "/metrics is not open to everybody",
        "Set PORTICO_OBSERVE_METRICS_TOKEN to 32 random characters, or bar /metrics in the proxy.",
    )


def _admin(facts: Facts) -> Check:
    admin, server = facts.settings.admin, facts.settings.server
    host = (admin.host or server.host) if admin.port else server.host
    public = admin.enabled and is_public(host)
    return Check(
        "admin",
        not public,
        f"the admin API is served on {host}" if public else "the admin API is not public",
        "Give it a port and an address of its own: admin.port, admin.host = 127.0.0.1.",
    )


def _engines(facts: Facts) -> Check:
    return Check(
        "engines",
        not facts.exposed,
        f"others reach {_listed(facts.exposed)} without Portico"
        if facts.exposed
        else "no engine of this machine answers others",
        "Bind engines to 127.0.0.1 or a private network: who reaches one needs no key and pays nothing.",
    )


def _upstream_key(facts: Facts) -> Check:
    upstream = facts.settings.upstream
    clear = [url for url in upstream.urls if upstream.api_key and _in_the_clear(url)]
    return Check(
        "upstreams",
        not clear,
        f"its key goes over the network unprotected to {_listed(clear)}"
        if clear
        else "no upstream's key goes in the clear",
        "Use https:// for upstreams on other machines.",
    )


def _webhooks(facts: Facts) -> Check:
    secrets = {
        "alerts.webhook_secret": facts.settings.alerts.webhook_secret.removeprefix("whsec_"),
        "stripe.webhook_secret": facts.settings.stripe.webhook_secret.removeprefix("whsec_"),
    }
    weak = [name for name, secret in secrets.items() if secret and not _is_strong(secret)]
    return Check(
        "webhooks",
        not weak,
        f"easily guessed: {_listed(weak)}" if weak else "secrets of webhooks are random, or unset",
        "Make another: `python3 -c 'import base64, secrets; "
        'print("whsec_" + base64.b64encode(secrets.token_bytes(32)).decode())\'`.',
    )


def _inward(facts: Facts) -> Check:
    allowed = facts.settings.alerts.private_addresses_allowed
    return Check(
        "inward",
        not allowed,
        "webhooks may reach this machine and private networks"
        if allowed
        else "webhooks go to the Internet only",
        "Turn alerts.private_addresses_allowed off, unless nobody but you names webhooks.",
    )


def _media(facts: Facts) -> Check:
    media = facts.settings.media
    clear = media.fetch and media.fetch_http
    return Check(
        "media",
        not clear,
        "files are fetched without TLS"
        if clear
        else "files are fetched from the Internet, through the guard"
        if media.fetch
        else "nothing is fetched for callers",
        "Turn media.fetch_http off.",
    )


def _pages(facts: Facts) -> Check:
    anybody = "*" in facts.settings.edge.origins_allowed
    return Check(
        "pages",
        not anybody,
        "scripts of any web page may call" if anybody else "web pages are let in by name, or none",
        "Name the pages in edge.origins_allowed.",
    )


def _prefix_cache(facts: Facts) -> Check:
    shared = facts.settings.engine.enabled and facts.settings.engine.share_prefix_cache
    return Check(
        "prefixes",
        not shared,
        "callers can tell by time what others have asked"
        if shared
        else "callers do not share the engine's prefix cache",
        "Turn engine.share_prefix_cache off where tenants must not see each other.",
    )


def _paths(facts: Facts) -> Check:
    return Check(
        "packages",
        not facts.strange_paths,
        f"run at every start of Python: {_listed(facts.strange_paths)}"
        if facts.strange_paths
        else "no unexpected .pth files",
        "Read them.  If nobody here put them there: a new environment, and new keys of all kinds.",
    )


def _old_keys(facts: Facts) -> Check:
    old = [
        key.id
        for key in facts.keys
        if key.revoked_at_ms is None
        and key.expires_at_ms is None
        and facts.now_ms - key.created_at_ms > _YEAR_MS
    ]
    return Check(
        "old keys",
        not old,
        f"older than a year and without end: {_listed(old)}" if old else "no key is forgotten",
        "Replace them, with --expires-in, and revoke the old ones.",
    )


def _revoked_keys(facts: Facts) -> Check:
    used = [
        key.id
        for key in facts.keys
        if key.revoked_at_ms is not None
        and (key.last_used_at_ms or 0) > key.revoked_at_ms + _SEEN_LATE_MS
    ]
    return Check(
        "revoked",
        not used,
        f"used after they were revoked: {_listed(used)}"
        if used
        else "no revoked key was used after that",
        "A server did not hear of it: restart all of them, and look at `portico usage --by key`.",
    )


RULES: tuple[Callable[[Facts], Check], ...] = (
    _secret_files,
    _data_folder,
    _settings_file,
    _root,
    _tls,
    _hosts,
    _proxies,
    _per_address,
    _metrics,
    _admin,
    _engines,
    _upstream_key,
    _webhooks,
    _inward,
    _media,
    _pages,
    _prefix_cache,
    _paths,
    _old_keys,
    _revoked_keys,
)


def is_public(host: str) -> bool:
    """Is this address reached from other machines?  A name counts as one that is."""
    try:
        return not ip_address(host).is_loopback
    except ValueError:
        return host != "localhost"


def _in_the_clear(url: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme == "http" and is_public(parts.hostname or "")


def _is_strong(secret: str) -> bool:
    """Long enough, and not one letter again and again."""
    return len(secret) >= _TOKEN_CHARACTERS_MIN and len(set(secret)) >= _KINDS_OF_CHARACTERS_MIN


def _listed(names: list[str] | tuple[str, ...]) -> str:
    more = f" and {len(names) - _SHOWN_MAX} more" if len(names) > _SHOWN_MAX else ""
    return ", ".join(names[:_SHOWN_MAX]) + more
