"""Classes of images: from their folders, or from NVIDIA's dataset.json."""

import json
from collections.abc import Sequence

MAX_LISTED = 5  # files named in one message

Labels = tuple[tuple[str, ...], tuple[int, ...]]  # class names; each image's class


def from_folders(names: Sequence[str]) -> Labels | None:
    """The first-level sub-folders, if every image lies in one; else None.

    Args:
      names: paths with forward slashes.
    """
    if not all("/" in name for name in names):
        return None
    tops = [name.split("/", 1)[0] for name in names]
    classes = tuple(sorted(set(tops)))
    number = {name: label for label, name in enumerate(classes)}
    return classes, tuple(number[top] for top in tops)


def from_label_file(content: bytes, names: Sequence[str], where: str) -> Labels | None:
    """The classes of a dataset.json; None when its "labels" are null.

    Args:
      content: {"labels": [[name, class], ...]}, classes being whole numbers from 0.
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
    except (ValueError, KeyError, TypeError) as error:
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
    _refuse(
        [f"{n}: {v!r}" for n, v in labels.items() if type(v) is not int or v < 0],
        f"{where} has %d labels that are no class; classes are whole numbers from 0",
    )
    classes = tuple(map(str, range(max(labels.values()) + 1)))
    return classes, tuple(labels[name] for name in names)


def of_files(names: Sequence[str], label_file: bytes | None, where: str) -> Labels:
    """The classes of a label file, or else those of the folders; () without either.

    Raises:
      ValueError: as `from_label_file`.
    """
    if label_file is None:
        found = from_folders(names)
    else:
        found = from_label_file(label_file, names, where)
    return found or ((), (0,) * len(names))


def _refuse(wrong: list[str], message: str) -> None:
    if wrong:
        shown = wrong[:MAX_LISTED] + ["..."] * (len(wrong) > MAX_LISTED)
        raise ValueError("\n  ".join([f"{message % len(wrong)}:", *shown]))
