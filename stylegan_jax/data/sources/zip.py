"""A zip of images as a data source: any zip, or NVIDIA's with its dataset.json."""

import hashlib
from typing import Any

from stylegan_jax import config
from stylegan_jax.data import decoding, images, label_file
from stylegan_jax.data.formats.archives import open_zip
from stylegan_jax.data.interface import InvalidImage, Source
from stylegan_jax.data.sources.image_files import check_headers, image_file_source
from stylegan_jax.runtime import storage
from stylegan_jax.runtime.tensorflow import tensorflow

MAX_HEADERS = 5000  # entries read at opening; an even sample of larger zips


def open_zip_source(data: config.Data) -> Source:
    """Open all images of the zip `data.path` in the order of their names.

    The labels are those of the zip's dataset.json. Without such a file, folders are
    classes; see `labels.from_folders`.

    Raises:
      ValueError: the file is not a zip or has no images, images are damaged or have an
        unusable size, or the labels are wrong and `data.conditional` needs them.
    """
    path = storage.local_path(data.path, "data.path")
    if not path.is_file():
        raise ValueError(f"`data.path` (={data.path!r}) must be a zip of images")
    archive = open_zip(path, "data.path")
    index_of = {name: index for index, name in enumerate(archive.names)}

    def header_of(name: str) -> images.Size | str:
        try:
            encoded = archive.read(index_of[name])
        except InvalidImage as problem:
            return str(problem)
        return decoding.size_or_problem(encoded)

    check_headers(archive.names, header_of, data, MAX_HEADERS)
    tf = tensorflow()

    def read_key(index: Any) -> Any:
        encoded = tf.numpy_function(archive.read, [index], tf.string)
        return tf.ensure_shape(encoded, [])

    file = archive.label_file
    labels, notes = label_file.find(archive.names, file, needed=data.conditional)
    content = archive.identity.encode() + (file.content() if file else b"")
    return image_file_source(
        data,
        labels,
        name=f"zip {data.path}",
        fingerprint=hashlib.sha256(content).hexdigest(),
        describe=lambda index: f"{data.path}/{archive.names[index]}",
        read=archive.read,
        keys=lambda indices: indices,
        read_key=read_key,
        notes=(*archive.notes, *notes),
    )
