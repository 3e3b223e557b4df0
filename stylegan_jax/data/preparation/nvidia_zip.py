"""Writes the zip that NVIDIA's StyleGAN2-ADA and StyleGAN3 train from."""

import json
import zipfile
from pathlib import Path

from stylegan_jax.data import tfrecords
from stylegan_jax.runtime.tensorflow import tensorflow

LONG_AGO = (1980, 1, 1, 0, 0, 0)  # as the time of every entry: same images, same bytes


def write(path: Path, folder: Path, info: dict) -> None:
    """Writes the prepared records in a folder, which hold PNGs, as a zip.

    Args:
      path: of the zip.
      folder: with the shards of one resolution.
      info: content of dataset_info.json; it goes into the zip, too, in ASCII, as it may
        list names that are no UTF-8.
    """
    labels = []
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:

        def add(name: str, content: bytes | str) -> None:
            archive.writestr(zipfile.ZipInfo(name, LONG_AGO), content)

        for shard in sorted(folder.glob("r*.tfrecord")):
            ends = tfrecords.offsets(shard).tolist()
            for begin, end in zip(ends[:-1], ends[1:], strict=True):
                example = tensorflow().train.Example()
                example.ParseFromString(tfrecords.read(shard, begin, end))
                digits = f"{len(labels):08d}"
                name = f"{digits[:5]}/img{digits}.png"
                feature = example.features.feature
                add(name, feature["image"].bytes_list.value[0])
                label = feature["label"]
                if info["label_vectors"]:
                    labels.append((name, list(label.float_list.value)))
                else:
                    labels.append((name, *label.int64_list.value))
        add("dataset_info.json", json.dumps(info, indent=1))
        content = {"labels": labels if info["classes"] else None}
        add("dataset.json", json.dumps(content))
