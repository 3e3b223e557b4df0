"""Tables of official variables: what each is called and where it lives in ours."""

import dataclasses
from collections.abc import Callable, Iterable, Mapping

import flax.traverse_util
import jax.numpy as jnp
import numpy as np

from stylegan_jax.models import Variables

MAX_LISTED = 40  # names in a message


@dataclasses.dataclass(frozen=True)
class Layout:
    """How an official array becomes ours and back."""

    load: Callable[[np.ndarray], np.ndarray] = lambda a: a
    save: Callable[[np.ndarray], np.ndarray] = lambda a: a


@dataclasses.dataclass(frozen=True)
class Entry:
    """One official variable.

    Attributes:
      name: the official name.
      shape: the official shape.
      path: collection and names of ours; () for an array that follows from the
        arguments and need not be given.
      layout: of the array.
      constant: what is written where ours holds nothing.
    """

    name: str
    shape: tuple[int, ...]
    path: tuple[str, ...]
    layout: Layout = Layout()
    constant: np.ndarray | None = None


def load(
    entries: Iterable[Entry],
    arrays: Mapping[str, np.ndarray],
    network: str,
    check_names: str,
    check_shapes: str,
) -> Variables:
    """Our variables from official arrays.

    Args:
      entries: of the network.
      arrays: official name -> array.
      network: what these arrays should be, with its arguments, for messages.
      check_names: which arguments to look at when names do not fit.
      check_shapes: which arguments to look at when shapes do not fit.

    Raises:
      ValueError: arrays are missing, left over, or of the wrong shape; one that follows
        from the arguments is another.
    """
    entries = list(entries)
    missing = sorted(e.name for e in entries if e.path and e.name not in arrays)
    extra = sorted(set(arrays) - {e.name for e in entries})
    if missing or extra:
        raise ValueError(
            f"The arrays do not fit an official {network}: missing {_listed(missing)}, "
            f"left over {_listed(extra)}. Check {check_names}."
        )
    flat = {}
    for entry in entries:
        if entry.name not in arrays:
            continue
        array = np.asarray(arrays[entry.name], np.float32)
        if array.shape != entry.shape:
            raise ValueError(
                f"{entry.name} has shape {array.shape}; these arguments give "
                f"{entry.shape}. Check {check_shapes}."
            )
        if entry.path:
            flat[entry.path] = jnp.asarray(entry.layout.load(array))
        elif not np.allclose(array, entry.constant, rtol=1e-4, atol=1e-6):
            raise ValueError(
                f"{entry.name} is {array.tolist()}; these arguments give "
                f"{entry.constant.tolist()}. Check {check_shapes}."
            )
    return flax.traverse_util.unflatten_dict(flat)


def _listed(names: list[str]) -> str:
    """Names for a message, which are many where a file is of another network."""
    if len(names) <= MAX_LISTED:
        return str(names)
    return f"{len(names)} of them, {names[:MAX_LISTED]} and so on"


def save(entries: Iterable[Entry], variables: Variables) -> dict[str, np.ndarray]:
    """The inverse of `load`: official name -> float32 array.

    Raises:
      ValueError: a variable is missing.
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
