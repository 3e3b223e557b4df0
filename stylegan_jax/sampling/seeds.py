"""Latents and labels from the seeds and classes that users write."""

import re

import numpy as np

from stylegan_jax.runtime.messages import listed

MAX_SEEDS = 1_000_000  # maximum of a command, which keeps all latents in memory


def parse_seeds(text: str, what: str = "seeds") -> list[int]:
    """Parse a list of numbers and ranges, e.g. "0-3,7" -> [0, 1, 2, 3, 7].

    Args:
      text: the list.
      what: name of the numbers, for messages.

    Raises:
      ValueError: the text is not such a list.
    """
    seeds: list[int] = []
    for part in text.split(","):
        match = re.fullmatch(r"\s*(\d+)\s*(?:-\s*(\d+)\s*)?", part)
        first, last = (match[1], match[2] or match[1]) if match else ("1", "0")
        if int(first) > int(last) or int(last) >= 2**32:
            raise ValueError(
                f"{what} (={text!r}) must be numbers or increasing ranges from 0 to "
                "2^32-1, separated by commas, such as 0-63 or 3,7,10-12"
            )
        if len(seeds) + int(last) - int(first) >= MAX_SEEDS:
            raise ValueError(
                f"{what} (={text!r}) are more than {MAX_SEEDS:,}; use several commands"
            )
        seeds.extend(range(int(first), int(last) + 1))
    return seeds


def latents(seeds: list[int], z_dim: int) -> np.ndarray:
    """Return the latent of each seed, [len(seeds), Z] float32.

    A seed gives the same latent as in the official code.
    """
    return np.stack(
        [np.random.RandomState(seed).randn(z_dim) for seed in seeds]
    ).astype(np.float32)


def labels(
    name: str | None, vector: str | None, classes: tuple[str, ...], count: int
) -> np.ndarray | None:
    """Return labels of a class or of a label vector.

    Args:
      name: a class, see `one_hot`.
      vector: numbers separated by commas, in place of `name`.
      classes: classes of the network, or the names of its label vector's components.
      count: number of rows.

    Returns:
      [count, len(classes)] float32; None for unconditional networks.

    Raises:
      ValueError: see `one_hot`; or the vector is not `len(classes)` finite numbers.
    """
    if vector is None:
        return one_hot(name, classes, count)
    if not classes:
        raise ValueError(f"label (={vector!r}) was given to a network without labels")
    try:
        row = np.array([float(number) for number in vector.split(",")], np.float32)
    except ValueError:
        row = np.full(1, np.nan)
    if name is not None or len(row) != len(classes) or not np.isfinite(row).all():
        raise ValueError(
            f"label (={vector!r}) must be {len(classes)} numbers separated by commas, "
            f"finite and one for each of {listed(classes)}; it replaces a class "
            f"(={name!r})"
        )
    return np.tile(row, (count, 1))


def check_no_label(name: str | None, vector: str | None) -> None:
    """Raise ValueError if a class or a label is given for latents w."""
    if (name, vector) != (None, None):
        raise ValueError(
            f"class (={name!r}) and label (={vector!r}) have no effect on latents w, "
            "which are already mapped; leave them out"
        )


def keyframe_labels(
    names: str | None, vector: str | None, classes: tuple[str, ...], count: int
) -> np.ndarray | None:
    """Return the labels of keyframes, cycling through the named classes.

    Args:
      names: a class, or several separated by commas, by name or index.
      vector: see `labels`.
      classes: classes of the network.
      count: number of keyframes.

    Returns:
      [count, len(classes)] float32; None for unconditional networks.

    Raises:
      ValueError: see `labels`; or there are more names than keyframes.
    """
    several = names is not None and names not in classes and "," in names
    if not several or vector is not None:
        return labels(names, vector, classes, count)
    parts = [part.strip() for part in names.split(",")]
    if len(parts) > count:
        raise ValueError(
            f"class (={names!r}) names {len(parts)} classes for {count} keyframes; "
            "add seeds, or name fewer classes"
        )
    rows = np.concatenate([labels(part, None, classes, 1) for part in parts])
    return rows[np.arange(count) % len(rows)]


def one_hot(name: str | None, classes: tuple[str, ...], count: int):
    """Return the one-hot labels of one class.

    Args:
      name: a class name or its index.
      classes: classes of the network; empty if it is unconditional.
      count: number of rows.

    Returns:
      [count, len(classes)] float32; None for unconditional networks.

    Raises:
      ValueError: the class does not exist, is missing, or is not expected.
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
            f"class (={name!r}) must be one of {listed(classes)}, or an index below "
            f"{len(classes)}; this network is conditional"
        )
    return np.tile(np.eye(len(classes), dtype=np.float32)[index], (count, 1))
