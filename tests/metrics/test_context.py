"""The classifier that --attributes names."""

import math

import pytest

from stylegan_jax.metrics.context import _load_classifier


def test_a_function_is_found():
    assert _load_classifier("math:sqrt") is math.sqrt


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("math:pi", "it is no function, but 3.14"),
        ("math:gone", "no attribute 'gone'"),
        ("no_such_module:f", "No module named"),
        ("math", "to logits"),
        ("", "to logits"),
    ],
)
def test_what_is_no_classifier_is_refused(name, reason):
    with pytest.raises(ValueError, match="must be package.module:function") as raised:
        _load_classifier(name)
    assert reason in str(raised.value)
