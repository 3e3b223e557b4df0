"""CIFAR-10 as its authors distribute it: the "python" or the "binary" tar.

Only the training images are read, 32x32 RGB, as in NVIDIA's tool.
"""

import io
import pickle
import tarfile
from pathlib import Path
from typing import Any

import numpy as np

from stylegan_jax.data import labels
from stylegan_jax.data.formats.archives import ARCHIVE_ERRORS
from stylegan_jax.data.interface import RawDataset, identity

SIDE = 32
BATCHES = tuple(f"data_batch_{number}" for number in range(1, 6))
PYTHON, BINARY = "cifar-10-batches-py", "cifar-10-batches-bin"
MAX_BATCH_BYTES = 2**26  # a genuine batch has 31 MB
PICKLE_ERRORS = (
    *(pickle.UnpicklingError, EOFError, AttributeError, ImportError, IndexError),
    *(KeyError, MemoryError, TypeError, ValueError),
)


def open_cifar(path: Path) -> RawDataset | None:
    """Open the tar; return None if it holds something else.

    Raises:
      ValueError: the tar is CIFAR-10, but damaged.
    """
    files = _batch_files(path)
    if not files:
        return None
    try:
        with tarfile.open(path) as archive:
            contents = {name: _content(archive, name) for name in files}
        if files[0].startswith(PYTHON):
            parts = [_python_batch(contents[name]) for name in files[1:]]
            classes = _unpickle(contents[files[0]])["label_names"]
        else:
            parts = [_binary_batch(contents[name]) for name in files[1:]]
            classes = contents[files[0]].decode().split()
        pixels = np.concatenate([part[0] for part in parts])
        numbers = np.concatenate([part[1] for part in parts])
        if numbers.min() < 0 or numbers.max() >= len(classes):
            raise ValueError(f"it has labels of {len(classes)} or more")
    except (*ARCHIVE_ERRORS, *PICKLE_ERRORS) as error:
        raise ValueError(
            f"`--source` (={path}) looks like CIFAR-10 but is damaged ({error}); "
            "download it again"
        ) from error
    pixels = pixels.reshape(-1, 3, SIDE, SIDE).transpose(0, 2, 3, 1)
    names = tuple(f"image {index}" for index in range(len(pixels)))
    return RawDataset(
        name=str(path),
        names=names,
        identity=identity((name, len(contents[name])) for name in files),
        read=lambda index: pixels[index],
        own_labels=labels.from_class_numbers(classes, numbers),
    )


def _batch_files(path: Path) -> list[str]:
    """Return the names of the metadata and batch files; [] for another kind of tar."""
    layouts = {
        PYTHON: ["batches.meta", *BATCHES],
        BINARY: ["batches.meta.txt", *(f"{name}.bin" for name in BATCHES)],
    }
    try:
        with tarfile.open(path) as archive:
            for _, member in zip(range(4), archive, strict=False):
                top = member.name.removeprefix("./").split("/")[0]
                if top in layouts:
                    return [f"{top}/{name}" for name in layouts[top]]
    except ARCHIVE_ERRORS:  # `archives.open_tar` reports it
        pass
    return []


def _content(archive: tarfile.TarFile, name: str) -> bytes:
    member = archive.getmember(name)
    if not member.isreg() or member.size > MAX_BATCH_BYTES:
        raise ValueError(f"{name} is not a file of at most {MAX_BATCH_BYTES:,} bytes")
    return archive.extractfile(member).read()


def _python_batch(content: bytes) -> tuple[np.ndarray, np.ndarray]:
    batch = _unpickle(content)
    pixels, numbers = np.asarray(batch["data"]), np.asarray(batch["labels"])
    shape = (len(numbers), 3 * SIDE * SIDE)
    if pixels.dtype != np.uint8 or numbers.dtype.kind != "i" or pixels.shape != shape:
        raise ValueError(f"a batch holds {pixels.dtype} {pixels.shape}")
    return pixels, numbers


def _binary_batch(content: bytes) -> tuple[np.ndarray, np.ndarray]:
    rows = np.frombuffer(content, np.uint8).reshape(-1, 1 + 3 * SIDE * SIDE)
    return rows[:, 1:], rows[:, 0].astype(np.int64)


class _OnlyArrays(pickle.Unpickler):
    """Unpickler restricted to arrays and plain values: a pickle can run any code."""

    def find_class(self, module: str, name: str) -> Any:
        array = module in ("numpy.core.multiarray", "numpy._core.multiarray")
        if array and name == "_reconstruct":
            return np.empty(0).__reduce__()[0]
        if module == "numpy" and name in ("ndarray", "dtype"):
            return getattr(np, name)
        if (module, name) == ("_codecs", "encode"):
            return str.encode
        raise pickle.UnpicklingError(f"its pickle refers to {module}.{name}")


def _unpickle(content: bytes) -> dict:
    return _OnlyArrays(io.BytesIO(content), encoding="latin1").load()
