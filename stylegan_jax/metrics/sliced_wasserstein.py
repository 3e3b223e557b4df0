"""Sliced Wasserstein distance between patches, a level of detail at a time.

No network is needed: the images are split into frequency bands (Laplacian pyramid),
and the 7x7 patches of a band compared as distributions, by the differences of their
sorted projections onto random directions.

Reference: Karras et al., "Progressive Growing of GANs" (2018), section 5; Rabin et
    al., "Wasserstein Barycenter and its Application to Texture Mixing" (2011).
"""

import chex
import numpy as np

PATCH = 7  # pixels, each way
PATCHES_PER_IMAGE = 128
SMALLEST_LEVEL = 16  # pixels
REPEATS, DIRECTIONS = 4, 128
SCALE = 1e3  # as the paper prints it

_BINOMIAL = np.array([1, 4, 6, 4, 1]) / 16
_DIRECTIONS_AT_ONCE = 16


def levels(height: int, width: int) -> list[int]:
    """The shorter side in pixels of each level, from the images' own down to 16.

    Raises:
      ValueError: images that are too small, or that can't be halved so often.
    """
    side = min(height, width)
    if side < SMALLEST_LEVEL:
        raise ValueError(
            f"images are {height}x{width}; the sliced Wasserstein distance needs at "
            f"least {SMALLEST_LEVEL} pixels each way"
        )
    sides = [side]
    while sides[-1] // 2 >= SMALLEST_LEVEL:
        sides.append(sides[-1] // 2)
    factor = 2 ** (len(sides) - 1)
    if height % factor or width % factor:
        raise ValueError(
            f"images are {height}x{width}; the sliced Wasserstein distance halves "
            f"them {len(sides) - 1} times, so both must be multiples of {factor}"
        )
    return sides


def laplacian_pyramid(images: np.ndarray, count: int) -> list[np.ndarray]:
    """Frequency bands of images [N,H,W,C], and what is left of them.

    Args:
      images: any range; sides that can be halved `count` - 1 times.
      count: levels.

    Returns:
      `count` arrays float64, each of half the size of the one before; the last one is
      not a band but the blurred images themselves.
    """
    out = [np.asarray(images, np.float64)]
    for _ in range(count - 1):
        smaller = _blur(out[-1])[:, ::2, ::2]
        larger = np.zeros_like(out[-1])
        larger[:, ::2, ::2] = smaller
        out[-1] = out[-1] - 4 * _blur(larger)
        out.append(smaller)
    return out


def patches(level: np.ndarray, rng: np.random.RandomState) -> np.ndarray:
    """Random 7x7 patches of a level [N,H,W,3], as [N * 128, 3, column, row].

    All columns are drawn first, then all rows.
    """
    chex.assert_shape(level, (None, None, None, 3))
    count, height, width, _ = level.shape
    reach, total = PATCH // 2, count * PATCHES_PER_IMAGE
    columns = rng.randint(reach, width - reach, size=total)
    rows = rng.randint(reach, height - reach, size=total)
    windows = np.lib.stride_tricks.sliding_window_view(level, (PATCH, PATCH), (1, 2))
    owners = np.arange(total) // PATCHES_PER_IMAGE
    return windows[owners, rows - reach, columns - reach].swapaxes(2, 3)


class Descriptors:
    """Patches of all levels of images that arrive in parts.

    Held in float32: 147 numbers a patch, 128 patches an image and level.
    """

    def __init__(self, rng: np.random.RandomState):
        """Begins with none; `rng` says where the patches are."""
        self._rng = rng
        self._parts: dict[int, list[np.ndarray]] = {}

    def add(self, images: np.ndarray) -> None:
        """Takes RGB images [B,H,W,3], 0 to 255, all of one size."""
        sides = levels(*images.shape[1:3])
        pyramid = laplacian_pyramid(images, len(sides))
        for side, level in zip(sides, pyramid, strict=True):
            part = patches(level, self._rng).astype(np.float32)
            self._parts.setdefault(side, []).append(part)

    def normalized(self) -> dict[int, np.ndarray]:
        """Of each level [D, 147] float32, each color about 0 with standard deviation 1.

        Leaves nothing behind, to save memory.
        """
        out = {}
        for side in list(self._parts):
            rows = np.concatenate(self._parts.pop(side))
            axes = (0, 2, 3)
            mean = rows.mean(axes, keepdims=True, dtype=np.float64)
            rows -= mean.astype(np.float32)
            rest = rows.mean(axes, keepdims=True, dtype=np.float64)
            square = np.einsum("ncyx,ncyx->c", rows, rows, dtype=np.float64)
            variance = square / (rows.size / 3) - rest.ravel() ** 2
            if np.any(variance <= 0):
                raise ValueError(
                    f"the images have no detail at all at {side} pixels, so their "
                    "patches cannot be compared"
                )
            rows /= np.sqrt(variance)[:, None, None].astype(np.float32)
            out[side] = rows.reshape(len(rows), -1)
        return out


def sliced_wasserstein(
    a: np.ndarray, b: np.ndarray, rng: np.random.RandomState
) -> np.ndarray:
    """Wasserstein-1 distance of two sets along random directions.

    Args:
      a: [D, F] float.
      b: [D, F] float.
      rng: where the directions come from.

    Returns:
      [REPEATS * DIRECTIONS] float64, whose mean is the distance.

    Raises:
      ValueError: the sets are not of one size.
    """
    if a.shape != b.shape:
        raise ValueError(
            f"the sets are {list(a.shape)} and {list(b.shape)}; the sliced Wasserstein "
            "distance takes as many images of one as of the other"
        )
    out = []
    for _ in range(REPEATS):
        directions = rng.randn(a.shape[1], DIRECTIONS)
        directions /= np.sqrt(np.sum(np.square(directions), axis=0, keepdims=True))
        out.append(along(a, b, directions.astype(np.float32)))
    return np.concatenate(out)


def along(a: np.ndarray, b: np.ndarray, directions: np.ndarray) -> np.ndarray:
    """Mean difference of the sorted projections onto directions [F, K], as [K]."""
    out = np.empty(directions.shape[1])
    for start in range(0, len(out), _DIRECTIONS_AT_ONCE):
        some = slice(start, start + _DIRECTIONS_AT_ONCE)
        # Transposed: sorted along the memory.
        sorted_a, sorted_b = (
            np.sort(directions[:, some].T @ rows.T, axis=1) for rows in (a, b)
        )
        out[some] = np.abs(sorted_a - sorted_b).mean(axis=1, dtype=np.float64)
    return out


def distances(
    real: dict[int, np.ndarray],
    generated: dict[int, np.ndarray],
    rng: np.random.RandomState,
) -> dict[int, np.ndarray]:
    """`sliced_wasserstein` of every level, in the paper's units of 1e-3."""
    if real.keys() != generated.keys():
        raise ValueError(
            f"the images of the two sets have the levels {list(real)} and "
            f"{list(generated)}; the sliced Wasserstein distance needs one size"
        )
    return {
        side: SCALE * sliced_wasserstein(real[side], generated[side], rng)
        for side in real
    }


def _blur(images: np.ndarray) -> np.ndarray:
    """Binomial filter of five taps each way; mirrors at the border, edge not twice."""
    for axis in (1, 2):
        widths = [(0, 0)] * 4
        widths[axis] = (2, 2)
        padded = np.pad(images, widths, mode="reflect")
        size = images.shape[axis]
        parts = (
            tap * np.take(padded, range(i, i + size), axis)
            for i, tap in enumerate(_BINOMIAL)
        )
        images = sum(parts)
    return images
