"""Code shared by the sources of encoded image files: folders, zips and the emoji."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import PurePath
from typing import Any

from stylegan_jax import config
from stylegan_jax.data import decoding, images
from stylegan_jax.data.images import ImageSpec
from stylegan_jax.data.interface import InvalidImage, Loader, Source
from stylegan_jax.data.labels import Labels
from stylegan_jax.data.preparation.options import output_size
from stylegan_jax.runtime.messages import command, sides

MAX_LISTED = 5  # images named in one error message


def image_file_source(
    data: config.Data,
    labels: Labels,
    *,
    name: str,
    fingerprint: str,
    describe: Callable[[int], str],
    read: Callable[[int], bytes],
    keys: Callable[[Any], Any],
    read_key: Callable[[Any], Any] = lambda key: key,
    notes: tuple[str, ...] = (),
) -> Source:
    """Build a source of encoded images from functions that read them.

    Training reads an image in two steps, both inside `tf.data`: `keys` maps a batch of
    indices to one tensor per image, such as its path, and `read_key` maps this tensor
    to the encoded image. The default `read_key` is for `keys` that returns the encoded
    images themselves.

    Args:
      data: the `data` section of the configuration.
      labels: labels of all images.
      name: name in messages.
      fingerprint: hex digest of the content.
      describe: index -> file of the image, for messages.
      read: index -> encoded image, in plain Python. It is called to find out why an
        image cannot be decoded. Raises InvalidImage or FileNotFoundError.
      keys: int64 tensor [n] of indices -> tensor [n] of keys.
      read_key: key, tensor [] -> encoded image, string tensor [].
      notes: sentences for the user.
    """
    spec = ImageSpec.from_config(data)
    label_of = labels.lookup()

    def decode(key: Any, label: Any) -> tuple[Any, Any]:
        return decoding.load_encoded(read_key(key), spec), label

    def check(index: int) -> str | None:
        try:
            encoded = read(index)
        except InvalidImage as problem:
            return str(problem)
        except (FileNotFoundError, NotADirectoryError) as error:
            return f"cannot be read: {error.strerror}"
        return decoding.encoded_problem(encoded, spec)

    return Source.create(
        data,
        labels.counts(),
        name=name,
        fingerprint=fingerprint,
        load=Loader(decode, lambda indices: (keys(indices), label_of(indices))),
        describe=describe,
        check=check,
        notes=notes,
    )


def evenly_spaced(count: int, most: int) -> list[int]:
    """Return at most `most` evenly spaced indices in [0, count)."""
    taken = min(count, most)
    return [i * count // taken for i in range(taken)]


def check_headers(
    names: Sequence[str],
    header_of: Callable[[str], images.Size | str],
    data: config.Data,
    most: int,
) -> None:
    """Read the headers of all images, or of an even sample, to report errors early.

    Args:
      names: names of the images in `data.path`.
      header_of: name -> (height, width), or the reason why the image cannot be used.
      data: the config that the images must fit.
      most: maximum number of headers to read.

    Raises:
      ValueError: images are damaged, or have a size that does not fit.
    """
    sample = [names[i] for i in evenly_spaced(len(names), most)]
    with ThreadPoolExecutor(16) as pool:
        headers = list(pool.map(header_of, sample))
    spec = ImageSpec.from_config(data)
    root = data.path.rstrip("/")
    damaged, unfit, unfit_sizes = [], [], []
    for name, header in zip(sample, headers, strict=True):
        if isinstance(header, str):
            damaged.append(f"{root}/{name} {header}")
            continue
        problem = images.size_problem(*header, spec.size, spec.fit)
        if problem:
            unfit.append(f"{root}/{name} {problem}")
            unfit_sizes.append(header)
    counted = f"of the {len(sample)} images checked in `data.path` (={data.path!r})"
    if damaged:
        raise ValueError(
            f"{len(damaged)} {counted} cannot be used as they are; remove or replace "
            f"them, or make a data set with `{prepare_command(data)}`, which leaves "
            "out damaged images:" + _listing(damaged)
        )
    if unfit:
        shape = f" and `data.base_size` (={data.base_size})"
        shape *= data.base_size != (4, 4)
        fitting = _fitting_settings(set(unfit_sizes), len(unfit) == len(sample))
        raise ValueError(
            f"{len(unfit)} {counted} have a size that does not fit `data.resolution` "
            f"(={data.resolution}){shape}; {images.size_remedy(unfit_sizes, data)}"
            f"{fitting}; or "
            f"make a data set of one size with `{prepare_command(data)}`:"
            + _listing(unfit)
        )


def size_settings(base_size: Sequence[int], resolution: int) -> str:
    """Return the settings that fit images of a size, as flags for a shell."""
    flags = f"--config.data.resolution={resolution}"
    if tuple(base_size) != (4, 4):
        flags += f" --config.data.base_size='{tuple(base_size)}'"
    return f"`{flags}`"


def _fitting_settings(sizes: set[images.Size], are_all: bool) -> str:
    """Return a clause with the settings that fit all images; "" if there are none."""
    if len(sizes) != 1 or not are_all:
        return ""
    try:
        own = output_size(*sizes)
    except ValueError:  # the networks do not support this size
        return ""
    return f"; all of them fit {size_settings(own.base_size, own.resolution)}"


def prepare_command(data: config.Data) -> str:
    """Return the command that prepares a folder that fits `data`."""
    size = sides(config.image_size(data.base_size, data.resolution))
    if data.source == "tfds":
        name = data.tfds_name.replace("/", "-")
        source = [f"--source=tfds:{data.tfds_name}", f"--split={data.tfds_split}"]
    else:
        name = PurePath(data.path).stem or "images"
        source = [f"--source={data.path}"]
    return command(
        "prepare",
        *source,
        f"--out={name}-{size}",
        f"--resolution={size}",
        "--crop=center",
    )


def _listing(problems: list[str]) -> str:
    lines = problems[:MAX_LISTED]
    if len(problems) > MAX_LISTED:
        lines.append(f"... and {len(problems) - MAX_LISTED} more")
    return "".join(f"\n  {line}" for line in lines)
