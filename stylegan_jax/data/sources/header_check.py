"""Looks at the sizes of images before training, so that misfits are told at once."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from stylegan_jax import config
from stylegan_jax.data import images

MAX_LISTED = 5  # images named in one message


def even_sample(count: int, most: int) -> list[int]:
    """At most so many indices below `count`, evenly spread."""
    taken = min(count, most)
    return [i * count // taken for i in range(taken)]


def check_headers(
    names: Sequence[str],
    header_of: Callable[[str], images.Size | str],
    data: config.Data,
    most: int,
) -> None:
    """Reads the headers of all images, or of an even sample.

    Args:
      names: of the images in `data.path`.
      header_of: name -> (height, width), or a text: why there is none.
      data: what they must fit.
      most: how many to look at.

    Raises:
      ValueError: some are damaged, or of a size that does not fit.
    """
    sample = [names[i] for i in even_sample(len(names), most)]
    with ThreadPoolExecutor(16) as pool:
        headers = list(pool.map(header_of, sample))
    size = config.image_size(data.base_size, data.resolution)
    damaged, unfit, unfit_sizes = [], [], []
    for name, header in zip(sample, headers, strict=True):
        if isinstance(header, str):
            damaged.append(f"{data.path.rstrip('/')}/{name} {header}")
            continue
        problem = images.size_problem(*header, size, data.fit)
        if problem:
            unfit.append(f"{data.path.rstrip('/')}/{name} {problem}")
            unfit_sizes.append(header)
    what = f"of the {len(sample)} images looked at in `data.path` (={data.path!r})"
    if damaged:
        raise ValueError(
            f"{len(damaged)} {what} can't be used as they are; remove or replace them, "
            f"or make a data set with `{prepare_command(data)}`, which turns images, "
            "takes the first of animations and leaves out what is damaged:"
            + _listing(damaged)
        )
    if unfit:
        rectangle = f" and `data.base_size` (={data.base_size})"
        raise ValueError(
            f"{len(unfit)} {what} have a size that does not fit `data.resolution` "
            f"(={data.resolution})"
            + rectangle
            * (data.base_size != (4, 4))
            + f"; {images.size_remedy(unfit_sizes, data)}; or make a data set of one "
            f"size with `{prepare_command(data)}`:" + _listing(unfit)
        )


def prepare_command(data: config.Data) -> str:
    """The command that makes a prepared folder which fits `data`."""
    height, width = config.image_size(data.base_size, data.resolution)
    source = data.path
    if data.source == "tfds":
        source = f"tfds:{data.tfds_name} --split={data.tfds_split}"
    return (
        f"python -m stylegan_jax.prepare --source={source} --out=... "
        f"--resolution={width}x{height} --crop=center"
    )


def _listing(problems: list[str]) -> str:
    lines = problems[:MAX_LISTED]
    if len(problems) > MAX_LISTED:
        lines.append(f"... and {len(problems) - MAX_LISTED} more")
    return "".join(f"\n  {line}" for line in lines)
