"""Arrays of earlier checkpoints are restored under their current names."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import pytest

from tests.checkpoint.states import assert_same, open_


class FormerAdam(NamedTuple):
    count: jax.Array
    first: Any
    second: Any


class Adam(NamedTuple):
    count: jax.Array
    mu: Any
    nu: Any


class Empty(NamedTuple):
    """A link of an optimizer chain that has no state."""


COUNT, MU, NU = jnp.int32(7), {"w": jnp.ones((2, 3))}, {"w": jnp.zeros((2, 3))}


def saved(directory, adam, **more):
    checkpoints, _ = open_(directory)
    checkpoints.save(1, {"training": {"optimizer": {"generator": adam}} | more}, {})
    checkpoints.wait()
    return checkpoints


@pytest.mark.parametrize("mu", [None, MU])
def test_earlier_names_and_missing_arrays(tmp_path, mu):
    checkpoints = saved(tmp_path, FormerAdam(COUNT, mu, NU))
    today = {
        "augment_probability": jnp.float32(0),
        "optimizer": {"generator": (Adam(COUNT, mu, NU), Empty())},
    }
    template = jax.tree.map(lambda x: x + 1, today)
    _, items, _ = checkpoints.restore({"training": template})
    assert_same(items["training"], today)
    # Or the value that the caller gives.
    given = {"training/augment_probability": 0.5}
    _, items, _ = checkpoints.restore({"training": template}, initial=given)
    assert float(items["training"]["augment_probability"]) == 0.5


def test_current_names_are_unchanged(tmp_path):
    today = (Adam(COUNT, MU, NU), Empty())
    checkpoints = saved(tmp_path, today, augment_probability=jnp.float32(0.25))
    wanted = {"optimizer": {"generator": today}, "augment_probability": jnp.float32(1)}
    _, items, _ = checkpoints.restore({"training": wanted})
    assert_same(items["training"]["optimizer"]["generator"], today)
    assert float(items["training"]["augment_probability"]) == 0.25


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        (Adam(COUNT, None, NU), "`training/optimizer/generator/0/mu/w` is unexpected"),
        (Adam(COUNT, MU, {"v": MU["w"]}), "generator/0/nu/v` is missing from"),
    ],
)
def test_other_differences_are_rejected(tmp_path, wanted, message):
    checkpoints = saved(tmp_path, FormerAdam(COUNT, MU, NU))
    with pytest.raises(ValueError, match=message):
        checkpoints.restore({"training": {"optimizer": {"generator": (wanted,)}}})
