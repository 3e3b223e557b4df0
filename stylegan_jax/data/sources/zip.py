"""A zip of images as a data source: any, or NVIDIA's with its dataset.json."""

import hashlib
from typing import Any

from stylegan_jax import config
from stylegan_jax.data import images, labels
from stylegan_jax.data.formats.archives import open_zip
from stylegan_jax.data.formats.collection import Unusable
from stylegan_jax.data.image_names import SUFFIXES
from stylegan_jax.data.interface import Load, Source
from stylegan_jax.data.sources.header_check import check_headers
from stylegan_jax.runtime import storage

MAX_HEADERS = 5000  # entries read at opening; of more an even sample


def open_zip_source(data: config.Data) -> Source:
    """All images of the zip `data.path`, in the order of their names.

    Their classes are those of the zip's dataset.json; without such a file, and when
    every image lies in a folder, the first-level folders.

    Raises:
      ValueError: no zip, no images, wrong labels, or images that are damaged or have an
        unusable size.
    """
    path = storage.local_path(data.path, "data.path")
    if not path.is_file():
        raise ValueError(
            f"`data.path` (={data.path!r}) must be a zip of images; a folder of them "
            "is of `--config.data.source=folder`"
        )
    archive = open_zip(path, "data.path", SUFFIXES)
    number = {name: index for index, name in enumerate(archive.names)}
    found = labels.of_files(archive.names, archive.label_file, data.path)
    size = config.image_size(data.base_size, data.resolution)
    how = (size, data.channels, data.fit)

    def header_of(name: str) -> images.Size | str:
        try:
            return images.header(archive.read(number[name]), plain=True)
        except Unusable as problem:
            return str(problem)

    check_headers(archive.names, header_of, data, MAX_HEADERS)
    tf = images.tensorflow()
    label_of = found.lookup()

    def decode(index: Any, label: Any) -> tuple[Any, Any]:
        encoded = tf.numpy_function(archive.read, [index], tf.string)
        return images.load_encoded(tf.ensure_shape(encoded, []), *how), label

    def check(index: int) -> str | None:
        try:
            return images.encoded_problem(archive.read(index), *how)
        except Unusable as problem:
            return str(problem)

    content = archive.identity.encode() + (archive.label_file or b"")
    return Source(
        name=f"zip {data.path}",
        num_images=len(archive.names),
        classes=found.names,
        label_vectors=found.are_vectors,
        label_totals=found.totals(),
        base_size=data.base_size,
        resolution=data.resolution,
        channels=data.channels,
        fingerprint=hashlib.sha256(content).hexdigest(),
        load=Load(decode, lambda indices: (indices, label_of(indices))),
        describe=lambda index: f"{data.path}/{archive.names[index]}",
        check=check,
    )
