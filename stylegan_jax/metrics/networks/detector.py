"""The interface of a feature network, and the code that runs it.

Each process runs its detector on its own devices and its own images. No collective is
involved, so the processes may have different numbers of images.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol, runtime_checkable

import chex
import jax
import numpy as np

from stylegan_jax.runtime import parallel


class Features(NamedTuple):
    """The features of N images.

    Attributes:
      pool: [N,D] float32, the features that distances are computed from.
      logits: [N,C] float32 without the bias of their layer, which is how the official
        code defines the Inception Score; None for a network that is not a classifier.
    """

    pool: np.ndarray
    logits: np.ndarray | None


@runtime_checkable
class Detector(Protocol):
    """A map from images to features.

    Attributes:
      name: Name of the detector in results, e.g. "inception".
      digest: SHA-256 of the weight file, 64 hexadecimal digits.
      resize: Method of resizing to the network's input size, one of `resize.MODES`.
      dimensions: D of `Features.pool`.
    """

    name: str
    digest: str
    resize: str
    dimensions: int

    def __call__(self, images: np.ndarray) -> Features:
        """Return the features of images [N,H,W,C] uint8, C 1 or 3, any N, in order."""


class NetworkDetector:
    """A detector that runs a network, compiled once for each size of images."""

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
        """Put the weights on the devices of this process.

        Args:
          name: See `Detector`.
          digest: See `Detector`.
          resize: See `Detector`.
          dimensions: See `Detector`.
          forward: Traced function (variables, images [batch_size,H,W,3] uint8) ->
            (pool, logits or None).
          variables: Weights of the network.
          batch_size: Images in a batch, over all devices of this process.

        Raises:
          ValueError: The batch does not divide evenly over these devices.
        """
        self.name, self.digest = name, digest
        self.resize, self.dimensions = resize, dimensions
        self._run = BatchRunner(forward, variables, batch_size)

    def __call__(self, images: np.ndarray) -> Features:
        """Return the features of images; see `Detector`.

        Raises:
          ValueError: The images have another shape or type.
        """
        pool, logits = self._run(rgb(images))
        chex.assert_shape(pool, (len(images), self.dimensions))
        chex.assert_type(pool, np.float32)
        return Features(pool, logits)


class BatchRunner:
    """Runner of a function of weights and images over all devices of this process.

    The function is compiled once for each size of images: any number of images is split
    into batches of one size, the last of which is padded.
    """

    def __init__(
        self, forward: Callable[..., Any], variables: Any, batch_size: int
    ) -> None:
        """Put the weights on the devices.

        Args:
          forward: Function (variables, *arrays [batch_size, ...]) -> tree of arrays
            [batch_size, ...].
          variables: Any tree of arrays.
          batch_size: Rows in a batch, over all devices of this process.

        Raises:
          ValueError: The batch does not divide evenly over the devices.
        """
        self._devices = parallel.local()
        self._devices.check_batch("batch_size", batch_size)
        self._batch_size = batch_size
        self._variables = self._devices.replicate(variables)
        self._forward = self._devices.jit_batched(forward)

    def __call__(self, *arrays: np.ndarray) -> Any:
        """Return the results for any number of rows.

        Args:
          arrays: [N, ...] each, with the same N, at least 1.

        Returns:
          The tree that the function returns, as NumPy arrays [N, ...].

        Raises:
          ValueError: There are no rows.
        """
        count = len(arrays[0])
        if count == 0:
            raise ValueError("got no images; a network needs at least 1")
        results, running = [], None
        for start in range(0, count, self._batch_size):
            rows = [x[start : start + self._batch_size] for x in arrays]
            batch = self._devices.put_batch([self._padded(x) for x in rows])
            started = self._forward(self._variables, *batch)
            # Fetch a batch while the devices compute the next.
            if running is not None:
                results.append(jax.tree.map(np.asarray, running))
            running = started
        results.append(jax.tree.map(np.asarray, running))
        return jax.tree.map(lambda *parts: np.concatenate(parts)[:count], *results)

    def _padded(self, rows: np.ndarray) -> np.ndarray:
        """Return rows [n, ...] followed by zeros: [batch_size, ...]."""
        missing = self._batch_size - len(rows)
        return np.pad(rows, [(0, missing)] + [(0, 0)] * (rows.ndim - 1))


def rgb(images: np.ndarray) -> np.ndarray:
    """Return images [N,H,W,C] uint8 as [N,H,W,3]; gray ones get equal channels.

    Raises:
      ValueError: The images have another shape or type.
    """
    images = np.asarray(images)
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] not in (1, 3):
        raise ValueError(
            f"got images of shape {images.shape} and dtype {images.dtype}; a feature "
            "network takes [N,H,W,C] uint8 with C 1 (gray) or 3 (RGB), 0 to 255"
        )
    return np.broadcast_to(images, (*images.shape[:3], 3))
