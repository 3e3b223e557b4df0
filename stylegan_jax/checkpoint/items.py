"""Items of a checkpoint: checks before saving, and matching with templates."""

import json
from collections.abc import Collection, Mapping
from typing import Any

import jax
import numpy as np

from stylegan_jax.checkpoint import names
from stylegan_jax.checkpoint.integrity import (
    Leaves,
    PyTree,
    array_name,
    describe,
    named_arrays,
)


def check_items(items: Mapping[str, PyTree], reserved: Collection[str]) -> None:
    """Raise ValueError unless the items can be saved; `reserved` names are taken."""
    for name, tree in items.items():
        if name in reserved:
            raise ValueError(f"item name `{name}` is reserved; choose another")
        if not jax.tree.leaves(tree):
            raise ValueError(f"item `{name}` has no arrays; leave it out")
        for key, leaf in named_arrays(tree).items():
            if not isinstance(leaf, jax.Array):
                raise ValueError(
                    f"`{name}/{key}` is a {type(leaf).__name__}; only jax.Array can "
                    "be saved: wrap it in jnp.asarray, or put it into `meta`"
                )
            if not leaf.size:
                raise ValueError(
                    f"`{name}/{key}` has shape {list(leaf.shape)}; Orbax cannot save "
                    "an array without elements: leave it out"
                )


def abstract(name: str, tree: PyTree) -> PyTree:
    """Return the shapes, dtypes and shardings of the template of item `name`."""

    def abstract_leaf(path: tuple, leaf: Any) -> jax.ShapeDtypeStruct:
        if getattr(leaf, "sharding", None) is None:
            raise ValueError(
                f"template `{name}/{array_name(path)}` (a {type(leaf).__name__}) has "
                "no sharding; use jax.ShapeDtypeStruct(shape, dtype, sharding=...)"
            )
        return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=leaf.sharding)

    return jax.tree_util.tree_map_with_path(abstract_leaf, tree)


def match_names(
    checkpoint: str, item: str, template: PyTree, saved: Mapping[str, dict[str, list]]
) -> dict[str, str]:
    """Return stored name -> template name of each array of an item.

    Args:
      checkpoint: description of the checkpoint, for error messages.
      item: name of the item.
      template: shapes and dtypes of the arrays to be read.
      saved: for each item in the checkpoint, stored name -> [shape, dtype, ...].

    Raises:
      ValueError: if the checkpoint lacks the item or one of its arrays, has unexpected
        ones, or has them in another shape or dtype.
    """
    if item not in saved:
        raise ValueError(
            f"item `{item}` is missing from {checkpoint}, which has {sorted(saved)}"
        )
    wanted = named_arrays(template)
    matched = {stored: names.current_name(item, stored) for stored in saved[item]}
    for key in sorted(wanted.keys() ^ set(matched.values())):
        if key in wanted and f"{item}/{key}" in names.ADDED:
            continue
        side = "is missing from" if key in wanted else "is unexpected in"
        raise ValueError(
            f"array `{item}/{key}` {side} {checkpoint}, which was written by another "
            "model, optimizer or version; use the config that it was trained with"
        )
    for stored, key in matched.items():
        found, expected = saved[item][stored][:2], describe(wanted[key])
        if found != expected:
            raise ValueError(
                f"array `{item}/{key}` is {found[1]}{found[0]} in {checkpoint}, but "
                f"must be {expected[1]}{expected[0]}; use the config that it was "
                "trained with"
            )
    return matched


def fill_template(
    item: str, template: PyTree, arrays: Leaves, initial: Mapping[str, float]
) -> PyTree:
    """Return the template with its arrays; those missing take their initial value."""

    def fill(path: tuple, leaf: jax.ShapeDtypeStruct) -> jax.Array:
        key = array_name(path)
        if key in arrays:
            return arrays[key]
        name = f"{item}/{key}"
        value = np.full(leaf.shape, initial.get(name, names.ADDED[name]), leaf.dtype)
        return jax.make_array_from_callback(
            leaf.shape, leaf.sharding, lambda index: value[index]
        )

    return jax.tree_util.tree_map_with_path(fill, template)


def json_round_trip(meta: dict) -> dict:
    """Return the metadata as they will be read; raise ValueError if not JSON."""
    try:
        return json.loads(json.dumps(meta))
    except (TypeError, ValueError) as error:
        raise ValueError(f"`meta` must be serializable as JSON: {error}") from error
