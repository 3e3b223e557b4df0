"""Labels of images, classes or vectors: from folders, or NVIDIA's dataset.json."""

import dataclasses
import hashlib
import json
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from stylegan_jax.data.images import Tensor, tensorflow

MAX_LISTED = 5  # files named in one message
MAX_SIZE = 100_000  # classes, or components of a vector
LARGEST = float(np.finfo(np.float32).max)


@dataclasses.dataclass(frozen=True, eq=False)
class Labels:
    """One label for each of N images.

    Attributes:
      names: of the classes, or of the components of vectors; () without labels.
      values: int32 [N], classes, 0 without labels; or float32 [N, len(names)], vectors,
        for labels that are no classes: several attributes at once, or measures.
    """

    names: tuple[str, ...]
    values: np.ndarray

    @property
    def are_vectors(self) -> bool:
        """Whether the labels are no classes."""
        return self.values.ndim == 2

    def totals(self) -> tuple[float, ...]:
        """How many images each class has, or the sum of each component."""
        if self.are_vectors:
            return tuple(self.values.sum(0, dtype=np.float64).tolist())
        counts = np.bincount(self.values, minlength=len(self.names))
        return tuple(counts[: len(self.names)].tolist())

    def lookup(self) -> Callable[[Tensor], Tensor]:
        """For `tf.data`: int64 [n], indices, to float32 [n, len(names)].

        Of classes they are one-hot.
        """
        tf = tensorflow()
        table = tf.constant(self.values)
        if self.are_vectors:
            return lambda indices: tf.gather(table, indices)
        return lambda indices: tf.one_hot(tf.gather(table, indices), len(self.names))

    def digest(self) -> str:
        """Hex digest of names and values."""
        head = json.dumps([self.names, self.values.shape])
        return hashlib.sha256(head.encode() + self.values.tobytes()).hexdigest()


def none(count: int) -> Labels:
    """What `count` images without labels have."""
    return Labels((), np.zeros(count, np.int32))


def of_classes(names: Sequence[Any], numbers: Sequence[int] | np.ndarray) -> Labels:
    """Each image's number of a class."""
    return Labels(tuple(map(str, names)), np.asarray(numbers, np.int32))


def of_vectors(table: np.ndarray) -> Labels:
    """The rows of a table; classes if each row has a one and nothing else.

    Args:
      table: any numbers [N, L].
    """
    names = range(table.shape[1])
    one_hot = ((table == 0) | (table == 1)).all() and (table.sum(1) == 1).all()
    # A number can't tell that there are more classes than images have.
    if one_hot and table[:, -1].any():
        return of_classes(names, table.argmax(1))
    return Labels(tuple(map(str, names)), np.ascontiguousarray(table, np.float32))


def from_folders(names: Sequence[str]) -> Labels | None:
    """The first-level sub-folders, if every image lies in one; else None.

    Args:
      names: paths with forward slashes.
    """
    if not all("/" in name for name in names):
        return None
    tops = [name.split("/", 1)[0] for name in names]
    classes = sorted(set(tops))
    number = {name: label for label, name in enumerate(classes)}
    return of_classes(classes, [number[top] for top in tops])


def from_label_file(content: bytes, names: Sequence[str], where: str) -> Labels | None:
    """The labels of a dataset.json; None when its "labels" are null.

    Args:
      content: {"labels": [[name, label], ...]}, all labels whole numbers from 0, which
        are classes, or all of them lists of as many numbers.
      names: of the images, relative to the file.
      where: what messages call the file.

    Raises:
      ValueError: the file is damaged, names images that aren't there, or leaves some
        out.
    """
    try:
        entries = json.loads(content)["labels"]
        if entries is None:
            return None
        labels = {str(name): label for name, label in entries}
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ValueError(
            f"{where} can't be read ({error!r}); it must be JSON of the form "
            '{"labels": [["name.png", 0], ...]}'
        ) from error
    _refuse(
        sorted(labels.keys() - set(names)),
        f"{where} has labels of %d images that aren't there; remove them, or add the "
        "images",
    )
    _refuse(
        [name for name in names if name not in labels],
        f"{where} has no label of %d images; add them, or remove the images",
    )
    first = labels[names[0]]
    if isinstance(first, list):
        wrong = [n for n, v in labels.items() if not _is_vector(v, len(first))]
        problem = (
            f"are no lists of {len(first)} finite numbers, as the first is; from 1 to "
            f"{MAX_SIZE:,} go"
        )
    else:
        wrong = [n for n, v in labels.items() if not _is_class(v)]
        problem = (
            f"are no class; classes are whole numbers from 0 and below {MAX_SIZE:,}, "
            "unless all labels are lists of numbers"
        )
    _refuse(
        [f"{name}: {labels[name]!r}" for name in wrong],
        f"{where} has %d labels that {problem}",
    )
    values = [labels[name] for name in names]
    if isinstance(first, list):
        return of_vectors(np.array(values, np.float32))
    return of_classes(range(max(values) + 1), values)


def of_files(names: Sequence[str], label_file: bytes | None, where: str) -> Labels:
    """The labels of a label file, or else the folders; none without either.

    Raises:
      ValueError: as `from_label_file`.
    """
    if label_file is None:
        found = from_folders(names)
    else:
        found = from_label_file(label_file, names, where)
    return found or none(len(names))


def _is_class(label: Any) -> bool:
    return type(label) is int and 0 <= label < MAX_SIZE


def _is_vector(label: Any, length: int) -> bool:
    return (
        isinstance(label, list)
        and len(label) == length
        and 0 < length <= MAX_SIZE
        and all(type(x) in (int, float) and abs(x) <= LARGEST for x in label)
    )


def _refuse(wrong: list[str], message: str) -> None:
    if wrong:
        shown = wrong[:MAX_LISTED] + ["..."] * (len(wrong) > MAX_LISTED)
        raise ValueError("\n  ".join([f"{message % len(wrong)}:", *shown]))
