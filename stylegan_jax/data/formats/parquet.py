"""Parquet files of images in the layout of the Hugging Face Hub, read by pyarrow."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from stylegan_jax.data import labels
from stylegan_jax.data.interface import (
    InvalidImage,
    RawDataset,
    check_bytes,
    identity,
)

SUFFIX = ".parquet"
IMAGE_COLUMNS = ("image", "img")  # preferred among several
LABEL_COLUMN = "label"


def find(folder: Path) -> list[Path]:
    """Return the parquet files in a folder or in its subfolder `data`."""
    return sorted([*folder.glob(f"*{SUFFIX}"), *folder.glob(f"data/*{SUFFIX}")])


def open_parquet(files: list[Path], split: str | None) -> RawDataset:
    """Open the images of a split in the order of files and rows, and their labels.

    Args:
      files: named SPLIT-00000-of-00002.parquet and so on.
      split: name of the split; None if there is only one.

    Raises:
      ValueError: a file is damaged or has no column of images, or `split` is needed.
    """
    files = _of_split(files, split)
    try:
        shards = [_Shard(file) for file in files]
        found = _labels(shards)
    except _errors() as error:
        raise ValueError(
            f"{files[0].parent} cannot be read as parquet: {error}; download it again"
        ) from error
    names = tuple(
        f"{shard.path.name} row {row}" for shard in shards for row in range(shard.count)
    )
    if not names:
        raise ValueError(f"{files[0]} holds no images")
    rows = _Rows(shards)
    return RawDataset(
        name=str(files[0].parent if len(files) > 1 else files[0]),
        names=names,
        identity=identity((file.name, file.stat().st_size) for file in files),
        read=rows.read,
        own_labels=found,
    )


def _pyarrow() -> Any:
    """Import pyarrow, which tensorflow-datasets installs, on first use."""
    import pyarrow
    import pyarrow.parquet

    return pyarrow


def _errors() -> tuple[type[Exception], ...]:
    return OSError, ValueError, KeyError, _pyarrow().ArrowException


def _of_split(files: list[Path], split: str | None) -> list[Path]:
    splits = {file: file.stem.split("-")[0] for file in files}
    names = sorted(set(splits.values()))
    if split is None and len(names) > 1 or split not in (None, *names):
        raise ValueError(
            f"`--split` (={split}) must be one of {', '.join(names)} of "
            f"{files[0].parent}"
        )
    return [file for file in files if split in (None, splits[file])]


class _Shard:
    """The schema of one file: row groups, columns and class names."""

    def __init__(self, path: Path):
        parquet = _pyarrow().parquet.ParquetFile(path)
        self.path = path
        self.groups = [
            parquet.metadata.row_group(i).num_rows
            for i in range(parquet.num_row_groups)
        ]
        self.count = sum(self.groups)
        schema = parquet.schema_arrow
        note = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))
        features = note.get("info", {}).get("features", {})
        self.image = self._image_column(schema)
        self.label, self.classes = self._label_column(schema, features)

    def _image_column(self, schema: Any) -> str:
        """Return the column of images, which are structs with a field `bytes`."""
        types = _pyarrow().types
        found = [
            field.name
            for field in schema
            if types.is_struct(field.type) and field.type.get_field_index("bytes") >= 0
        ]
        chosen = found if len(found) == 1 else [n for n in IMAGE_COLUMNS if n in found]
        if not chosen:
            raise ValueError(
                f"{self.path.name} must have a column of images (structs with `bytes`)"
                f"; it has {', '.join(schema.names)}"
            )
        return chosen[0]

    def _label_column(
        self, schema: Any, features: dict
    ) -> tuple[str | None, tuple[str, ...]]:
        """Return the column's name, if any, and the class names that the file has."""
        classes = {
            name: tuple(feature.get("names", ()))
            for name, feature in features.items()
            if isinstance(feature, dict) and feature.get("_type") == "ClassLabel"
        }
        if len(classes) == 1:
            return next(iter(classes.items()))
        if LABEL_COLUMN in schema.names and _pyarrow().types.is_integer(
            schema.field(LABEL_COLUMN).type
        ):
            return LABEL_COLUMN, classes.get(LABEL_COLUMN, ())
        return None, ()

    def numbers(self) -> np.ndarray:
        """Return the class numbers of all rows; -1 for rows without one."""
        table = _pyarrow().parquet.read_table(self.path, columns=[self.label])
        return table.column(0).fill_null(-1).to_numpy().astype(np.int64)


def _labels(shards: list[_Shard]) -> labels.Labels | None:
    """Return the classes of all images; None if no image has one."""
    kinds = {(shard.label, shard.classes) for shard in shards}
    if len(kinds) > 1:
        raise ValueError(f"the files have different labels: {kinds}")
    ((column, classes),) = kinds
    if column is None:
        return None
    numbers = np.concatenate([shard.numbers() for shard in shards])
    if (numbers == -1).all():
        return None
    classes = classes or range(min(int(numbers.max()) + 1, labels.MAX_SIZE))
    if numbers.min() < 0 or numbers.max() >= len(classes):
        raise ValueError(
            f"the column {column} has labels from {numbers.min()} to {numbers.max()}; "
            f"they must be from 0 to {len(classes) - 1}"
        )
    return labels.from_class_numbers(classes, numbers)


class _Rows:
    """Reader of single images that keeps the current row group in memory."""

    def __init__(self, shards: list[_Shard]):
        self._groups = list(self._all_groups(shards))
        self._begins = np.cumsum([0, *(rows for _, _, rows in self._groups)])
        self._group, self._images = -1, None

    @staticmethod
    def _all_groups(shards: list[_Shard]) -> Iterator[tuple[_Shard, int, int]]:
        for shard in shards:
            for number, rows in enumerate(shard.groups):
                yield shard, number, rows

    def read(self, index: int) -> bytes:
        """Return the encoded file in a row."""
        group = int(np.searchsorted(self._begins, index, side="right")) - 1
        if group != self._group:
            self._images, self._group = None, -1  # never two groups in memory
            self._images, self._group = self._read_group(group), group
        content = self._images[index - int(self._begins[group])].as_py()
        if content is None:
            raise InvalidImage("holds no image, perhaps only a path to one elsewhere")
        check_bytes(len(content))
        return content

    def _read_group(self, group: int) -> Any:
        shard, number, _ = self._groups[group]
        try:
            parquet = _pyarrow().parquet.ParquetFile(shard.path)
            table = parquet.read_row_group(number, columns=[f"{shard.image}.bytes"])
            return table.column(0).combine_chunks().field("bytes")
        except _errors() as error:
            raise InvalidImage(f"cannot be read: {error}") from error
