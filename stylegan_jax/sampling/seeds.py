"""Which images are meant: seeds and classes as a user writes them."""

import re

import numpy as np


def parse_seeds(text: str) -> list[int]:
    """Seeds from a list of numbers and ranges, e.g. "0-3,7" -> [0, 1, 2, 3, 7].

    Raises:
      ValueError: the text is not such a list.
    """
    seeds: list[int] = []
    for part in text.split(","):
        match = re.fullmatch(r"\s*(\d+)\s*(?:-\s*(\d+)\s*)?", part)
        first, last = (match[1], match[2] or match[1]) if match else ("1", "0")
        if int(first) > int(last) or int(last) >= 2**32:
            raise ValueError(
                f"seeds (={text!r}) must be numbers or rising ranges from 0 to 2^32-1, "
                "separated by commas, such as 0-63 or 3,7,10-12"
            )
        seeds.extend(range(int(first), int(last) + 1))
    return seeds


def labels(
    name: str | None, vector: str | None, classes: tuple[str, ...], count: int
) -> np.ndarray | None:
    """Labels [count, len(classes)] of a class or a label vector; None without labels.

    Args:
      name: a class, as `one_hot` takes it.
      vector: numbers with commas between; in the place of `name`.
      classes: of the network, or the names of its label vector's components.
      count: rows.

    Raises:
      ValueError: as `one_hot`, or no vector of that length.
    """
    if vector is None:
        return one_hot(name, classes, count)
    try:
        row = np.array([float(number) for number in vector.split(",")], np.float32)
    except ValueError:
        row = np.full(1, np.nan)
    if name is not None or len(row) != len(classes) or not np.isfinite(row).all():
        raise ValueError(
            f"label (={vector!r}) must be {len(classes)} numbers with commas between, "
            f"for {list(classes)}, and takes the place of a class (={name!r})"
        )
    return np.tile(row, (count, 1))


def one_hot(name: str | None, classes: tuple[str, ...], count: int):
    """Labels [count, len(classes)] of one class; None for unconditional networks.

    Args:
      name: a class name or its index.
      classes: of the network; empty when it is unconditional.
      count: rows.

    Raises:
      ValueError: no such class, one missing, or one too many.
    """
    if not classes:
        if name is not None:
            raise ValueError(f"class (={name!r}) was given to a network without labels")
        return None
    if name in classes:
        index = classes.index(name)
    elif name is not None and name.isdigit() and int(name) < len(classes):
        index = int(name)
    else:
        raise ValueError(
            f"class (={name!r}) must be one of {list(classes)} or an index below "
            f"{len(classes)}; this network is conditional"
        )
    return np.tile(np.eye(len(classes), dtype=np.float32)[index], (count, 1))
