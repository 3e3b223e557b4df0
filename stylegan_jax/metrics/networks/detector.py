"""What metrics ask of a feature network, and the one way that all of them are run.

Every process runs its detector on its own devices and its own images; no collective is
involved, so processes need not have equally many images.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax
import numpy as np

from stylegan_jax.runtime import parallel


class Features(NamedTuple):
    """What a detector sees in N images.

    Attributes:
      pool: [N,D] float32, the features that distances are taken of.
      logits: [N,C] float32 without the bias of their layer, as the Inception Score is
        defined by the official code; None of a network that is no classifier.
    """

    pool: np.ndarray
    logits: np.ndarray | None


@runtime_checkable
class Detector(Protocol):
    """Images to features.

    Attributes:
      name: e.g. "inception", as `detectors.load` takes it.
      digest: SHA-256 of the file of weights, 64 hexadecimal digits.
      resize: how images are brought to the network's size, see `resize.MODES`.
      dimensions: D of `Features.pool`.
    """

    name: str
    digest: str
    resize: str
    dimensions: int

    def __call__(self, images: np.ndarray) -> Features:
        """The features of images [N,H,W,C] uint8, C 1 or 3, any N; in their order."""


class NetworkDetector:
    """A detector that is a network; compiled once for every size of images."""

    def __init__(
        self,
        name: str,
        digest: str,
        resize: str,
        dimensions: int,
        forward: Callable[[Any, Any], tuple[Any, Any]],
        variables: Any,
        batch_size: int,
    ) -> None:
        """Puts the weights onto the devices of this process.

        Args:
          name: see `Detector`.
          digest: see `Detector`.
          resize: see `Detector`.
          dimensions: see `Detector`.
          forward: (variables, images [batch_size,H,W,3] uint8) -> (pool, logits or
            None); traced.
          variables: its weights.
          batch_size: images at a time, over all devices of this process.

        Raises:
          ValueError: the batch does not divide by these devices.
        """
        self.name, self.digest = name, digest
        self.resize, self.dimensions = resize, dimensions
        self._run = Batches(forward, variables, batch_size)

    def __call__(self, images: np.ndarray) -> Features:
        """See `Detector`.

        Raises:
          ValueError: the images are of another kind.
        """
        pool, logits = self._run(rgb(images))
        return Features(pool, logits)


class Batches:
    """Runs a function of weights and images over all devices of this process.

    Images come in any number, and are computed on in batches of one size, the last of
    them filled up: the function is compiled once for every size of images.
    """

    def __init__(
        self, forward: Callable[..., Any], variables: Any, batch_size: int
    ) -> None:
        """Puts the weights onto the devices.

        Args:
          forward: (variables, *arrays [batch_size, ...]) -> tree of [batch_size, ...].
          variables: any tree of arrays.
          batch_size: rows at a time, over all devices of this process.

        Raises:
          ValueError: it does not divide by the devices.
        """
        self._here = parallel.local()
        self._here.check_batch("batch_size", batch_size)
        self._batch_size = batch_size
        self._variables = self._here.replicate(variables)
        self._forward = self._here.jit_batched(forward)

    def __call__(self, *arrays: np.ndarray) -> Any:
        """Results of any number of rows.

        Args:
          arrays: [N, ...] each, with the same N, at least 1.

        Returns:
          The tree that the function returns, of numpy arrays [N, ...].

        Raises:
          ValueError: there are no rows.
        """
        count = len(arrays[0])
        if count == 0:
            raise ValueError("got no images; a network needs at least 1")
        done, under_way = [], None
        for start in range(0, count, self._batch_size):
            rows = [x[start : start + self._batch_size] for x in arrays]
            batch = self._here.put_batch([self._filled(x) for x in rows])
            started = self._forward(self._variables, *batch)
            # Fetched while the devices compute the next.
            if under_way is not None:
                done.append(jax.tree.map(np.asarray, under_way))
            under_way = started
        done.append(jax.tree.map(np.asarray, under_way))
        return jax.tree.map(lambda *parts: np.concatenate(parts)[:count], *done)

    def _filled(self, rows: np.ndarray) -> np.ndarray:
        """Rows [n, ...] with zeros behind them: [batch_size, ...]."""
        missing = self._batch_size - len(rows)
        return np.pad(rows, [(0, missing)] + [(0, 0)] * (rows.ndim - 1))


def rgb(images: np.ndarray) -> np.ndarray:
    """Images [N,H,W,C] uint8 -> [N,H,W,3]; gray ones with equal channels.

    Raises:
      ValueError: they are of another kind.
    """
    images = np.asarray(images)
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] not in (1, 3):
        raise ValueError(
            f"got images of shape {images.shape} and type {images.dtype}; a feature "
            "network takes [N,H,W,C] uint8 with C 1 (gray) or 3 (RGB), 0 to 255"
        )
    return np.broadcast_to(images, (*images.shape[:3], 3))
