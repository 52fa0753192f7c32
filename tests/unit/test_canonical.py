"""The contracts: one statement, three spellings."""

from __future__ import annotations

import pyarrow as pa
import pytest
import sqlalchemy as sa

from octo_dagster.canonical.contracts import CONTRACTS, TYPES, Contract, sqlalchemy_table

EVERY = pytest.mark.parametrize("contract", CONTRACTS.values(), ids=lambda contract: contract.name)


@EVERY
def test_arrow_sql_and_docs_name_the_same_columns(contract: Contract) -> None:
    """A column of the contract is in the Arrow schema, in the SQLAlchemy table and in the docs."""
    assert contract.arrow.names == list(contract.names)
    assert [column.name for column in sqlalchemy_table(contract.name).columns] == list(contract.names)
    assert all(f"| {name}" in contract.markdown() for name in contract.names)


@EVERY
def test_a_contract_is_sound(contract: Contract) -> None:
    """Keys are required, types are known, and a table refers only to tables conformed before it."""
    before = list(CONTRACTS)[: list(CONTRACTS).index(contract.name)]
    for field in contract.fields:
        assert field.type in TYPES
        assert field.references is None or field.references in before
        assert field.default is None or not field.allowed or field.default in field.allowed
    assert all(found and found.required for found in map(contract.field, contract.key))


def test_money_and_time_are_exact() -> None:
    """Money is decimal with cents, time has microseconds and no zone."""
    orders = CONTRACTS["orders"].arrow
    assert orders.field("net_amount").type == pa.decimal128(18, 2)
    assert orders.field("ordered_at").type == pa.timestamp("us")
    kind = sqlalchemy_table("orders").c.net_amount.type
    assert isinstance(kind, sa.Numeric)
    assert (kind.precision, kind.scale) == (18, 2)


def test_personal_fields_are_marked() -> None:
    """Whatever identifies a person is never shown among rejected rows."""
    private = {field.name for field in CONTRACTS["customers"].fields if field.private}
    assert private == {"email", "phone", "first_name", "last_name", "postal_code", "birth_date"}
