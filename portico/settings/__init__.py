"""Every setting: typed, bounded, its unit in its name.  Only `app` and `cli` may import this.

Read from `portico.toml` (section and key), then from the environment (`PORTICO_<SECTION>_<KEY>`,
lists separated by commas), then from command-line flags; the later wins.
"""

from portico.settings.load import (
    SECRETS,
    SECTIONS,
    Settings,
    SettingsInvalid,
    environment_name,
    load,
)

__all__ = ["SECRETS", "SECTIONS", "Settings", "SettingsInvalid", "environment_name", "load"]
