"""Parquet files in the layout of Hugging Face's `datasets`, made here."""

import json

import pyarrow
import pytest
from pyarrow import parquet

from stylegan_jax.data import formats
from stylegan_jax.data.interface import InvalidImage
from tests.data.opened import prepare
from tests.data.raw_data import png

IMAGE = pyarrow.struct({"bytes": pyarrow.binary(), "path": pyarrow.string()})


def write(path, contents, labels=None, names=("cat", "dog"), column="image", **more):
    """Write a file with row groups of three rows."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [{"bytes": c, "path": f"{i}.png"} for i, c in enumerate(contents)]
    columns = {column: pyarrow.array(rows, IMAGE)} | more
    features = {column: {"_type": "Image"}}
    if labels is not None:
        columns["label"] = pyarrow.array(labels, pyarrow.int64())
        features["label"] = {"names": list(names), "_type": "ClassLabel"}
    table = pyarrow.table(columns)
    note = json.dumps({"info": {"features": features}})
    table = table.replace_schema_metadata({"huggingface": note} if names else None)
    parquet.write_table(table, path, row_group_size=3)
    return path


def test_a_folder_of_shards(tmp_path):
    data = tmp_path / "set" / "data"
    images = [png(i) for i in range(9)]
    write(data / "train-00000-of-00002.parquet", images[:5], [0, 1, 1, 0, 1])
    write(data / "train-00001-of-00002.parquet", images[5:8], [1, 1, 1])
    write(data / "test-00000-of-00001.parquet", images[8:], [-1])
    with pytest.raises(ValueError, match="`--split` .=None. must be one of test, trai"):
        formats.open_raw_dataset(str(data.parent))
    train = formats.open_raw_dataset(str(data.parent), "train")
    assert [train.read(i) for i in (0, 1, 4, 5, 7, 2)] == [
        images[i] for i in (0, 1, 4, 5, 7, 2)
    ]
    assert train.names[5] == "train-00001-of-00002.parquet row 0"
    assert train.own_labels.names == ("cat", "dog")
    assert train.own_labels.values.tolist() == [0, 1, 1, 0, 1, 1, 1, 1]
    test = formats.open_raw_dataset(str(data.parent), "test")
    assert test.own_labels is None and test.read(0) == images[8]


def test_a_file_is_prepared(tmp_path):
    path = write(tmp_path / "x.parquet", [png(1), b"bad", None, png(2)], [0, 1, 1, 1])
    info = prepare(path, tmp_path / "out")
    assert info["num_images"] == 2 and info["label_totals"] == [1, 1]
    assert dict(info["skipped"]) == {
        "x.parquet row 1": "is not an image, or its header is damaged",
        "x.parquet row 2": "holds no image, perhaps only a path to one elsewhere",
    }


def test_names_of_columns_and_classes_may_be_missing(tmp_path):
    more = {"other": pyarrow.array([None, None], IMAGE)}
    path = write(tmp_path / "x.parquet", [png(1)] * 2, [2, 0], (), "img", **more)
    opened = formats.open_raw_dataset(str(path))
    assert opened.read(1) == png(1) and opened.own_labels.names == ("0", "1", "2")
    none = formats.open_raw_dataset(str(write(tmp_path / "y.parquet", [png(1)])))
    assert none.own_labels is None


def test_damage_is_reported(tmp_path):
    def failure(path) -> str:
        with pytest.raises(ValueError) as error:
            formats.open_raw_dataset(str(path))
        return str(error.value)

    path = write(tmp_path / "x.parquet", [png(i) for i in range(6)], [0, 5, 0, 0, 0, 0])
    assert "labels from 0 to 5; they must be from 0 to 1" in failure(path)
    whole = path.read_bytes()
    path.write_bytes(whole[:-9])
    assert "cannot be read as parquet" in failure(path)
    parquet.write_table(pyarrow.table({"a": [1]}), path)
    assert "must have a column of images (structs with `bytes`); it has" in failure(
        path
    )
    write(path, [png(i, size=(64, 64)) for i in range(6)])
    content = bytearray(path.read_bytes())
    content[100:400] = bytes(300)  # in the first group of rows
    path.write_bytes(content)
    opened = formats.open_raw_dataset(str(path))
    try:
        assert opened.read(0) != png(0, size=(64, 64))
    except InvalidImage as problem:
        assert "cannot be read" in str(problem)
    assert opened.read(3) == png(3, size=(64, 64))
