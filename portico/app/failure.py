"""Why a server cannot start."""

from typing import Literal


class CannotStart(Exception):
    """One clear sentence, and what to do.  Nothing is left running."""

    def __init__(
        self, kind: Literal["port", "data", "engine", "settings"], says: str, fix: str = ""
    ) -> None:
        super().__init__(says)
        self.kind = kind
        self.says = says
        self.fix = fix
