"""What every table is made of."""

from sqlalchemy import BigInteger, CheckConstraint, Column, Integer, MetaData, Text

metadata = MetaData()

Int64 = BigInteger().with_variant(Integer(), "sqlite")
"""STRICT tables refuse the word BIGINT; SQLite's INTEGER has 64 bits anyway."""


def identifier() -> Column[str]:
    return Column("id", Text, primary_key=True, nullable=False)


def data_use() -> Column[str]:
    """What is made of prompts: by a deployment; at most, of a project's."""
    words = CheckConstraint("data_use IN ('own', 'no_training', 'may_train')")
    return Column("data_use", Text, words, nullable=False, server_default="no_training")
