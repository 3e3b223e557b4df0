"""Lookup of the weights of feature networks.

They come from the file that the user names, else from the cache folder, else from the
address where they were published.
"""

import dataclasses
import hashlib
import os
from pathlib import Path

from stylegan_jax.metrics.networks import downloads

CACHE_VARIABLE = "STYLEGAN_JAX_CACHE"  # environment variable: a folder


class WeightsNotFound(OSError):
    """The weights are not on this machine, and cannot be downloaded."""


@dataclasses.dataclass(frozen=True)
class Published:
    """Weights as their authors published them.

    Attributes:
      file: Name of the file; the digits in it are the first of its SHA-256.
      url: Address.
      sha256_prefix: These digits. The others are not known with certainty.
      others: Names of other files with these weights to look for in the cache folder:
        other published ones, and ours.
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
    """Return the folder where weights are looked for and stored."""
    root = os.environ.get(CACHE_VARIABLE) or "~/.cache/stylegan_jax"
    return Path(root).expanduser() / "detectors"


def find(
    name: str,
    path: str | os.PathLike | None = None,
    progress: downloads.Progress | None = None,
) -> Path:
    """Return the path of a network's weights; download them if necessary.

    Args:
      name: One of WEIGHTS.
      path: Path of the file, if the user names one.
      progress: Called during a download; by default, a bar on stderr.

    Raises:
      ValueError: There is no such network.
      WeightsNotFound: There is no such file, or the download failed.
    """
    if name not in WEIGHTS:
        raise ValueError(
            f"There are no weights {name!r}; choose one of {list(WEIGHTS)}."
        )
    published = WEIGHTS[name]
    if path is not None:
        path = Path(path).expanduser()
        if not path.is_file():
            raise WeightsNotFound(
                f"There is no file {path} with the weights of {name}. Omit the option "
                f"to use those in {cache_folder()}, or else to download them."
            )
        return path
    if (known := cached(name)) is not None:
        return known
    folder = cache_folder()
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
            f"The weights of {name} are not in {folder}. {str(error).rstrip('.')}. "
            f"Download {published.url} on another machine and put the file into that "
            "folder, or name it: --detector=PATH, or --vgg16=PATH for LPIPS."
        ) from error
    return target


def cached(name: str) -> Path | None:
    """Return the weights of a network in the cache folder; None without any."""
    published, folder = WEIGHTS[name], cache_folder()
    for file in (published.file, *published.others):
        if (folder / file).is_file():
            return folder / file
    return None


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file, 64 hexadecimal digits.

    Raises:
      ValueError: The file has the name of a published file, but different content.
    """
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    for published in WEIGHTS.values():
        prefix = published.sha256_prefix
        if f"-{prefix}." in path.name and not found.startswith(prefix):
            raise ValueError(
                f"{path} is damaged or a different file: its SHA-256 begins with "
                f"{found[: len(prefix)]}, that of the published file with {prefix}. "
                "Delete it to download it again, or rename it to use it as it is."
            )
    return found
