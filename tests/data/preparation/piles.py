"""Piles of images for tests, and what `prepare` makes of them."""

import io
import tarfile
import zipfile

import numpy as np
import pytest
from PIL import Image

from stylegan_jax.data import formats, preparation
from stylegan_jax.data.preparation.request import Request
from stylegan_jax.runtime.tensorflow import tensorflow


def picture(seed=0, size=(16, 16), bands=3) -> Image.Image:
    shape = [size[1], size[0], bands]
    pixels = np.random.default_rng(seed).integers(0, 256, shape, np.uint8)
    return Image.fromarray(pixels[..., 0] if bands == 1 else pixels)


def png(*args, kind="PNG", **kwargs) -> bytes:
    file = io.BytesIO()
    picture(*args, **kwargs).save(file, kind)
    return file.getvalue()


def pile(kind, path, files: dict[str, bytes]):
    """Writes files as a folder, zip or tar."""
    path = path.with_name(f"{path.name}.{kind}") if kind != "folder" else path
    if kind == "folder":
        for name, content in files.items():
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            (path / name).write_bytes(content)
    elif kind == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            for name, content in files.items():
                archive.writestr(name, content)
    else:
        with tarfile.open(path, f"w:{kind.partition('.')[2]}") as archive:
            for name, content in files.items():
                member = tarfile.TarInfo(name)
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
    return path


def prepare(source, out, **changes) -> dict:
    opened = formats.open_collection(str(source))
    return preparation.prepare(opened, Request(out, **changes), lambda *_: None)


def failure(source, out, **changes) -> str:
    with pytest.raises(ValueError) as error:
        prepare(source, out, **changes)
    return str(error.value)


def records(path) -> list[tuple[np.ndarray, int | None]]:
    """Images and labels of a shard, read by TensorFlow, which checks each crc."""
    found = []
    for record in tensorflow().data.TFRecordDataset(str(path)).as_numpy_iterator():
        feature = tensorflow().train.Example.FromString(record).features.feature
        image = Image.open(io.BytesIO(feature["image"].bytes_list.value[0]))
        found.append((np.asarray(image), *feature["label"].int64_list.value))
    return found


def contents(folder) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in folder.iterdir()}


FILES = {f"{'ab'[i % 2]}/{i}.png": png(i) for i in range(10)}
