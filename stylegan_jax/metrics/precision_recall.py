"""Improved precision and recall: how much of each set lies in the other's manifold.

Reference: Kynkaanniemi et al., "Improved Precision and Recall Metric for Assessing
    Generative Models" (2019), section 3 and algorithm 1.
"""

import dataclasses

import chex
import jax
import jax.numpy as jnp
import numpy as np

NEIGHBORS = 3
BLOCK_ROWS = 1024  # of which all distances are held at once
SPARE = 1  # neighbours beyond the k-th that are looked at, to see whether it is clear
PAIRS = 4096  # whose exact distances are taken at once


@dataclasses.dataclass(frozen=True)
class PrecisionRecall:
    """What `precision_recall` found.

    Attributes:
      precise: [M] bool, generated images that lie in the manifold of the reals.
      recalled: [N] bool, reals that lie in the manifold of the generated.
    """

    precise: np.ndarray
    recalled: np.ndarray

    @property
    def precision(self) -> float:
        """Share of the generated images that look real."""
        return float(np.mean(self.precise))

    @property
    def recall(self) -> float:
        """Share of the reals that the generator could have made."""
        return float(np.mean(self.recalled))


def precision_recall(
    real: np.ndarray, generated: np.ndarray, k: int = NEIGHBORS
) -> PrecisionRecall:
    """Estimates both manifolds as balls around their members, and probes them.

    A ball reaches to the member's k-th neighbour, itself not counted; its surface
    belongs to it. Distances come from products of float32 matrices, a block of rows at
    a time; wherever their rounding could decide, they are taken again in float64 from
    the differences. So the result is that of exact distances, ties included.

    Args:
      real: features [N, F] float; N above k.
      generated: features [M, F]; M above k.
      k: number of the neighbour, 3 in the paper.

    Raises:
      ValueError: too few images.
    """
    chex.assert_rank([real, generated], 2)
    for name, rows in {"real": real, "generated": generated}.items():
        if len(rows) <= k:
            raise ValueError(
                f"{len(rows)} {name} images have no {k} neighbours each; use more"
            )
    # About the center, where less is cancelled.
    center = np.mean(real, axis=0, dtype=np.float64).astype(np.float32)
    reals, fakes = (_Set(np.asarray(rows), center) for rows in (real, generated))
    return PrecisionRecall(
        *_covered(fakes, reals, _squared_radii(fakes, k), _squared_radii(reals, k))
    )


class _Set:
    """Features [N, F] as given; centered and in float32 only block by block."""

    def __init__(self, rows: np.ndarray, center: np.ndarray):
        self.rows, self._center = rows, center
        self.squares = np.empty(len(rows), np.float32)  # lengths of the centered rows
        for block in _blocks(len(rows)):
            about = self._centered(block)
            self.squares[block] = np.einsum("nf,nf->n", about, about)

    def exact(self, mine: np.ndarray, other: "_Set", theirs: np.ndarray) -> np.ndarray:
        """Squared distances [P] float64 of the pairs of rows mine [P], theirs [P]."""
        out = np.empty(len(mine))
        for start in range(0, len(mine), PAIRS):
            part = slice(start, start + PAIRS)
            difference = self.rows[mine[part]].astype(np.float64)
            difference -= other.rows[theirs[part]]
            # In the same order for all pairs, so that ties stay ties.
            out[part] = np.sum(np.square(difference), axis=1)
        return out

    def near(self, block: slice, other: "_Set") -> np.ndarray:
        """Squared distances [B, N] float32 of a block of rows; off by `tolerance`."""
        out = np.empty((block.stop - block.start, len(other.rows)), np.float32)
        mine = jnp.asarray(self._centered(block))
        for columns in _blocks(len(other.rows)):
            out[:, columns] = _products(mine, other._centered(columns))
        out *= -2
        out += self.squares[block, None]
        out += other.squares
        return out

    def tolerance(self, block: slice, other: "_Set") -> np.ndarray:
        """[B, 1]: how far off `near` may be, generously."""
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
    """Squared distance [N] float64 of each row to its k-th neighbour."""
    count = len(members.rows)
    radii = np.empty(count)
    wanted = min(count, k + 1 + SPARE)
    for block in _blocks(count):
        near = members.near(block, members)
        tolerance = members.tolerance(block, members)
        rows = np.arange(block.start, block.stop)
        best = np.argpartition(near, wanted - 1, axis=1)[:, :wanted]
        distances = np.take_along_axis(near, best, axis=1)
        order = np.argsort(distances, axis=1)
        best, distances = (np.take_along_axis(x, order, 1) for x in (best, distances))
        radii[block] = members.exact(rows, members, best[:, k])
        # Where rounding may have put another one in the k-th place, look at more.
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
    """Which rows of a [M] bool lie in a ball of b's, and which of b [N] in one of a's.

    One look at the distances answers both.
    """
    in_b, in_a = np.zeros(len(a.rows), bool), np.zeros(len(b.rows), bool)
    for block in _blocks(len(a.rows)):
        near, tolerance = a.near(block, b), a.tolerance(block, b)
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
