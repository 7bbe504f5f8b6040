"""Who runs this program."""

import os
import pwd


def login() -> str:
    """As the system knows him: what his environment calls him anybody can set."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # a user id without a name, as in containers
        return f"uid {os.getuid()}"
