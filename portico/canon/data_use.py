"""Whose hands a prompt may pass through."""

from typing import Literal, get_args

DataUse = Literal["own", "no_training", "may_train"]
"""What whoever runs an engine does with what it is sent.

own: it is the operator's, nobody else sees it.  no_training: somebody else's, who promises to train
nothing on it.  may_train: somebody else's, who promises nothing.
"""

DATA_USES: tuple[DataUse, ...] = get_args(DataUse)
"""The strictest first."""


def allows(most: DataUse, use: DataUse) -> bool:
    """May what is allowed `most` go where `use` is made of it?"""
    return DATA_USES.index(use) <= DATA_USES.index(most)
