"""Flags and help of `python -m stylegan_jax.prepare`."""

import os

from stylegan_jax.runtime import flag
from stylegan_jax.runtime.command import Command

CROPS = ("none", "center", "center-wide")
FILTERS = ("lanczos", "box", "area")
LABELS = ("auto", "folders", "dataset.json", "none")
FORMATS = ("auto", "tfrecord", "zip")
CHANNELS = ("auto", "1", "3", "4")
MAX_PIXELS = 2**26

COMMAND = Command(
    "prepare",
    "Convert images of any size and format into a data set of one size, which training "
    "reads fast. Sizes are WIDTHxHEIGHT, in pixels.",
    (
        "--source=photos.zip --out=data/photos --resolution=256 --crop=center",
        "--source=photos --out=photos.zip --resolution=512x384 --crop=center",
    ),
    {
        "Input": (
            flag.text(
                "source",
                "PATH",
                "The images: a folder, zip or tar of images; CIFAR-10's tar, MNIST's "
                "idx3, NVIDIA's TFRecords, LSUN's LMDB, Hugging Face's parquet; or "
                "tfds:NAME, a data set of TensorFlow Datasets.",
                required=True,
            ),
            flag.text(
                "split",
                "NAME",
                "The split of tfds:NAME or of parquet files.",
                absent="train for tfds:NAME, all files of parquet",
            ),
            flag.text(
                "tfds_data_dir",
                "DIRECTORY",
                "The directory of TensorFlow Datasets.",
                absent="~/tensorflow_datasets",
            ),
            flag.integer(
                "max_images",
                "N",
                "The number of images to use, starting at the first.",
                minimum=1,
                absent="all images",
            ),
            flag.integer(
                "max_pixels",
                "N",
                "The largest number of pixels of an image; larger ones are left out "
                "before they are decoded.",
                MAX_PIXELS,
                minimum=1,
                unit="pixels, as of 8192x8192",
            ),
            flag.choice(
                "labels",
                "The labels: folders makes a class of each subfolder, dataset.json "
                "reads that file next to the images, none leaves labels out, auto uses "
                "those of dataset.json or of the format, if any.",
                "auto",
                LABELS,
            ),
        ),
        "Images": (
            flag.text(
                "resolution",
                "SIZE",
                "The size of the result in pixels: SIDE or WIDTHxHEIGHT, such as 256 "
                "or 512x384.",
                absent="that of the images, which must be the same for all",
            ),
            flag.choice(
                "crop",
                "The part of an image to keep: none resizes the whole image; center "
                "first crops to the largest centered window of the same aspect ratio; "
                "center-wide is NVIDIA's crop, padded with black to a square.",
                "none",
                CROPS,
            ),
            flag.choice(
                "filter",
                "The filter for resizing: lanczos, box or area.",
                "lanczos",
                FILTERS,
            ),
            flag.choice(
                "channels",
                "The number of channels: 1, 3, 4, or auto, which is 1 if all images "
                "are gray and else 3. Transparency is composited on white, except with "
                "4.",
                "auto",
                CHANNELS,
            ),
        ),
        "Output": (
            flag.text(
                "out",
                "PATH",
                "The folder to write, or a file that ends in .zip. It must not exist.",
                required=True,
            ),
            flag.choice(
                "format",
                "The format: tfrecord is a folder for data.source=prepared, zip a "
                "zip for data.source=zip and NVIDIA's code, auto is zip if --out ends "
                "in .zip.",
                "auto",
                FORMATS,
            ),
            flag.switch(
                "multires",
                "Also store every lower resolution down to 4, for growing networks.",
            ),
            flag.switch(
                "strict", "Stop at the first unusable image instead of skipping it."
            ),
            flag.switch("resume", "Continue an unfinished run."),
            flag.integer(
                "workers",
                "N",
                "The number of images processed at the same time.",
                os.cpu_count() or 1,
                minimum=1,
                unit="threads, one per core",
            ),
        ),
    },
)
