"""Improved precision and recall: the share of each set inside the other's manifold.

Reference: Kynkaanniemi et al., "Improved Precision and Recall Metric for Assessing
    Generative Models" (2019), section 3 and algorithm 1.
"""

import dataclasses

import chex
import jax
import jax.numpy as jnp
import numpy as np

from stylegan_jax.metrics.results import MetricValue
from stylegan_jax.metrics.statistics import POOL, Statistics

NEIGHBORS = 3
BLOCK_ROWS = 1024  # rows whose distances are in memory at once
SPARE = 1  # neighbors beyond the k-th, to see if rounding could swap it with the next
PAIRS = 4096  # pairs whose exact distances are computed at once


def measure_precision_recall(
    reals: Statistics, generated: Statistics
) -> list[MetricValue]:
    """Return precision and recall."""
    found = precision_recall(reals[POOL], generated[POOL])
    return [MetricValue.mean(x, k=NEIGHBORS) for x in (found.precise, found.recalled)]


@dataclasses.dataclass(frozen=True)
class PrecisionRecall:
    """Precision and recall, image by image.

    Attributes:
      precise: [M] bool, True for generated images inside the manifold of the reals.
      recalled: [N] bool, True for reals inside the manifold of the generated images.
    """

    precise: np.ndarray
    recalled: np.ndarray

    @property
    def precision(self) -> float:
        """The share of generated images that look real."""
        return float(np.mean(self.precise))

    @property
    def recall(self) -> float:
        """The share of reals that the generator could have produced."""
        return float(np.mean(self.recalled))


def precision_recall(
    real: np.ndarray, generated: np.ndarray, k: int = NEIGHBORS
) -> PrecisionRecall:
    """Estimate each manifold by balls around its members, and test the other set.

    A ball extends to the member's k-th nearest neighbor, not counting the member
    itself, and includes its surface. Distances are computed by float32 matrix products,
    block by block; wherever their rounding could affect the result, they are recomputed
    in float64 from the differences. So the result equals that of exact distances,
    including ties.

    Args:
      real: features [N, F] float; N above k.
      generated: features [M, F] float; M above k.
      k: number of the neighbor, 3 in the paper.

    Raises:
      ValueError: there are too few images.
    """
    chex.assert_rank([real, generated], 2)
    for name, rows in {"real": real, "generated": generated}.items():
        if len(rows) <= k:
            raise ValueError(
                f"{len(rows)} {name} images are too few for {k} neighbors each; use "
                f"at least {k + 1}"
            )
    # Centered features lose less precision to cancellation.
    center = np.mean(real, axis=0, dtype=np.float64).astype(np.float32)
    reals, fakes = (_Set(np.asarray(rows), center) for rows in (real, generated))
    return PrecisionRecall(
        *_covered(fakes, reals, _squared_radii(fakes, k), _squared_radii(reals, k))
    )


class _Set:
    """Features [N, F] as given, centered and converted to float32 block by block."""

    def __init__(self, rows: np.ndarray, center: np.ndarray):
        self.rows, self._center = rows, center
        self.squares = np.empty(len(rows), np.float32)  # squared norms when centered
        for block in _blocks(len(rows)):
            centered = self._centered(block)
            self.squares[block] = np.einsum("nf,nf->n", centered, centered)

    def exact(self, mine: np.ndarray, other: "_Set", theirs: np.ndarray) -> np.ndarray:
        """Return squared distances [P] float64 of rows mine [P] and theirs [P]."""
        out = np.empty(len(mine))
        for start in range(0, len(mine), PAIRS):
            part = slice(start, start + PAIRS)
            difference = self.rows[mine[part]].astype(np.float64)
            difference -= other.rows[theirs[part]]
            # Summed in the same order for all pairs, so that ties remain ties.
            out[part] = np.sum(np.square(difference), axis=1)
        return out

    def approximate(self, block: slice, other: "_Set") -> np.ndarray:
        """Return squared distances [B, N] float32 of a block, within `tolerance`."""
        out = np.empty((block.stop - block.start, len(other.rows)), np.float32)
        mine = jnp.asarray(self._centered(block))
        for columns in _blocks(len(other.rows)):
            out[:, columns] = _products(mine, other._centered(columns))
        out *= -2
        out += self.squares[block, None]
        out += other.squares
        return out

    def tolerance(self, block: slice, other: "_Set") -> np.ndarray:
        """Return a generous bound [B, 1] on the error of `approximate`."""
        features = self.rows.shape[1]
        bound = 4 * np.finfo(np.float32).eps * (np.sqrt(features) + 4)
        return bound * (self.squares[block, None] + np.max(other.squares))

    def _centered(self, block: slice) -> np.ndarray:
        return (self.rows[block] - self._center).astype(np.float32)


@jax.jit
def _products(a: jax.Array, b: jax.Array) -> jax.Array:
    return jnp.matmul(a, b.T, precision=jax.lax.Precision.HIGHEST)


def _blocks(count: int) -> list[slice]:
    return [slice(i, min(i + BLOCK_ROWS, count)) for i in range(0, count, BLOCK_ROWS)]


def _squared_radii(members: _Set, k: int) -> np.ndarray:
    """Return the squared distance [N] float64 of each row to its k-th neighbor."""
    count = len(members.rows)
    radii = np.empty(count)
    wanted = min(count, k + 1 + SPARE)
    for block in _blocks(count):
        near = members.approximate(block, members)
        tolerance = members.tolerance(block, members)
        rows = np.arange(block.start, block.stop)
        best = np.argpartition(near, wanted - 1, axis=1)[:, :wanted]
        distances = np.take_along_axis(near, best, axis=1)
        order = np.argsort(distances, axis=1)
        best, distances = (np.take_along_axis(x, order, 1) for x in (best, distances))
        radii[block] = members.exact(rows, members, best[:, k])
        # If rounding may have swapped the k-th neighbor, compare exact distances.
        gaps = np.diff(distances, axis=1, append=np.inf)
        clear = np.minimum(gaps[:, k - 1], gaps[:, k]) > 2 * tolerance[:, 0]
        for row in np.flatnonzero(~clear):
            reach = distances[row, k] + 2 * tolerance[row, 0]
            others = np.flatnonzero(near[row] <= reach)
            exact = members.exact(np.full(len(others), rows[row]), members, others)
            radii[rows[row]] = np.partition(exact, k)[k]
    return radii


def _covered(
    a: _Set, b: _Set, squared_radii_a: np.ndarray, squared_radii_b: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return masks: rows of a [M] inside a ball of b, and of b [N] inside one of a.

    Both follow from a single pass over the distances.
    """
    in_b, in_a = np.zeros(len(a.rows), bool), np.zeros(len(b.rows), bool)
    for block in _blocks(len(a.rows)):
        near, tolerance = a.approximate(block, b), a.tolerance(block, b)
        for found, axis, radii in (
            (in_b[block], 1, squared_radii_b[None, :]),
            (in_a, 0, squared_radii_a[block, None]),
        ):
            margin = near - radii.astype(np.float32)
            found |= np.any(margin < -tolerance, axis=axis)
            unsure = (margin <= tolerance) & ~np.expand_dims(found, axis)
            rows, columns = np.nonzero(unsure)
            exact = a.exact(rows + block.start, b, columns)
            inside = exact <= np.broadcast_to(radii, near.shape)[rows, columns]
            found[(rows, columns)[1 - axis][inside]] = True
    return in_b, in_a
