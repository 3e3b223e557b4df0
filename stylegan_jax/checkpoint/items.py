"""What can be saved, and whether what was saved is what is wanted."""

import json
from collections.abc import Collection, Mapping

import jax

from stylegan_jax.checkpoint.integrity import PyTree, array_name, arrays_of, describe


def check_items(items: Mapping[str, PyTree], reserved: Collection[str]) -> None:
    """Raises ValueError unless these can be saved under names other than `reserved`."""
    for name, tree in items.items():
        if name in reserved:
            raise ValueError(f"item name `{name}` is taken; choose another")
        if not jax.tree.leaves(tree):
            raise ValueError(f"item `{name}` has no arrays; leave it out")
        for key, leaf in arrays_of(tree).items():
            if not isinstance(leaf, jax.Array):
                raise ValueError(
                    f"`{name}/{key}` is a {type(leaf).__name__}; only jax.Array can "
                    f"be saved: wrap it in jnp.asarray, or put it into `meta`"
                )
            if not leaf.size:
                raise ValueError(
                    f"`{name}/{key}` is {list(leaf.shape)}; Orbax cannot save an "
                    f"array without elements: leave it out"
                )


def abstract(name: str, tree: PyTree) -> PyTree:
    """The shapes, dtypes and shardings of the template of item `name`."""

    def of_leaf(path, leaf):
        if getattr(leaf, "sharding", None) is None:
            raise ValueError(
                f"template `{name}/{array_name(path)}` (a {type(leaf).__name__}) has "
                f"no sharding; use jax.ShapeDtypeStruct(shape, dtype, sharding=...)"
            )
        return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=leaf.sharding)

    return jax.tree_util.tree_map_with_path(of_leaf, tree)


def check_fits(where: str, name: str, template: PyTree, saved: dict) -> None:
    """Raises ValueError unless item `name` was saved with the template's arrays."""
    if name not in saved:
        raise ValueError(f"{where} has no item `{name}`; it has {sorted(saved)}")
    wanted, there = arrays_of(template), saved[name]
    for key in sorted(wanted.keys() ^ there.keys()):
        side = "is missing from" if key in wanted else "is unexpected in"
        raise ValueError(
            f"array `{name}/{key}` {side} {where}: it was written by another "
            f"model, optimizer or version; use the config it was trained with"
        )
    for key, leaf in wanted.items():
        expected = describe(leaf)
        if there[key][:2] != expected:
            raise ValueError(
                f"array `{name}/{key}` is {there[key][1]}{there[key][0]} in {where}, "
                f"but {expected[1]}{expected[0]} is wanted; use the config that "
                f"it was trained with"
            )


def json_round_trip(meta: dict) -> dict:
    """The metadata as it will come back; ValueError if JSON cannot hold it."""
    try:
        return json.loads(json.dumps(meta))
    except (TypeError, ValueError) as error:
        raise ValueError(f"`meta` must be what JSON can hold: {error}") from error
