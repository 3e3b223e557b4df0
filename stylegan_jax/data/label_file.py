"""NVIDIA's dataset.json, which maps names of images to labels.

The names in the file are paths relative to its folder. Programs write the same path in
several ways, so names are matched in steps, each used only if the match is unambiguous:
exactly; with backslashes and `./`; in any Unicode normal form; ignoring case.
"""

import contextlib
import dataclasses
import difflib
import json
import posixpath
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from stylegan_jax.data.labels import (
    MAX_SIZE,
    Labels,
    from_class_numbers,
    from_folders,
    from_vectors,
    unlabeled,
    wrapping_folder,
)

LABEL_FILE = "dataset.json"
MAX_LISTED = 5  # files named in one error message
MAX_COMPARED = 1000  # images without a label that a wrong name is compared with
LARGEST = float(np.finfo(np.float32).max)

Key = Callable[[str], str]


@dataclasses.dataclass(frozen=True)
class LabelFile:
    """A dataset.json of a folder or an archive.

    Attributes:
      folder: its folder, "" or "photos/", relative to the data set.
      where: name of the file in messages.
      read: returns its content. Raises ValueError.
      left_out: paths of files that are not images of the data set; their labels are
        ignored.
    """

    folder: str
    where: str
    read: Callable[[], bytes]
    left_out: tuple[str, ...] = ()

    def content(self) -> bytes:
        """Return the content; b"" for a file that cannot be read."""
        try:
            return self.read()
        except ValueError:
            return b""


def choose(
    files: Iterable[str],
    images: Sequence[str],
    where: Callable[[str], str],
    read: Callable[[str], bytes],
    left_out: tuple[str, ...] = (),
) -> LabelFile | None:
    """Return the label file of a data set; None if there is none.

    It is at the top level, or in a folder that wraps all images; the outermost is
    chosen. A single one elsewhere is used, too; if there are several, reading fails.

    Args:
      files: paths of all files named `LABEL_FILE`.
      images: paths of the images; like `files`, relative to the data set.
      where: path -> name of the file in messages.
      read: path -> its content. Raises ValueError.
      left_out: see `LabelFile`.
    """
    wrapper = wrapping_folder(images)
    paths = sorted(files, key=lambda path: (path.count("/"), path))
    around = [path for path in paths if wrapper.startswith(_folder(path))]
    if not paths:
        return None
    chosen = (around or paths)[0]
    if not around and len(paths) > 1:
        several = ", ".join(paths[:MAX_LISTED]) + ", ..." * (len(paths) > MAX_LISTED)

        def fail() -> bytes:
            raise ValueError(
                f"{where(chosen)} is one of {len(paths)} files of that name, in "
                f"different folders ({several}); use one of the folders, or write one "
                "file for all images next to the folders"
            )

        return LabelFile("", where(chosen), fail)
    return LabelFile(_folder(chosen), where(chosen), lambda: read(chosen), left_out)


def find(
    names: Sequence[str], file: LabelFile | None, needed: bool
) -> tuple[Labels, tuple[str, ...]]:
    """Return the labels from a label file, else from folders, else no labels.

    Args:
      names: paths of the images.
      file: the label file, if any.
      needed: True to reject a label file that cannot be used; False to ignore it.

    Returns:
      The labels, and a note for the user if the label file is ignored.

    Raises:
      ValueError: the label file cannot be used and `needed`; see `read_labels`.
    """
    if file is None:
        return from_folders(names) or unlabeled(len(names)), ()
    try:
        return read_labels(file, names) or unlabeled(len(names)), ()
    except ValueError as error:
        if needed:
            raise
        reason = str(error).replace("\n  ", " ")
        note = f"no labels are used, as none are needed here, and {reason}"
        return unlabeled(len(names)), (note,)


def read_labels(file: LabelFile, names: Sequence[str]) -> Labels | None:
    """Parse a dataset.json; return None if its "labels" are null.

    Its content is {"labels": [[name, label], ...]}; either all labels are class numbers
    from 0, or all are lists of the same number of finite numbers.

    Args:
      file: the file.
      names: paths of all images.

    Raises:
      ValueError: the file is damaged, names missing images, omits images, or has
        conflicting labels for an image.
    """
    entries = _entries(file)
    if entries is None:
        return None
    found = _best_match(file, names, entries)
    # One label for each image.
    of_image: dict[int, list[tuple[str, Any]]] = {}
    for index, entry in zip(found, entries, strict=True):
        if index is not None:
            of_image.setdefault(index, []).append(entry)
    conflicts = []
    for index, given in of_image.items():
        first = json.dumps(given[0][1])
        if len(given) > 1 and any(json.dumps(label) != first for _, label in given):
            conflicts.append(_conflict(names[index], given))
    _raise_if_any(
        conflicts,
        f"{file.where} has conflicting labels for %d images; keep one label for each",
    )
    unlabeled_names = [name for i, name in enumerate(names) if i not in of_image]
    unknown = [e[0] for e, index in zip(entries, found, strict=True) if index is None]
    unknown = _without_left_out(sorted(set(unknown)), file)
    _raise_if_any(
        [
            _with_closest(name, unlabeled_names) if n < MAX_LISTED else name
            for n, name in enumerate(unknown)
        ],
        f"{file.where} has labels for %d images that do not exist; remove them, or add "
        "the images",
    )
    _raise_if_any(
        [with_code_points(name) for name in unlabeled_names],
        f"{file.where} has no labels for %d images; add them, or remove the images",
    )
    return _checked(file, names, [of_image[i][0][1] for i in range(len(names))])


