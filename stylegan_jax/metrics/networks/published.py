"""Finds the weights of feature networks: here, or where their authors put them.

They come from a file that is named, else from the cache folder, else from the address
where they were published.
"""

import dataclasses
import hashlib
import os
from pathlib import Path

from stylegan_jax.metrics.networks import downloads

CACHE_VARIABLE = "STYLEGAN_JAX_CACHE"  # of the environment: a folder


class WeightsNotFound(OSError):
    """There are no weights here, and they cannot be fetched."""


@dataclasses.dataclass(frozen=True)
class Published:
    """Weights as their authors published them.

    Attributes:
      file: its name; the digits in it are how its SHA-256 begins.
      url: where it is.
      sha256_prefix: these digits. More is not known with certainty.
      others: names of other files of these weights, looked for in the cache folder:
        they are published too, or ours.
    """

    file: str
    url: str
    sha256_prefix: str
    others: tuple[str, ...]


WEIGHTS = {
    "inception": Published(
        "pt_inception-2015-12-05-6726825d.pth",
        "https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/"
        "pt_inception-2015-12-05-6726825d.pth",
        "6726825d",
        (
            "weights-inception-2015-12-05-6726825d.pth",
            "inception-2015-12-05.pt",
            "inception.safetensors",
        ),
    ),
    "vgg16": Published(
        "vgg16-397923af.pth",
        "https://download.pytorch.org/models/vgg16-397923af.pth",
        "397923af",
        ("vgg16.pt", "vgg16.safetensors"),
    ),
}


def cache_folder() -> Path:
    """Where weights are looked for and kept."""
    root = os.environ.get(CACHE_VARIABLE) or "~/.cache/stylegan_jax"
    return Path(root).expanduser() / "detectors"


def find(
    name: str,
    path: str | os.PathLike | None = None,
    progress: downloads.Progress | None = None,
) -> Path:
    """The file of a network's weights; downloaded if it is nowhere here.

    Args:
      name: of WEIGHTS.
      path: of the file, if it is known.
      progress: told about a download; a bar on stderr by default.

    Raises:
      ValueError: there is no such network.
      WeightsNotFound: there is no such file, or the download failed.
    """
    if name not in WEIGHTS:
        raise ValueError(f"there are no weights {name!r}; choose of {list(WEIGHTS)}")
    published = WEIGHTS[name]
    if path is not None:
        path = Path(path).expanduser()
        if not path.is_file():
            raise WeightsNotFound(
                f"there is no file {path} with the weights of {name}; leave the option "
                f"out to use those in {cache_folder()}, or else download them"
            )
        return path
    folder = cache_folder()
    for file in (published.file, *published.others):
        if (folder / file).is_file():
            return folder / file
    target = folder / published.file
    try:
        downloads.download(
            published.url,
            target,
            published.sha256_prefix,
            progress or downloads.Bar(published.file),
        )
    except OSError as error:
        raise WeightsNotFound(
            f"the weights of {name} are not in {folder}, and {error}. Download "
            f"{published.url} on a machine that can, and put the file into that "
            "folder, or name it: --detector=PATH, or --vgg16=PATH for LPIPS"
        ) from error
    return target


def sha256(path: Path) -> str:
    """SHA-256 of a file, 64 hexadecimal digits.

    Raises:
      ValueError: its name is that of a published file, and it is another one.
    """
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    for published in WEIGHTS.values():
        prefix = published.sha256_prefix
        if f"-{prefix}." in path.name and not found.startswith(prefix):
            raise ValueError(
                f"{path} is damaged or another file: its SHA-256 begins with "
                f"{found[: len(prefix)]}, that of the published one with {prefix}. "
                "Delete it, and it will be downloaded again; or rename it, if it is "
                "meant to be what it is"
            )
    return found
