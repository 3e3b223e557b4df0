"""Tables that map the arrays of a file to ours: names, shapes and order of axes."""

import dataclasses
import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import flax.traverse_util
import jax.numpy as jnp
import numpy as np

MAX_LISTED = 40  # maximum number of names in a message


@dataclasses.dataclass(frozen=True)
class Layout:
    """An invertible rearrangement of an array.

    Attributes:
      load: From the file's layout to ours.
      save: The inverse.
    """

    load: Callable[[np.ndarray], np.ndarray] = lambda a: a
    save: Callable[[np.ndarray], np.ndarray] = lambda a: a

    def then(self, after: "Layout") -> "Layout":
        """Return this layout followed by another."""
        return Layout(
            lambda a: after.load(self.load(a)), lambda a: self.save(after.save(a))
        )


def permuted(*axes: int) -> Layout:
    """Return the layout that moves axes as `np.transpose` does."""
    inverse = np.argsort(axes)
    return Layout(lambda a: a.transpose(axes), lambda a: a.transpose(inverse))


def chw_rows(height: int, width: int) -> Layout:
    """Return [C*H*W, N] <-> [H*W*C, N], for a matrix applied to a flattened map."""
    return Layout(
        lambda a: _rows(a.reshape(-1, height, width, a.shape[1]), (1, 2, 0, 3)),
        lambda a: _rows(a.reshape(height, width, -1, a.shape[1]), (2, 0, 1, 3)),
    )


def _rows(a: np.ndarray, axes: tuple[int, ...]) -> np.ndarray:
    """Permute the axes and flatten all but the last."""
    return a.transpose(axes).reshape(math.prod(a.shape[:3]), a.shape[3])


IDENTITY = Layout()
TRANSPOSED = permuted(1, 0)
OIHW = permuted(2, 3, 1, 0)  # PyTorch's kernels -> HWIO
NCHW = permuted(0, 2, 3, 1)  # -> NHWC
LEADING_AXIS = Layout(lambda a: a[0], lambda a: a[None])  # [1,...] <-> [...]


@dataclasses.dataclass(frozen=True)
class Entry:
    """One array of a file.

    Attributes:
      name: Name in the file.
      shape: Shape in the file.
      path: Collection and names of our variable; () for an array that follows from the
        network's arguments and may be missing.
      layout: Rearrangement of the file's array.
      constant: Value to write where we have no variable.
    """

    name: str
    shape: tuple[int, ...]
    path: tuple[str, ...]
    layout: Layout = IDENTITY
    constant: np.ndarray | None = None


def load(
    entries: Iterable[Entry],
    arrays: Mapping[str, np.ndarray],
    network: str,
    check_names: str,
    check_shapes: str,
) -> dict[str, Any]:
    """Return our variables, made from a file's arrays.

    Args:
      entries: The table of the network.
      arrays: Name in the file -> array.
      network: The expected network, with its arguments, for messages.
      check_names: Arguments to check when names do not fit, for messages.
      check_shapes: Arguments to check when shapes do not fit, for messages.

    Raises:
      ValueError: An array is missing, left over or of the wrong shape, or one that
        follows from the arguments has another value.
    """
    entries = list(entries)
    missing = sorted(e.name for e in entries if e.path and e.name not in arrays)
    extra = sorted(set(arrays) - {e.name for e in entries})
    if missing or extra:
        raise ValueError(
            f"the arrays do not fit an official {network}: missing {_listed(missing)}, "
            f"left over {_listed(extra)}; check {check_names}"
        )
    flat = {}
    for entry in entries:
        if entry.name not in arrays:
            continue
        array = np.asarray(arrays[entry.name], np.float32)
        if array.shape != entry.shape:
            raise ValueError(
                f"{entry.name} has shape {array.shape}, expected {entry.shape}; "
                f"check {check_shapes}"
            )
        if entry.path:
            flat[entry.path] = jnp.asarray(entry.layout.load(array))
        elif not np.allclose(array, entry.constant, rtol=1e-4, atol=1e-6):
            raise ValueError(
                f"{entry.name} is {array.tolist()}, expected "
                f"{entry.constant.tolist()}; check {check_shapes}"
            )
    return flax.traverse_util.unflatten_dict(flat)


def _listed(names: list[str]) -> str:
    """Return names for a message; a file of another network has many."""
    if len(names) <= MAX_LISTED:
        return str(names)
    return f"{len(names)} of them, {names[:MAX_LISTED]} and so on"


def save(
    entries: Iterable[Entry], variables: Mapping[str, Any]
) -> dict[str, np.ndarray]:
    """Return the inverse of `load`: name in the file -> float32 array.

    Raises:
      ValueError: A variable is missing.
    """
    flat = flax.traverse_util.flatten_dict(variables)
    arrays = {}
    for entry in entries:
        value = flat.get(entry.path)
        if value is not None:
            arrays[entry.name] = entry.layout.save(np.asarray(value, np.float32))
        elif entry.constant is not None:
            arrays[entry.name] = entry.constant.copy()
        else:
            raise ValueError(f"the variables lack {'/'.join(entry.path)}")
    return arrays