def with_code_points(name: str) -> str:
    """Return a name, with the code points of its non-ASCII characters, if any."""
    points = " ".join(f"U+{ord(c):04X}" for c in name if not c.isascii())
    return f"{name} ({points})" if points else name


def _folder(path: str) -> str:
    return path[: path.rfind("/") + 1]


def _entries(file: LabelFile) -> list[tuple[str, Any]] | None:
    content = file.read()
    try:
        entries = json.loads(content)["labels"]
        if entries is None:
            return None
        return [(str(name), label) for name, label in entries]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ValueError(
            f"{file.where} cannot be read ({error!r}); it must be JSON of the form "
            '{"labels": [["name.png", 0], ...]}'
        ) from error


def _checked(file: LabelFile, names: Sequence[str], values: list[Any]) -> Labels:
    """Return the labels of all images, in their order."""
    if isinstance(values[0], list):
        size = len(values[0])
        right = [_is_vector(value, size) for value in values]
        problem = (
            f"are not lists of {size} finite numbers like the first label; a label "
            f"vector has from 1 to {MAX_SIZE:,} numbers"
        )
    else:
        right = [_is_class(value) for value in values]
        problem = (
            f"are not class numbers; use integers from 0 to {MAX_SIZE - 1:,}, or lists "
            "of numbers for all images"
        )
    _raise_if_any(
        [
            f"{name}: {value!r}"
            for name, value, is_right in zip(names, values, right, strict=True)
            if not is_right
        ],
        f"{file.where} has %d labels that {problem}",
    )
    if isinstance(values[0], list):
        return from_vectors(np.array(values, np.float32))
    return from_class_numbers(range(max(values) + 1), values)


# Names


def _best_match(
    file: LabelFile, names: Sequence[str], entries: list[tuple[str, Any]]
) -> list[int | None]:
    """Return the image of each entry, relative to the folder that matches best.

    This is the folder of the label file if that is possible, else one of the folders
    around all images.
    """
    wrapper = wrapping_folder(names)
    ends = [i + 1 for i, character in enumerate(wrapper) if character == "/"]
    folders = [file.folder, "", *(wrapper[:end] for end in ends)]
    best: list[int | None] = []
    for folder in dict.fromkeys(folders):
        relative = [name.removeprefix(folder) for name in names]
        found = _match([name for name, _ in entries], relative)
        if not best or found.count(None) < best.count(None):
            best = found
        if None not in best:
            break
    return best


def _without_left_out(entries: list[str], file: LabelFile) -> list[str]:
    """Return the names that do not belong to a file that is left out."""
    if not entries or not file.left_out:
        return entries
    names = [name.removeprefix(file.folder) for name in file.left_out]
    found = _match(entries, names)
    return [e for e, index in zip(entries, found, strict=True) if index is None]


def _match(entries: Sequence[str], names: Sequence[str]) -> list[int | None]:
    """Return the index in `names` of each entry; None unless exactly one matches."""
    index_of = {name: index for index, name in enumerate(names)}
    found = [index_of.get(entry) for entry in entries]
    for key in (_plain_path, _composed):
        _match_rest(found, entries, dict(enumerate(names)), key)
    # Ignoring case is ambiguous for images that have a label already.
    taken = set(found)
    rest = {i: name for i, name in enumerate(names) if i not in taken}
    _match_rest(
        found, entries, rest, lambda name: _composed(_composed(name).casefold())
    )
    return found


def _match_rest(
    found: list[int | None], entries: Sequence[str], names: dict[int, str], key: Key
) -> None:
    """Fill in the images whose key is that of an entry, and of no other image."""
    if None not in found:
        return
    keys = {index: key(name) for index, name in names.items()}
    count = Counter(keys.values())
    index_of = {text: index for index, text in keys.items() if count[text] == 1}
    for position, entry in enumerate(entries):
        if found[position] is None:
            found[position] = index_of.get(key(entry))


def _plain_path(name: str) -> str:
    return posixpath.normpath(name.replace("\\", "/")).lstrip("/")


def _composed(name: str) -> str:
    """Return the path in Unicode's normal form NFC.

    Zips from macOS hold UTF-8 names without the flag; they are read as code page 437.
    """
    path = _plain_path(name)
    if not path.isascii():
        with contextlib.suppress(UnicodeError):
            path = path.encode("cp437").decode("utf-8")
    return unicodedata.normalize("NFC", path)


def _folded(name: str) -> str:
    """Return the case-folded path."""
    return unicodedata.normalize("NFC", _composed(name).casefold())


def _conflict(image: str, given: list[tuple[str, Any]]) -> str:
    """Return a line about an image and its conflicting labels."""
    literal = {name for name, _ in given} == {image}
    texts = [
        json.dumps(label) + ("" if literal else f" for {with_code_points(name)}")
        for name, label in given
    ]
    return f"{with_code_points(image)}: {' and '.join(dict.fromkeys(texts))}"


def _with_closest(name: str, candidates: Sequence[str]) -> str:
    """Return a name for a message, with the similar names that it may stand for."""
    close = [c for c in candidates if _folded(c) == _folded(name)]
    if not close:
        close = difflib.get_close_matches(name, candidates[:MAX_COMPARED], 1, 0.8)
    text = with_code_points(name)
    if close:
        shown = " and ".join(map(with_code_points, close[:MAX_LISTED]))
        text += f"; without a label: {shown}"
    return text


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
