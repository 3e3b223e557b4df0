"""The images among the files of a folder or an archive.

A file is an image if it has the extension or the content of one. Grids of images that
this package writes do not count. All other files are counted, so that none is skipped
silently.
"""

import dataclasses
import functools
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from PIL import Image

from stylegan_jax.data import decoding
from stylegan_jax.data.interface import InvalidImage
from stylegan_jax.data.label_file import LABEL_FILE
from stylegan_jax.runtime.image_io import is_grid

HEAD_BYTES = 512  # of a file, enough to recognize its format or a grid
MAX_HEADS = 5000  # PNGs whose heads are read in search of grids
MAX_ENDINGS = 20  # extensions named in one message
MAX_ENDING_LENGTH = 11  # without the dot

IMAGE, GRID, LABELS, OTHER, IGNORED = "image", "grid", "labels", "other", "ignored"
KINDS = (IMAGE, GRID, LABELS, OTHER, IGNORED)

# Extensions of files that are never images. Camera raw files are TIFFs, but Pillow
# would read their thumbnails; the others are copies of images, or unfinished.
NEVER_IMAGES = frozenset(
    (
        *(".3fr", ".arw", ".cr2", ".cr3", ".dcr", ".dng", ".erf", ".iiq", ".kdc"),
        *(".mef", ".mos", ".mrw", ".nef", ".nrw", ".orf", ".pef", ".raf", ".raw"),
        *(".rw2", ".rwl", ".sr2", ".srf", ".srw", ".x3f"),
        *(".bak", ".crdownload", ".old", ".orig", ".part", ".partial", ".swp", ".tmp"),
        *(".csv", ".htm", ".html", ".json", ".jsonl", ".log", ".md", ".npy", ".npz"),
        *(".pkl", ".pt", ".py", ".txt", ".xml", ".yaml", ".yml"),
    )
)
NEVER_COUNTED = ("thumbs.db", "desktop.ini", "dataset_info.json")
# Not the folder ".."; Synology keeps thumbnails in @eaDir, and has a #recycle.
HIDDEN = re.compile(
    r"(?:^|/)(?:\.(?!\./)|(?:__MACOSX|@eaDir|#recycle|\$RECYCLE\.BIN)/)"
)
GRID_NAME = re.compile("grid|mix|fakes|reals", re.IGNORECASE)  # of files that we write
SEED_NAME = re.compile(r"seed\d+\.png")  # an image of `generate`
TRAINING_NAME = re.compile(r"(fakes|reals)-\d{6,}\.\d{3}\.png")  # a grid of training

# Returns the content of a file, or this many bytes from its beginning. Raises
# InvalidImage.
Read = Callable[[int | None], bytes]


@dataclasses.dataclass(frozen=True)
class Listing:
    """The files of a folder or an archive.

    Attributes:
      names: names of the images, in the order of `files`.
      label_files: names of the files that may hold labels.
      left_out: names of the files that are not images, and of grids.
      notes: sentences about the files that are left out.
    """

    names: tuple[str, ...]
    label_files: tuple[str, ...]
    left_out: tuple[str, ...]
    notes: tuple[str, ...]


def ending_of(name: str) -> str:
    """Return the extension of a file name in lower case, with its dot; "" for none."""
    stem, dot, ending = name.rpartition("/")[2].rpartition(".")
    is_ending = stem and 0 < len(ending) <= MAX_ENDING_LENGTH and " " not in ending
    return dot + ending.lower() if is_ending else ""


def kind_by_name(name: str, look_for_grids: bool) -> str | None:
    """Return the kind of a file: IMAGE, LABELS, OTHER or IGNORED.

    Args:
      name: path with forward slashes.
      look_for_grids: True to check every PNG for a grid; False for only those whose
        names resemble that of a grid.

    Returns:
      None if the content decides; see `kind_by_content`.
    """
    base = name.rpartition("/")[2]
    if HIDDEN.search(name) or base.lower() in NEVER_COUNTED:
        return IGNORED
    if base == LABEL_FILE:
        return LABELS
    ending = ending_of(base)
    if ending in NEVER_IMAGES or base.endswith("~"):
        return OTHER
    if ending == ".png" and (look_for_grids or GRID_NAME.search(base)):
        return None
    return IMAGE if ending in image_endings() else None


