"""Image labels, classes or vectors, from folder names or NVIDIA's dataset.json."""

import dataclasses
import hashlib
import json
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from stylegan_jax.runtime.tensorflow import tensorflow

MAX_LISTED = 5  # files named in one error message
MAX_SIZE = 100_000  # number of classes, or of components of a vector
LARGEST = float(np.finfo(np.float32).max)


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


def from_folders(names: Sequence[str]) -> Labels | None:
    """Return the first-level subfolders as classes; None if an image is in none.

    Args:
      names: relative paths with forward slashes.
    """
    if not all("/" in name for name in names):
        return None
    tops = [name.split("/", 1)[0] for name in names]
    classes = sorted(set(tops))
    number = {name: label for label, name in enumerate(classes)}
    return from_class_numbers(classes, [number[top] for top in tops])


def from_label_file(content: bytes, names: Sequence[str], where: str) -> Labels | None:
    """Parse a dataset.json; return None if its "labels" are null.

    Args:
      content: {"labels": [[name, label], ...]}; either all labels are class numbers
        from 0, or all are lists of the same number of finite numbers.
      names: paths of the images relative to the file.
      where: name of the file in error messages.

    Raises:
      ValueError: the file is damaged, names missing images, or omits images.
    """
    try:
        entries = json.loads(content)["labels"]
        if entries is None:
            return None
        labels = {str(name): label for name, label in entries}
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ValueError(
            f"{where} cannot be read ({error!r}); it must be JSON of the form "
            '{"labels": [["name.png", 0], ...]}'
        ) from error
    _raise_if_any(
        sorted(labels.keys() - set(names)),
        f"{where} has labels for %d images that do not exist; remove them, or add the "
        "images",
    )
    _raise_if_any(
        [name for name in names if name not in labels],
        f"{where} has no labels for %d images; add them, or remove the images",
    )
    first = labels[names[0]]
    if isinstance(first, list):
        wrong = [n for n, v in labels.items() if not _is_vector(v, len(first))]
        problem = (
            f"are not lists of {len(first)} finite numbers like the first label; a "
            f"label vector has from 1 to {MAX_SIZE:,} numbers"
        )
    else:
        wrong = [n for n, v in labels.items() if not _is_class(v)]
        problem = (
            f"are not class numbers; use integers from 0 to {MAX_SIZE - 1:,}, or lists "
            "of numbers for all images"
        )
    _raise_if_any(
        [f"{name}: {labels[name]!r}" for name in wrong],
        f"{where} has %d labels that {problem}",
    )
    values = [labels[name] for name in names]
    if isinstance(first, list):
        return from_vectors(np.array(values, np.float32))
    return from_class_numbers(range(max(values) + 1), values)


def find(names: Sequence[str], label_file: bytes | None, where: str) -> Labels:
    """Return the labels from a label file, else from folders, else no labels.

    Raises:
      ValueError: the label file cannot be used; see `from_label_file`.
    """
    if label_file is None:
        found = from_folders(names)
    else:
        found = from_label_file(label_file, names, where)
    return found or unlabeled(len(names))


def _is_class(label: Any) -> bool:
    return type(label) is int and 0 <= label < MAX_SIZE


def _is_vector(label: Any, length: int) -> bool:
    return (
        isinstance(label, list)
        and len(label) == length
        and 0 < length <= MAX_SIZE
        and all(type(x) in (int, float) and abs(x) <= LARGEST for x in label)
    )


def _raise_if_any(wrong: list[str], message: str) -> None:
    if wrong:
        shown = wrong[:MAX_LISTED] + ["..."] * (len(wrong) > MAX_LISTED)
        raise ValueError("\n  ".join([f"{message % len(wrong)}:", *shown]))
