"""The files that `prepare` writes: dataset_info.json, shards, and NVIDIA's zip."""

import hashlib
import json
import os
import platform
import shutil
import zipfile
from importlib import metadata
from pathlib import Path

import numpy as np
import PIL

from stylegan_jax.data.formats import tfrecord
from stylegan_jax.data.interface import RawDataset
from stylegan_jax.data.label_file import LABEL_FILE
from stylegan_jax.data.labels import Labels
from stylegan_jax.data.preparation.options import OutputSize, PrepareOptions
from stylegan_jax.runtime.tensorflow import tensorflow

INFO = "dataset_info.json"
FORMAT_VERSION = 2
PROGRESS = "progress"  # folder with the state of an unfinished run
# The date of every entry, so that zips of the same images are identical.
ZIP_DATE = (1980, 1, 1, 0, 0, 0)


def shard_name(resolution: int, shard: int, count: int) -> str:
    """Return the file name of a shard of `count`."""
    return f"r{resolution:04d}-{shard:05d}-of-{count:05d}.tfrecord"


def dataset_info(
    raw: RawDataset,
    options: PrepareOptions,
    size: OutputSize,
    channels: int,
    labels: Labels,
    shards: list[dict],
) -> dict:
    """Return the content of dataset_info.json; `shards` are their summaries."""
    columns = zip(*(shard["label_totals"] for shard in shards), strict=True)
    digest = sum(int(shard["digest"], 16) for shard in shards) % 2**256
    content = f"{digest:064x}{json.dumps(labels.names)}".encode()
    return {
        "format_version": FORMAT_VERSION,
        "num_images": sum(shard["count"] for shard in shards),
        "height": size.size[0],
        "width": size.size[1],
        "base_size": size.base_size,
        "resolution": size.resolution,
        "channels": channels,
        "classes": labels.names,
        "label_vectors": labels.are_vectors,
        "label_totals": [sum(column) for column in columns],
        "resolutions": size.levels(options.multires),
        "images_of_shard": [shard["count"] for shard in shards],
        "crop": options.crop,
        "filter": options.filter,
        "fingerprint": hashlib.sha256(content).hexdigest(),
        "source": Path(raw.name).name,
        "animated": sum(shard["animated"] for shard in shards),
        "skipped": [entry for shard in shards for entry in shard["skipped"]],
        "versions": versions(),
    }


def versions() -> dict[str, str]:
    """Return the versions of the programs that determine the bytes of the result."""
    try:
        own = metadata.version("stylegan_jax")
    except metadata.PackageNotFoundError:  # run from a checkout
        own = "not installed"
    return {
        "stylegan_jax": own,
        "pillow": PIL.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
    }


def finish(partial: Path, options: PrepareOptions, info: dict) -> None:
    """Rename the result, and only then delete the state that resuming needs."""
    if options.format == "zip":
        complete = partial / "whole.zip"
        write_nvidia_zip(complete, partial, info)
        tfrecord.replace(complete, options.out)
        shutil.rmtree(partial)
        return
    write_json(partial / INFO, info)
    os.replace(partial, options.out)
    shutil.rmtree(options.out / PROGRESS)


def write_nvidia_zip(path: Path, folder: Path, info: dict) -> None:
    """Write prepared shards as the zip that StyleGAN2-ADA and StyleGAN3 train from.

    Args:
      path: path of the zip.
      folder: folder with the shards of one resolution, which hold PNGs.
      info: content of dataset_info.json, which goes into the zip, too.
    """
    labels = []
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:

        def add(name: str, content: bytes | str) -> None:
            archive.writestr(zipfile.ZipInfo(name, ZIP_DATE), content)

        reader = tfrecord.Reader(sorted(folder.glob("r*.tfrecord")))
        for index in range(len(reader)):
            example = tensorflow().train.Example.FromString(reader.read(index))
            name = f"{index:08d}"[:5] + f"/img{index:08d}.png"
            add(name, example.features.feature["image"].bytes_list.value[0])
            label = example.features.feature["label"]
            if info["label_vectors"]:
                labels.append((name, list(label.float_list.value)))
            else:
                labels.append((name, *label.int64_list.value))
        add(INFO, json.dumps(info, indent=1))
        content = {"labels": labels if info["classes"] else None}
        add(LABEL_FILE, json.dumps(content))


def write_json(path: Path, value: dict) -> None:
    """Write a JSON file atomically."""
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_text(to_json(value), encoding="utf-8")
    tfrecord.replace(temporary, path)


def to_json(value: dict) -> str:
    """Return JSON in ASCII, because names that are not UTF-8 have lone surrogates."""
    return json.dumps(value, indent=1) + "\n"
