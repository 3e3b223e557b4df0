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
BLOCK_ROWS = 1024  # times the rows of a set is the size of what is held at once
SPARE = 8  # candidates beyond k for the exact search of the k-th neighbour
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
    center = np.mean(real, axis=0, dtype=np.float64)
    sets = [_Set.of(np.asarray(rows), center) for rows in (real, generated)]
    radii = [_squared_radii(rows, k) for rows in sets]
    return PrecisionRecall(
        precise=_covered(sets[1], sets[0], radii[0]),
        recalled=_covered(sets[0], sets[1], radii[1]),
    )


@dataclasses.dataclass(frozen=True)
class _Set:
    """Features as given, and centered on the device."""

    rows: np.ndarray  # [N, F]
    centered: jax.Array  # [N, F] float32
    squares: np.ndarray  # [N] float32, their squared lengths

    @classmethod
    def of(cls, rows: np.ndarray, center: np.ndarray) -> "_Set":
        centered = np.empty(rows.shape, np.float32)
        squares = np.empty(len(rows), np.float32)
        for start in range(0, len(rows), BLOCK_ROWS):
            block = slice(start, start + BLOCK_ROWS)
            about = rows[block] - center
            squares[block] = np.einsum("nf,nf->n", about, about)
            centered[block] = about
        return cls(rows, jnp.asarray(centered), squares)

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
        products = _products(self.centered[block], other.centered)
        return self.squares[block, None] + other.squares - 2 * np.asarray(products)

    def tolerance(self, block: slice, other: "_Set") -> np.ndarray:
        """[B, 1]: how far off `near` may be, generously."""
        features = self.rows.shape[1]
        bound = 4 * np.finfo(np.float32).eps * (np.sqrt(features) + 4)
        return bound * (self.squares[block, None] + np.max(other.squares))


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
        rows = np.arange(block.start, block.stop)
        best = np.argpartition(near, wanted - 1, axis=1)[:, :wanted]
        exact = members.exact(np.repeat(rows, wanted), members, best.ravel())
        exact = np.sort(exact.reshape(best.shape), axis=1)
        radii[block] = exact[:, k]
        if wanted == count:
            continue
        # Whoever is not among the best is at least so far away.
        beyond = np.take_along_axis(near, best, axis=1).max(axis=1)
        beyond = beyond - members.tolerance(block, members)[:, 0]
        for row in np.flatnonzero(beyond < exact[:, k]):
            everyone = np.arange(count)
            mine = np.full(count, rows[row])
            distances = members.exact(mine, members, everyone)
            radii[rows[row]] = np.partition(distances, k)[k]
    return radii


def _covered(probes: _Set, members: _Set, squared_radii: np.ndarray) -> np.ndarray:
    """[M] bool: which probes lie in the ball of any member."""
    covered = np.zeros(len(probes.rows), bool)
    for block in _blocks(len(probes.rows)):
        margin = probes.near(block, members) - squared_radii
        tolerance = probes.tolerance(block, members)
        covered[block] = np.any(margin < -tolerance, axis=1)
        unsure = (margin <= tolerance) & ~covered[block, None]
        mine, theirs = np.nonzero(unsure)
        mine = mine + block.start
        inside = probes.exact(mine, members, theirs) <= squared_radii[theirs]
        covered[mine[inside]] = True
    return covered
