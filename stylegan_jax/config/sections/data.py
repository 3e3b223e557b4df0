"""Settings of the real images."""

import dataclasses

from stylegan_jax.config.setting import (
    BASE_SIZE,
    DECAY,
    POSITIVE,
    RESOLUTION,
    setting,
)


@dataclasses.dataclass(frozen=True)
class Data:
    """The real images: their source, geometry and labels."""

    source: str = setting(
        "auto",
        "Kind of data set. `auto` infers it from `path`; without one, it is `tfds` if "
        "`tfds_name` is set, else `builtin`. The others are the keys of "
        "`data.sources.SOURCES`: `builtin` (images of the package), `tfds` (TensorFlow "
        "Datasets), `folder` (a directory of images, searched recursively), `zip` (a "
        "zip file of images), `prepared` (a directory written by `python -m "
        "stylegan_jax.prepare`) or `tfrecords` (a directory of NVIDIA's "
        "multi-resolution files).",
    )
    builtin: str = setting(
        "emoji",
        "Images of `builtin`: `emoji` (1,631 Noto emoji), `smileys` (428 smileys from "
        "four fonts), or a split of these: nine tenths, `smileys_training`, and the "
        "rest, `smileys_held_out`.",
        choices=("emoji", "smileys", "smileys_training", "smileys_held_out"),
    )
    builtin_classes: str = setting(
        "folder",
        "Classes of the built-in images: `folder` (the group of an emoji, the font of "
        "a smiley) or `expression` (of a smiley, such as grinning-face).",
        choices=("folder", "expression"),
    )
    path: str | None = setting(
        None, "File or directory of the images; not allowed with `builtin` and `tfds`."
    )
    tfds_name: str | None = setting(
        None, "Name in TensorFlow Datasets, e.g. `cifar10` or `lsun/bedroom`."
    )
    tfds_split: str = setting("train", "Split of the TFDS data set.")
    tfds_data_dir: str | None = setting(
        None, "Directory of TFDS; None: `~/tensorflow_datasets`."
    )
    tfds_download: bool = setting(
        True,
        "Download and prepare a missing TFDS data set; False: fail if it is missing.",
    )
    resolution: int = setting(
        1024,
        "Resolution of the images and the full resolution of the networks.",
        unit="pixels",
        rule=RESOLUTION,
    )
    base_size: tuple[int, int] = setting(
        (4, 4),
        "Height and width of the images at resolution 4 (stylegan2 only): with (4, 8), "
        "resolution 512 means images that are 1024 wide and 512 high.",
        unit="pixels",
        rule=BASE_SIZE,
    )
    channels: int = setting(
        3, "Number of channels: 1 (grayscale), 3 (RGB) or 4 (RGBA).", choices=(1, 3, 4)
    )
    fit: str = setting(
        "exact",
        "Handling of images of other sizes: `exact` rejects them, `crop` crops the "
        "center and resizes it.",
        choices=("exact", "crop"),
    )
    conditional: bool = setting(False, "Condition both networks on the class labels.")
    mirror: bool = setting(False, "Flip each real image horizontally at random.")
    held_out: float = setting(
        0.0,
        "Fraction of the images, chosen at random, that is held out from training; the "
        "log then shows how much the discriminator overfits.",
        rule=DECAY,
    )
    cache: str = setting(
        "auto",
        "Cache of decoded images, which are then decoded once per stage: `device` "
        "(sharded over the devices), `host` (in the memory of every process) or "
        "`none`. `auto` caches up to 2 GiB: on the devices if that is at most a tenth "
        "of their memory, else on the host; on CPUs it is `host`. The images and their "
        "order are always the same.",
        choices=("auto", "device", "host", "none"),
    )
    prefetch_batches: int = setting(
        4,
        "Number of batches to decode ahead of the training step, if there is no cache.",
        rule=POSITIVE,
    )
