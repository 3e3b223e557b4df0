"""Flags and help of `python -m stylegan_jax.evaluate`."""

from stylegan_jax.commands import network, processes
from stylegan_jax.config import Evaluation
from stylegan_jax.runtime import flag
from stylegan_jax.runtime.command import Command

FEATURES = ("inception", "inception_pytorch_fid", "inception_clean_fid", "vgg16")
NOISE = ("const", "random", "none")

COMMAND = Command(
    "evaluate",
    "Measure a generator against real images, or compare two sets of images. Sizes are "
    "WIDTHxHEIGHT, in pixels.",
    (
        "--network=runs/smileys --metrics=swd,msssim",
        "--images_a=cifar/train --images_b=cifar/test --metrics=fid50k,kid,pr",
    ),
    {
        "Images": (
            flag.text(
                "network",
                "NETWORK",
                "The network whose images are compared with its training data: "
                "smileys64, the directory of a training run or of a conversion, a "
                ".safetensors file, an official .pkl, or hub:OWNER/NAME.",
            ),
            network.WORKDIR,
            network.STEP,
            flag.text(
                "data",
                "PATH",
                "Real images in place of the run's data: a folder, zip or prepared "
                "set.",
                absent="the data of the run",
            ),
            flag.text(
                "images_a",
                "PATH",
                "Real images to compare --images_b with, without a generator: a "
                "folder, zip or prepared set.",
            ),
            flag.text(
                "images_b", "PATH", "The images to compare with --images_a, likewise."
            ),
            flag.text(
                "size",
                "SIZE",
                "The size to compare images at in pixels: SIDE or WIDTHxHEIGHT, such "
                "as 64 or 96x64.",
                absent="that of the smaller images",
            ),
            flag.choice(
                "fit",
                "The handling of images of other sizes: exact rejects them unless the "
                "sides are 2, 4, 8... times as long, crop crops the center and resizes "
                "it.",
                "exact",
                ("exact", "crop"),
            ),
            flag.switch("mirror_reals", "Flip half of the real images horizontally."),
        ),
        "Measurement": (
            flag.names(
                "metrics",
                "NAMES",
                "The metrics, separated by commas; --help=metrics lists them. swd and "
                "msssim need no feature network.",
                ["swd", "msssim"],
            ),
            flag.integer(
                "images",
                "N",
                "The number of generated images.",
                minimum=2,
                absent="the metric's default, 50000 for fid50k",
            ),
            flag.number(
                "truncation_psi",
                "PSI",
                "The truncation; papers report metrics with 1.",
                1.0,
            ),
            flag.choice(
                "noise",
                "The noise inputs of the generator: random draws new ones for each "
                "image, const uses the network's fixed maps, none leaves them out.",
                "random",
                NOISE,
            ),
            flag.integer(
                "seed",
                "N",
                "The seed of all random numbers.",
                0,
                minimum=0,
                maximum=2**32 - 2,  # labels are drawn with the next one
            ),
            flag.choice(
                "features",
                "The feature network of fid50k, kid, is and pr: "
                + ", ".join(FEATURES)
                + ".",
                "inception",
                FEATURES,
            ),
            flag.text(
                "detector",
                "FILE",
                "The weights of the feature network.",
                absent="found in the cache, else downloaded",
            ),
            flag.text(
                "vgg16",
                "FILE",
                "The weights of VGG16, for LPIPS and path lengths.",
                absent="found in the cache, else downloaded",
            ),
            flag.text(
                "efficientnet",
                "FILE",
                "The weights of EfficientNet-Lite0, for kid_efficientnet and "
                "fd_efficientnet.",
                absent="found in the cache, else in the package of the extra metrics",
            ),
            flag.text(
                "attributes",
                "MODULE:FUNCTION",
                "The attribute classifier, for ls: a Python function from images "
                "[B,h,w,3] uint8 to logits [B,A].",
            ),
            flag.integer(
                "batch_size",
                "N",
                "The number of images computed at a time, over all devices; it must be "
                "a multiple of twice the number of devices.",
                minimum=2,
                absent="32 images, or the next multiple",
            ),
        ),
        "Output": (
            flag.text(
                "out",
                "FILE.jsonl",
                "The file to append a line of JSON to for each number.",
                absent="metrics.jsonl in the run's directory, else in the current one",
            ),
            flag.text(
                "cache",
                "DIRECTORY",
                "The directory to cache statistics of real images in; empty: none.",
                Evaluation().cache,
                may_be_empty=True,
            ),
        ),
        "Several processes": processes.FLAGS,
    },
    topics={"metrics": "stylegan_jax.metrics.registry:table"},
)
