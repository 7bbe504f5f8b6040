"""All sections together, and where their values come from."""

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_type_hints

import msgspec
from msgspec import Struct

from portico.settings.files import Files
from portico.settings.keeping import (
    Background,
    Batches,
    Conversations,
    Kept,
    Responses,
    Websocket,
)
from portico.settings.money import (
    Alerts,
    Audit,
    Dunning,
    Invoices,
    Mail,
    Pricing,
    Replay,
    Stripe,
)
from portico.settings.safety import Moderation
from portico.settings.serving import (
    Admin,
    Client,
    Database,
    Edge,
    Engine,
    Media,
    Observe,
    Queue,
    Rates,
    Server,
    Storage,
    Upstream,
)
from portico.settings.tenants import Organisation
from portico.settings.tools import Tools


class SettingsInvalid(Exception):
    """One clear sentence: which setting, where it came from, what it must be."""


class Settings(Struct, frozen=True, forbid_unknown_fields=True):
    server: Server = Server()
    admin: Admin = Admin()
    organisation: Organisation = Organisation()
    edge: Edge = Edge()
    media: Media = Media()
    kept: Kept = Kept()
    responses: Responses = Responses()
    websocket: Websocket = Websocket()
    conversations: Conversations = Conversations()
    files: Files = Files()
    background: Background = Background()
    batches: Batches = Batches()
    tools: Tools = Tools()
    queue: Queue = Queue()
    rates: Rates = Rates()
    moderation: Moderation = Moderation()
    engine: Engine = Engine()
    upstream: Upstream = Upstream()
    database: Database = Database()
    storage: Storage = Storage()
    pricing: Pricing = Pricing()
    invoices: Invoices = Invoices()
    dunning: Dunning = Dunning()
    stripe: Stripe = Stripe()
    replay: Replay = Replay()
    alerts: Alerts = Alerts()
    mail: Mail = Mail()
    audit: Audit = Audit()
    observe: Observe = Observe()
    client: Client = Client()


SECTIONS: dict[str, type[Struct]] = get_type_hints(Settings)
SECRETS = frozenset(
    {
        ("upstream", "api_key"),
        ("database", "url"),
        ("alerts", "webhook_secret"),
        ("mail", "password"),
        ("stripe", "secret_key"),
        ("stripe", "webhook_secret"),
        ("observe", "metrics_token"),
        ("client", "api_key"),
        ("files", "bucket_secret"),
        ("moderation", "guard_api_key"),
    }
)
ENVIRONMENT_ONLY = frozenset({("stripe", "secret_key")})
"""Never in a file that is shared, copied and kept."""
_ENV_PREFIX = "PORTICO_"


def load(
    *,
    file: Path | None = None,
    environment: Mapping[str, str] | None = None,
    flags: Mapping[str, Mapping[str, Any]] | None = None,
) -> Settings:
    """Defaults, then `file` (default: portico.toml here, if there is one), then the environment,
    then `flags` ({section: {key: value}}).

    Raises: SettingsInvalid, naming the setting, its source and what it must be.
    """
    merged: dict[str, dict[str, Any]] = {name: {} for name in SECTIONS}
    sources: dict[str, str] = {}
    for source, values in (
        _from_file(file),
        _from_environment(os.environ if environment is None else environment),  # noqa: TID251 - the one place
        ("command line", flags or {}),
    ):
        for section, keys in values.items():
            _check_place(source, section, keys)
            merged.setdefault(section, {}).update(keys)
            sources.update({f"{section}.{key}": source for key in keys})
    return _checked(merged, sources)


def _check_place(source: str, section: str, keys: Mapping[str, Any]) -> None:
    """Raises: SettingsInvalid."""
    for key in keys:
        if (section, key) in ENVIRONMENT_ONLY and source != "environment":
            raise SettingsInvalid(
                f"{source}: {section}.{key} belongs into the environment, as "
                f"{environment_name(section, key)}."
            )


def environment_name(section: str, key: str) -> str:
    return f"{_ENV_PREFIX}{section.upper()}_{key.upper()}"


def _from_file(file: Path | None) -> tuple[str, dict[str, Any]]:
    path = Path("portico.toml") if file is None else file
    if file is None and not path.exists():
        return str(path), {}
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsInvalid(f"{path}: cannot be read: {error}") from error
    except tomllib.TOMLDecodeError as error:
        raise SettingsInvalid(f"{path}: not valid TOML: {error}") from error
    for section, keys in found.items():
        if section not in SECTIONS:
            raise SettingsInvalid(
                f"{path}: there is no section [{section}]; known: {', '.join(SECTIONS)}."
            )
        if not isinstance(keys, dict):
            raise SettingsInvalid(f"{path}: {section!r} must be a section, [{section}].")
    return str(path), found


def _from_environment(environment: Mapping[str, str]) -> tuple[str, dict[str, Any]]:
    known = {
        environment_name(section, key): (section, key)
        for section, kind in SECTIONS.items()
        for key in kind.__struct_fields__
    }
    found: dict[str, Any] = {}
    for name in sorted(environment):
        if not name.startswith(_ENV_PREFIX):
            continue
        if name not in known:
            raise SettingsInvalid(f"the environment sets {name}, which is not a setting.")
        section, key = known[name]
        found.setdefault(section, {})[key] = _from_text(section, key, environment[name])
    return "environment", found


def _from_text(section: str, key: str, text: str) -> Any:
    """Lists are comma-separated in the environment; the rest is converted by its type later."""
    default = getattr(SECTIONS[section](), key)
    if isinstance(default, tuple):
        return tuple(part.strip() for part in text.split(",") if part.strip())
    return text


def _checked(merged: dict[str, dict[str, Any]], sources: dict[str, str]) -> Settings:
    sections: dict[str, Any] = {}
    for name, kind in SECTIONS.items():
        for key in merged[name]:
            if key not in kind.__struct_fields__:
                source = sources.get(f"{name}.{key}", "settings")
                raise SettingsInvalid(
                    f"{source}: there is no setting {name}.{key}; "
                    f"known: {', '.join(kind.__struct_fields__)}."
                )
        sections[name] = _convert(name, kind, merged[name], sources)
    return Settings(**sections)


def _convert(
    name: str, kind: type[Struct], values: dict[str, Any], sources: dict[str, str]
) -> Struct:
    try:
        return msgspec.convert(values, kind, strict=False)
    except msgspec.ValidationError as error:
        what, _, where = str(error).partition(" - at `$.")
        key = where.rstrip("`").split("[")[0]
        source = sources.get(f"{name}.{key}", "settings")
        shown = "(hidden)" if (name, key) in SECRETS else repr(values.get(key))
        raise SettingsInvalid(f"{source}: {name}.{key} is {shown}: {what}.") from error
