"""What every table is made of."""

from sqlalchemy import BigInteger, Column, Integer, MetaData, Text

metadata = MetaData()

Int64 = BigInteger().with_variant(Integer(), "sqlite")
"""STRICT tables refuse the word BIGINT; SQLite's INTEGER has 64 bits anyway."""


def identifier() -> Column[str]:
    return Column("id", Text, primary_key=True, nullable=False)
