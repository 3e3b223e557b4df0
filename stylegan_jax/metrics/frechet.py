"""Frechet distance of features, overall or per class; with Inception's features, FID.

Reference: Heusel et al., "GANs Trained by a Two Time-Scale Update Rule Converge to a
    Local Nash Equilibrium" (2017), section 4 and equation 6 of the appendix.
"""

import dataclasses
import functools

import chex
import numpy as np
import scipy.linalg

from stylegan_jax.metrics.results import MetricValue
from stylegan_jax.metrics.statistics import (
    CLASSES,
    POOL,
    Statistic,
    Statistics,
    efficientnet_features,
    pool_features,
)

# Divisor of the covariance of N rows -> number subtracted from N. "N-1": TTUR,
# pytorch-fid, torch-fidelity, StyleGAN and StyleGAN2 in TensorFlow; "N": StyleGAN2-ADA
# and StyleGAN3 in PyTorch.
DIVISORS = {"N-1": 1, "N": 0}
MAX_LISTED_CLASSES = 10  # maximum in an error message


@dataclasses.dataclass(frozen=True)
class Gaussian:
    """A Gaussian with covariance factor^T factor.

    Attributes:
      mean: [F] float64.
      factor: [K, F] float64; K is at most F, and less for a covariance of lower rank.
    """

    mean: np.ndarray
    factor: np.ndarray

    @classmethod
    def from_moments(cls, mean: np.ndarray, covariance: np.ndarray) -> "Gaussian":
        """Factor a covariance by a pivoted Cholesky decomposition.

        It stops at the rank, so that rounding noise in directions without variance
        stays out of the factor.

        Args:
          mean: [F] float.
          covariance: [F, F] float, symmetric and positive semidefinite.

        Raises:
          ValueError: the moments are not finite.
        """
        mean = np.asarray(mean, np.float64)
        covariance = np.asarray(covariance, np.float64)
        chex.assert_rank(mean, 1)
        chex.assert_shape(covariance, (len(mean), len(mean)))
        for name, value in {"mean": mean, "covariance": covariance}.items():
            if not np.all(np.isfinite(value)):
                raise ValueError(
                    f"the {name} is not finite; some features are inf or nan"
                )
        upper, pivots, rank, _ = scipy.linalg.lapack.dpstrf(covariance)
        factor = np.zeros((rank, len(mean)))
        factor[:, pivots - 1] = np.triu(upper)[:rank]
        return cls(mean, factor)


