"""Frechet inception distance, from features to the number.

Reference: Heusel et al., "GANs Trained by a Two Time-Scale Update Rule Converge to a
    Local Nash Equilibrium" (2017), section 4 and equation 6 of the appendix.
"""

import dataclasses

import chex
import numpy as np
import scipy.linalg

# What a covariance of N rows is divided by. "N-1": TTUR, pytorch-fid, torch-fidelity,
# StyleGAN and StyleGAN2 in TensorFlow; "N": StyleGAN2-ADA and StyleGAN3 in PyTorch.
DIVISORS = {"N-1": 1, "N": 0}


@dataclasses.dataclass(frozen=True)
class Gaussian:
    """A Gaussian whose covariance is factor^T factor.

    Attributes:
      mean: [F] float64.
      factor: [K, F] float64 with K up to F; fewer rows where the covariance has a
        lower rank.
    """

    mean: np.ndarray
    factor: np.ndarray

    @classmethod
    def of_moments(cls, mean: np.ndarray, covariance: np.ndarray) -> "Gaussian":
        """From a mean [F] and a covariance [F, F], symmetric, positive semidefinite.

        The factor is that of Cholesky with pivots, which stops at the rank: what
        rounding left of directions without variance does not get in.

        Raises:
          ValueError: they are not finite, or of other shapes.
        """
        mean = np.asarray(mean, np.float64)
        covariance = np.asarray(covariance, np.float64)
        chex.assert_rank(mean, 1)
        chex.assert_shape(covariance, (len(mean), len(mean)))
        for name, value in {"mean": mean, "covariance": covariance}.items():
            if not np.all(np.isfinite(value)):
                raise ValueError(f"the {name} is not finite; features have inf or nan")
        upper, pivots, rank, _ = scipy.linalg.lapack.dpstrf(covariance)
        factor = np.zeros((rank, len(mean)))
        factor[:, pivots - 1] = np.triu(upper)[:rank]
        return cls(mean, factor)


class Moments:
    """Mean and covariance of features that arrive in parts, in float64.

    Holds the rows while there are no more than features in each, then the sums of
    their products; so memory is that of F x F numbers, however many rows come. The
    sums are taken about the mean, which keeps their digits where it is far from zero.
    """

    def __init__(self, features: int):
        """Begins with none of so many numbers a row."""
        self._features = features
        self._rows: list[np.ndarray] = []
        self._waiting = 0
        self._count = 0  # rows that are in the sums
        self._mean = np.zeros(features)
        # Sum of outer products [F, F]; only the upper triangle is kept up.
        self._scatter: np.ndarray | None = None

    @property
    def count(self) -> int:
        """Rows so far."""
        return self._count + self._waiting

    def add(self, features: np.ndarray) -> None:
        """Takes rows [B, F] of floats.

        Raises:
          ValueError: one of them is not finite.
        """
        features = np.asarray(features)
        chex.assert_shape(features, (None, self._features))
        if not np.all(np.isfinite(features)):
            raise ValueError(
                f"features of images {self.count} to {self.count + len(features) - 1} "
                "are not finite; look at these images, and at the detector's weights"
            )
        self._rows.append(np.array(features))
        self._waiting += len(features)
        if self._waiting > self._features:
            self._fold()

    def gaussian(self, divisor: str = "N-1") -> Gaussian:
        """What was fitted to the rows so far.

        Args:
          divisor: of the covariance, one of `DIVISORS`.

        Raises:
          ValueError: there are fewer than two rows.
        """
        if self.count < 2:
            raise ValueError(
                f"got features of {self.count} images; a covariance needs at least 2"
            )
        n = self.count - DIVISORS[divisor]
        if self._scatter is None:
            rows = np.concatenate(self._rows).astype(np.float64)
            mean = rows.mean(axis=0)
            return Gaussian(mean, (rows - mean) / np.sqrt(n))
        if self._waiting:
            self._fold()
        upper = np.triu(self._scatter) / n
        return Gaussian.of_moments(self._mean, upper + np.triu(upper, 1).T)

    def covariance(self, divisor: str = "N-1") -> np.ndarray:
        """The covariance [F, F] of the rows so far."""
        factor = self.gaussian(divisor).factor
        return factor.T @ factor

    def _fold(self) -> None:
        """Puts the waiting rows into the sums (Chan, Golub and LeVeque 1979)."""
        count, total = self._waiting, self._count + self._waiting
        # One row more, for the distance of the two means.
        rows = np.empty((count + 1, self._features))
        np.concatenate(self._rows, out=rows[:count])
        self._rows, self._waiting = [], 0
        mean = rows[:count].mean(axis=0)
        rows[:count] -= mean
        shift = mean - self._mean
        rows[count] = np.sqrt(self._count * count / total) * shift
        if self._scatter is None:
            self._scatter = np.zeros((self._features,) * 2, order="F")
        # In place, and one triangle: half the work.
        self._scatter = scipy.linalg.blas.dsyrk(
            1.0, rows.T, beta=1.0, c=self._scatter, overwrite_c=1
        )
        self._mean += shift * (count / total)
        self._count = total


def fit(features: np.ndarray, divisor: str = "N-1") -> Gaussian:
    """The Gaussian of features [N, F]; see `Moments`."""
    features = np.asarray(features)
    chex.assert_rank(features, 2)
    moments = Moments(features.shape[1])
    moments.add(features)
    return moments.gaussian(divisor)


@dataclasses.dataclass(frozen=True)
class FrechetDistance:
    """The distance of two Gaussians, in its parts.

    Attributes:
      means: |mean_a - mean_b|^2.
      traces: of the two covariances.
      root: trace of (cov_a cov_b)^(1/2).
    """

    means: float
    traces: tuple[float, float]
    root: float

    @property
    def value(self) -> float:
        """The distance; rounding may leave that of equals slightly off zero."""
        return self.means + sum(self.traces) - 2 * self.root

    def divided_by_n(self, count_a: int, count_b: int) -> float:
        """The distance if the covariances were divided by N instead of by N - 1."""
        a, b = (1 - 1 / count for count in (count_a, count_b))
        traces = a * self.traces[0] + b * self.traces[1]
        return self.means + traces - 2 * self.root * float(np.sqrt(a * b))


def frechet_distance(a: Gaussian, b: Gaussian) -> FrechetDistance:
    """Frechet (Wasserstein-2) distance, squared, between two Gaussians.

        |mean_a - mean_b|^2 + trace(cov_a + cov_b - 2 (cov_a cov_b)^(1/2))

    The product of the two covariances is not symmetric, and with fewer images than
    features it is singular, where a general matrix square root loses its digits or
    turns complex. But with cov_a = A^T A and cov_b = B^T B the trace of the root is the
    sum of the singular values of A B^T (its nuclear norm), which are real, not
    negative, and exact to rounding in the singular case too. No offset and no second
    path.

    Args:
      a: one Gaussian.
      b: another, of as many features.
    """
    chex.assert_equal_shape([a.mean, b.mean])
    singular_values = scipy.linalg.svdvals(a.factor @ b.factor.T)
    return FrechetDistance(
        means=float(np.sum(np.square(a.mean - b.mean))),
        traces=tuple(float(np.sum(np.square(x.factor))) for x in (a, b)),
        root=float(np.sum(singular_values)),
    )
