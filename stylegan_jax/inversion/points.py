"""Checks of the points and the mask that a user gives for a drag."""

from collections.abc import Sequence

import numpy as np

from stylegan_jax.runtime.messages import sides

MAX_HANDLES = 64

Points = Sequence[tuple[float, float]]


def check_points(
    handles: Points, targets: Points, size: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """Check handles and targets, and return them as arrays [N,2] float32.

    Args:
      handles: points (x, y).
      targets: points (x, y), one for each handle.
      size: height and width of the image.

    Raises:
      ValueError: there are no points or too many, their numbers differ, or one is
        outside the image.
    """
    found = []
    for name, points in (("handles", handles), ("targets", targets)):
        try:
            array = np.asarray(points, np.float32)
        except (TypeError, ValueError):
            array = np.zeros(0)
        if array.ndim != 2 or array.shape[1] != 2 or not 0 < len(array) <= MAX_HANDLES:
            raise ValueError(
                f"{name} must be 1 to {MAX_HANDLES} points (x, y) in pixels, such as "
                f"[(20, 30)], not {points!r:.80}"
            )
        last = np.array([size[1] - 1, size[0] - 1])
        inside = np.all((array >= 0) & (array <= last), axis=1)  # False for NaN
        if not inside.all():
            wrong = tuple(float(x) for x in array[~inside][0])
            raise ValueError(
                f"{name} must be inside the image of {sides(size)} (width x height), "
                f"from (0, 0) to ({last[0]}, {last[1]}); {wrong} is not"
            )
        found.append(array)
    if len(found[0]) != len(found[1]):
        raise ValueError(
            f"there are {len(found[0])} handles and {len(found[1])} targets; give one "
            "target for each handle"
        )
    return found[0], found[1]


def check_mask(mask: np.ndarray | None, size: tuple[int, int]) -> np.ndarray:
    """Return a valid mask [H,W] bool, all True for None; else raise ValueError."""
    if mask is None:
        return np.ones(size, bool)
    mask = np.asarray(mask)
    if mask.shape != size or mask.dtype != bool:
        shape = f"{list(mask.shape)} {mask.dtype}"
        raise ValueError(
            f"the mask is {shape}; it must be [{size[0]}, {size[1]}] bool, True where "
            "the image may change"
        )
    if not mask.any():
        raise ValueError(
            "the mask is False everywhere, so nothing may change; mark the part of the "
            "image that may move, or leave the mask out"
        )
    return mask