class Moments:
    """Mean and covariance of features that arrive in batches, in float64.

    Keeps up to F rows of F features, and beyond that the sum of their outer products,
    so memory is bounded by F x F numbers. The sums are about the mean, which preserves
    precision if it is far from zero. An `Accumulator`.
    """

    def __init__(self):
        """Start without rows."""
        self._width = 0  # F, known once there are rows
        self._rows: list[np.ndarray] = []
        self._waiting = 0  # number of rows in `_rows`
        self._count = 0  # number of rows in the sums
        self._mean = np.zeros(())
        # Sum of outer products [F, F], of which only the upper triangle is valid.
        self._scatter: np.ndarray | None = None

    @property
    def count(self) -> int:
        """The number of rows so far."""
        return self._count + self._waiting

    def add(self, features: np.ndarray) -> None:
        """Add rows [B, F] of floats.

        Raises:
          ValueError: some of them are not finite.
        """
        features = np.asarray(features)
        chex.assert_rank(features, 2)
        self._width = self._width or features.shape[1]
        chex.assert_shape(features, (None, self._width))
        if not np.all(np.isfinite(features)):
            raise ValueError(
                f"the features of images {self.count} to "
                f"{self.count + len(features) - 1} are not finite; check these images "
                "and the detector's weights"
            )
        self._rows.append(np.array(features))
        self._waiting += len(features)
        if self._waiting > self._width:
            self._fold()

    def gaussian(self, divisor: str = "N-1") -> Gaussian:
        """Fit a Gaussian to the rows so far.

        Args:
          divisor: divisor of the covariance, one of `DIVISORS`.

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
        return Gaussian.from_moments(self._mean, upper + np.triu(upper, 1).T)

    result = gaussian

    def covariance(self, divisor: str = "N-1") -> np.ndarray:
        """Return the covariance [F, F] of the rows so far."""
        factor = self.gaussian(divisor).factor
        return factor.T @ factor

    def _fold(self) -> None:
        """Add the waiting rows to the sums (Chan, Golub and LeVeque 1979)."""
        count, total = self._waiting, self._count + self._waiting
        # An additional row accounts for the distance between the two means.
        rows = np.empty((count + 1, self._width))
        np.concatenate(self._rows, out=rows[:count])
        self._rows, self._waiting = [], 0
        mean = rows[:count].mean(axis=0)
        rows[:count] -= mean
        shift = mean - self._mean
        rows[count] = np.sqrt(self._count * count / total) * shift
        if self._scatter is None:
            self._scatter = np.zeros((self._width,) * 2, order="F")
        # Update a single triangle, in place, which halves the work.
        self._scatter = scipy.linalg.blas.dsyrk(
            1.0, rows.T, beta=1.0, c=self._scatter, overwrite_c=1
        )
        self._mean = self._mean + shift * (count / total)
        self._count = total


def fit_gaussian(features: np.ndarray, divisor: str = "N-1") -> Gaussian:
    """Fit a Gaussian to features [N, F]; see `Moments`."""
    moments = Moments()
    moments.add(features)
    return moments.gaussian(divisor)


@dataclasses.dataclass(frozen=True)
class FrechetDistance:
    """The terms of the distance between two Gaussians.

    Attributes:
      means: |mean_a - mean_b|^2.
      traces: traces of the two covariances.
      root: trace of (cov_a cov_b)^(1/2).
    """

    means: float
    traces: tuple[float, float]
    root: float

    @property
    def value(self) -> float:
        """The distance; zero up to rounding, possibly negative, for equal Gaussians."""
        return self.means + sum(self.traces) - 2 * self.root

    def with_divisor_n(self, count_a: int, count_b: int) -> float:
        """Return the distance of covariances divided by N instead of by N - 1."""
        a, b = (1 - 1 / count for count in (count_a, count_b))
        traces = a * self.traces[0] + b * self.traces[1]
        return self.means + traces - 2 * self.root * float(np.sqrt(a * b))


def frechet_distance(a: Gaussian, b: Gaussian) -> FrechetDistance:
    """Compute the squared Frechet (Wasserstein-2) distance between two Gaussians.

        |mean_a - mean_b|^2 + trace(cov_a + cov_b - 2 (cov_a cov_b)^(1/2))

    The product of the two covariances is not symmetric. With fewer images than features
    it is singular, and a general matrix square root loses digits or becomes complex.
    But with cov_a = A^T A and cov_b = B^T B the trace of the root is the sum of the
    singular values of A B^T (its nuclear norm), which are real, nonnegative and, even
    in the singular case, exact up to rounding.

    Args:
      a: a Gaussian of F features.
      b: another one.
    """
    chex.assert_equal_shape([a.mean, b.mean])
    singular_values = scipy.linalg.svdvals(a.factor @ b.factor.T)
    return FrechetDistance(
        means=float(np.sum(np.square(a.mean - b.mean))),
        traces=tuple(float(np.sum(np.square(x.factor))) for x in (a, b)),
        root=float(np.sum(singular_values)),
    )


_moments = functools.partial(
    Statistic,
    accumulator=lambda seed: Moments(),
    any_order=True,
    value_type=Gaussian,
)
MOMENTS = _moments("moments", pool_features, network="detector")
EFFICIENTNET_MOMENTS = _moments(
    "efficientnet_moments", efficientnet_features, network="efficientnet"
)


def measure_distance(
    moments: Statistic, reals: Statistics, generated: Statistics
) -> list[MetricValue]:
    """Return the distance of the generated images to the reals.

    Args:
      moments: the Gaussians, `MOMENTS` for FID.
      reals: statistics of the real images.
      generated: statistics of the generated images.
    """
    distance = frechet_distance(reals[moments], generated[moments])
    by_n = distance.with_divisor_n(reals.count, generated.count)
    details = {"divisor": "N-1", "value_with_divisor_N": by_n}
    return [MetricValue(distance.value, details=details)]


def measure_fid_per_class(
    reals: Statistics, generated: Statistics
) -> list[MetricValue]:
    """Return the distance, averaged over classes.

    Raises:
      ValueError: a class has fewer than two images in either set.
    """
    values, small = {}, []
    present = np.union1d(reals[CLASSES], generated[CLASSES]).astype(int).tolist()
    for label in sorted({*present, *reals.class_names}):
        sets = [x[POOL][x[CLASSES] == label] for x in (reals, generated)]
        if min(map(len, sets)) > 1:
            values[label] = frechet_distance(*map(fit_gaussian, sets)).value
        else:
            name = reals.class_names.get(label, label)
            small.append("{} ({} real, {} generated)".format(name, *map(len, sets)))
    if small:
        listed = ", ".join(small[:MAX_LISTED_CLASSES])
        listed += ", ..." * (len(small) > MAX_LISTED_CLASSES)
        raise ValueError(
            f"{len(small)} of {len(small) + len(values)} classes have fewer than two "
            "real or two generated images, and a mean without them would not be "
            f"comparable: {listed}; use more images"
        )
    mean = float(np.mean(list(values.values())))
    return [MetricValue(mean, details={"classes": values})]