def kind_by_content(name: str, read: Read) -> str:
    """Return the kind of a file by its content: IMAGE, GRID or OTHER."""
    try:
        head = read(HEAD_BYTES)
        if is_grid(head):
            return GRID
        if ending_of(name) in image_endings():
            return IMAGE
        prefix = head[:16].ljust(16, b"\0")  # some recognizers unpack a number from it
        if not any(accepts(prefix) for accepts in _recognizers()):
            return OTHER
        decoding.read_header(read(None))
        return IMAGE
    except InvalidImage:
        # Unusable images are reported, not left out.
        return IMAGE if ending_of(name) in image_endings() else OTHER


def listing(kinds: Mapping[str, str], head: Callable[[str], bytes]) -> Listing:
    """Return the images among files whose kinds are known.

    Args:
      kinds: name of each file -> its kind.
      head: name -> the first bytes of the file, at least `HEAD_BYTES`. Raises
        InvalidImage.
    """
    of_kind: dict[str, list[str]] = {kind: [] for kind in KINDS}
    for name, kind in kinds.items():
        of_kind[kind].append(name)
    unmarked = _unmarked_grids(of_kind[IMAGE], head)
    names = tuple(name for name in of_kind[IMAGE] if name not in unmarked)
    others, grids = of_kind[OTHER], of_kind[GRID] + unmarked
    notes = (
        *_note_on_others(others, len(names) + len(grids)),
        *_note_on_grids(grids),
    )
    return Listing(names, tuple(of_kind[LABELS]), (*others, *grids), notes)


@functools.cache
def image_endings() -> frozenset[str]:
    """Return the extensions of the formats in `decoding.FORMATS`, such as ".png"."""
    Image.init()
    known = Image.registered_extensions().items()
    return frozenset(end for end, format_ in known if format_ in decoding.FORMATS)


def no_images(setting: str, path: object, notes: Sequence[str]) -> ValueError:
    """Return the error for a folder or an archive without images."""
    formats = ", ".join(decoding.FORMATS)
    found = "".join(f"; {note}" for note in notes)
    return ValueError(
        f"`{setting}` (={str(path)!r}) holds no images ({formats}), and subfolders are "
        f"searched too{found}"
    )


@functools.cache
def _recognizers() -> tuple[Callable[[bytes], object], ...]:
    """Return functions that recognize a format by the first 16 bytes of a file."""
    Image.init()
    found = (Image.OPEN[name][1] for name in decoding.FORMATS if name in Image.OPEN)
    return tuple(accepts for accepts in found if accepts is not None)


def _unmarked_grids(images: list[str], head: Callable[[str], bytes]) -> list[str]:
    """Return the grids without a mark, which earlier versions wrote.

    Those of training are recognized by their names. That of `generate` is next to the
    images of seeds, and its sides are multiples of theirs.
    """
    found = [n for n in images if TRAINING_NAME.fullmatch(n.rpartition("/")[2])]
    grids = [n for n in images if n.rpartition("/")[2] == "grid.png"]
    for grid in grids:
        folder = grid[: -len("grid.png")]
        nearby = (n for n in images if n.startswith(folder))
        seed = next((n for n in nearby if SEED_NAME.fullmatch(n[len(folder) :])), None)
        if seed is None:
            continue
        try:
            sizes = [_png_size(head(name)) for name in (grid, seed)]
        except InvalidImage:
            continue
        if None in sizes:
            continue
        (width, height), (seed_width, seed_height) = sizes
        multiple = width % seed_width == 0 and height % seed_height == 0
        if multiple and sizes[0] != sizes[1]:
            found.append(grid)
    return found


def _png_size(head: bytes) -> tuple[int, int] | None:
    """Return width and height of a PNG; None for any other file."""
    if not head.startswith(b"\x89PNG\r\n\x1a\n") or len(head) < 24:
        return None
    size = int.from_bytes(head[16:20], "big"), int.from_bytes(head[20:24], "big")
    return size if all(size) else None


def _note_on_others(others: list[str], num_images: int) -> list[str]:
    if not others:
        return []
    counts = Counter(map(ending_of, others)).most_common()
    named = [f"{n} {end}" if end else f"{n} without an extension" for end, n in counts]
    shown = ", ".join(named[:MAX_ENDINGS]) + ", ..." * (len(named) > MAX_ENDINGS)
    are = "is not a readable image" if len(others) == 1 else "are not readable images"
    return [
        f"left out {len(others)} of {len(others) + num_images} files, which {are}: "
        f"{shown}"
    ]


def _note_on_grids(grids: list[str]) -> list[str]:
    if not grids:
        return []
    shown = ", ".join(grids[:5]) + ", ..." * (len(grids) > 5)
    what = "1 grid" if len(grids) == 1 else f"{len(grids)} grids"
    return [f"left out {what} of images that this package wrote: {shown}"]
