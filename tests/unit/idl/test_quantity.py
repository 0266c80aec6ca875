"""Quantities as Kubernetes writes them."""

from __future__ import annotations

from decimal import Decimal

import pytest

from airscrew.idl.quantity import read_quantity


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("2", "2"),
        ("500m", "0.5"),
        ("1.5Gi", "1610612736"),
        ("1e3", "1000"),
        ("3k", "3000"),
        ("1E", "1e18"),
        ("100n", "1e-7"),
    ],
)
def test_quantities_are_read_as_kubernetes_writes_them(text: str, amount: str) -> None:
    assert read_quantity(text) == Decimal(amount)


@pytest.mark.parametrize("text", ["", "x", "1 Gi", "1gi", "1..2", "--1"])
def test_what_is_no_quantity_is_none(text: str) -> None:
    assert read_quantity(text) is None
