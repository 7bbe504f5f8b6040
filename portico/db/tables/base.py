"""What every table is made of."""

from sqlalchemy import BigInteger, CheckConstraint, Column, Index, Integer, MetaData, Text, text

metadata = MetaData()

Int64 = BigInteger().with_variant(Integer(), "sqlite")
"""STRICT tables refuse the word BIGINT; SQLite's INTEGER has 64 bits anyway."""


def identifier() -> Column[str]:
    return Column("id", Text, primary_key=True, nullable=False)


def data_use() -> Column[str]:
    """What is made of prompts: by a deployment; at most, of a project's."""
    words = CheckConstraint("data_use IN ('own', 'no_training', 'may_train')")
    return Column("data_use", Text, words, nullable=False, server_default="no_training")


def partial_index(name: str, *columns: str, only: str, unique: bool = False) -> Index:
    """Over the rows of which `only` is true.

    Said for SQLite alone: the word for PostgreSQL would load all of its drivers' dialects with every
    command, and nothing is made from here.  Migrations say it for both; the suite compares.
    """
    return Index(name, *columns, unique=unique, sqlite_where=text(only))
