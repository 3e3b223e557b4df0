"""Image labels: classes or vectors; `label_file` reads those of a dataset.json."""

import dataclasses
import hashlib
import json
import os
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from stylegan_jax.runtime.tensorflow import tensorflow

MAX_SIZE = 100_000  # number of classes, or of components of a vector


@dataclasses.dataclass(frozen=True)
class LabelCounts:
    """Statistics of the labels of a set of images.

    Attributes:
      names: names of the classes or vector components; () without labels.
      totals: number of images of each class, or sum of each component.
      images: number of images counted.
      are_vectors: True for continuous label vectors.
    """

    names: tuple[str, ...]
    totals: tuple[float, ...]
    images: int
    are_vectors: bool = False


@dataclasses.dataclass(frozen=True, eq=False)
class Labels:
    """One label for each of N images.

    Attributes:
      names: names of the classes or vector components; () without labels.
      values: int32 [N] class numbers, 0 without labels; or float32 [N, len(names)]
        label vectors, for several attributes at once or for measured quantities.
    """

    names: tuple[str, ...]
    values: np.ndarray

    @property
    def are_vectors(self) -> bool:
        """True for continuous label vectors."""
        return self.values.ndim == 2

    def counts(self) -> LabelCounts:
        """Count the images of each class, or sum each component over all images."""
        if self.are_vectors:
            totals = self.values.sum(0, dtype=np.float64)
        else:
            totals = np.bincount(self.values, minlength=len(self.names))
            totals = totals[: len(self.names)]
        return LabelCounts(
            self.names, tuple(totals.tolist()), len(self.values), self.are_vectors
        )

    def lookup(self) -> Callable[[Any], Any]:
        """Return a function for `tf.data`: int64 indices [n] -> float32 [n, L].

        L is the number of names; classes are one-hot.
        """
        tf = tensorflow()
        table = tf.constant(self.values)
        if self.are_vectors:
            return lambda indices: tf.gather(table, indices)
        return lambda indices: tf.one_hot(tf.gather(table, indices), len(self.names))

    def digest(self) -> str:
        """Return the hex digest of names and values."""
        head = json.dumps([self.names, self.values.shape])
        return hashlib.sha256(head.encode() + self.values.tobytes()).hexdigest()


def unlabeled(count: int) -> Labels:
    """Return the labels of `count` images without labels."""
    return Labels((), np.zeros(count, np.int32))


def from_class_numbers(
    names: Sequence[Any], numbers: Sequence[int] | np.ndarray
) -> Labels:
    """Return class labels from class names and each image's class number."""
    return Labels(tuple(map(str, names)), np.asarray(numbers, np.int32))


def from_vectors(table: np.ndarray) -> Labels:
    """Return label vectors, or class labels if every row of the table is one-hot.

    Args:
      table: numbers of any type, [N, L].
    """
    names = range(table.shape[1])
    one_hot = ((table == 0) | (table == 1)).all() and (table.sum(1) == 1).all()
    # A class number cannot express that there are classes beyond the highest one used.
    if one_hot and table[:, -1].any():
        return from_class_numbers(names, table.argmax(1))
    return Labels(tuple(map(str, names)), np.ascontiguousarray(table, np.float32))


def wrapping_folder(names: Sequence[str]) -> str:
    """Return the innermost folder that holds all files: "", "photos/", "a/b/"...

    Args:
      names: at least one relative path with forward slashes.
    """
    parts = os.path.commonprefix([name.split("/")[:-1] for name in names])
    return "".join(f"{part}/" for part in parts)


def from_folders(names: Sequence[str]) -> Labels | None:
    """Return subfolders as classes: the first level at which there are several.

    Folders that wrap all images, as in the archive of a folder, are not classes.

    Args:
      names: relative paths with forward slashes.

    Returns:
      None if all images are in one folder, or some are next to the others' subfolders.
    """
    begin = len(wrapping_folder(names))
    if not all("/" in name[begin:] for name in names):
        return None
    tops = [name[begin:].split("/", 1)[0] for name in names]
    classes = sorted(set(tops))
    number = {name: label for label, name in enumerate(classes)}
    return from_class_numbers(classes, [number[top] for top in tops])
