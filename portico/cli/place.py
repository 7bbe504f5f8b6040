"""The data directory, opened from the command line: beside a running server or without one."""

from pathlib import Path

from sqlalchemy.exc import DBAPIError

from portico.cli.output import Exit, stop
from portico.db.backends.base import Unusable
from portico.db.backends.sqlite import FILE_NAME
from portico.db.database import Database, open_database
from portico.settings import Settings, SettingsInvalid, load


def settings_for(config: Path | None, **sections: dict[str, object]) -> Settings:
    """Settings with the given flags on top; flags that are None were not given."""
    flags = {
        section: {key: value for key, value in keys.items() if value is not None}
        for section, keys in sections.items()
    }
    try:
        return load(file=config, flags=flags)
    except SettingsInvalid as error:
        stop(Exit.USAGE, str(error), fix="docs/reference/settings.md lists every setting.")


def place_of(settings: Settings) -> Path:
    """The data directory; asking about nothing is a mistake, said so."""
    data_dir = Path(settings.server.data_dir)
    if not settings.database.url and not (data_dir / FILE_NAME).exists():
        stop(
            Exit.DATA,
            f"there is no Portico data in {data_dir}.",
            fix="Start `portico serve` first, or name its folder with --data-dir.",
        )
    return data_dir


def database_of(settings: Settings) -> Database:
    """The database that `portico serve` would use."""
    data_dir = place_of(settings)
    try:
        return open_database(data_dir, settings.database.url)
    except (Unusable, OSError) as error:
        stop(Exit.DATA, str(error))
    except DBAPIError as error:
        where = "database.url" if settings.database.url else data_dir / FILE_NAME
        stop(Exit.DATA, f"{where}: {error.orig}", fix="Run `portico doctor`.")
