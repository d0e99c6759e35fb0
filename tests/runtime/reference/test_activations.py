"""Activations rounded token by token."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

torch = pytest.importorskip("torch", reason="the reference needs torch")

from mixprec_runtime.reference.activations import round_activations  # noqa: E402


def identity(layout: str) -> torch.nn.Linear:
    layer = torch.nn.Linear(4, 4, bias=False)
    with torch.no_grad():
        layer.weight.copy_(torch.eye(4))
    round_activations(SimpleNamespace(model=torch.nn.Sequential(layer)), layout)
    return layer


def test_int8_rounds_each_token_by_its_own_largest_value() -> None:
    tokens = torch.tensor([[127.0, 0.4, -0.6, 0.0], [1.27, 0.004, -0.006, 0.0]])
    rounded = identity("int-quantized")(tokens)
    expected = torch.tensor([[127.0, 0.0, -1.0, 0.0], [1.27, 0.0, -0.01, 0.0]])
    torch.testing.assert_close(rounded, expected)


def test_fp8_keeps_three_bits_of_fraction() -> None:
    rounded = identity("float-quantized")(torch.tensor([[448.0, 17.0, 1.03, 0.0]]))
    torch.testing.assert_close(rounded, torch.tensor([[448.0, 16.0, 1.0, 0.0]]))


def test_other_layouts_round_nothing() -> None:
    tokens = torch.tensor([[1.0, 1 / 3, 0.1, 7.77]])
    torch.testing.assert_close(identity("awq")(tokens), tokens)
