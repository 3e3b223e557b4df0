"""Networks on the Hugging Face Hub, or another server that speaks its protocol.

A repository holds `model.safetensors`, the file that `file.save` writes; `config.json`,
its description; `README.md`, the model card; and `samples.png`. Only the first is
needed to load a network, and nothing in it is executed.

The environment variable HF_ENDPOINT names another server, HF_TOKEN a token for it, and
HF_HUB_OFFLINE=1 uses only what has been downloaded before.
"""

import contextlib
import dataclasses
import importlib.util
import io
import json
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from stylegan_jax.networks import file, model_card
from stylegan_jax.networks.network import Label, Network
from stylegan_jax.runtime.image_io import image_grid
from stylegan_jax.runtime.messages import listed

PREFIX = "hub:"
MODEL, CONFIG, CARD, SAMPLES = (
    *("model.safetensors", "config.json"),
    *("README.md", "samples.png"),
)
TIMEOUT_SECONDS = 30
SAMPLE_SEEDS, SAMPLE_COLUMNS, SAMPLE_PSI = range(32), 8, 0.7
_REFERENCE = re.compile(r"hub:(?P<repository>[^@]+)(?:@(?P<revision>.+))?")
_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9_])?")


def check_installed() -> None:
    """Raise ValueError if the package that speaks the protocol is not installed."""
    if importlib.util.find_spec("huggingface_hub") is None:
        raise ValueError(
            "networks on the Hub need the package huggingface_hub, which is not "
            "installed: run `python -m pip install -e '.[hub]'`, or exchange the file "
            "that `export` writes by other means"
        )


def check_repository(repository: str) -> None:
    """Raise ValueError unless a repository is named as OWNER/NAME."""
    parts = repository.split("/")
    if len(parts) != 2 or not all(map(_NAME.fullmatch, parts)) or ".." in repository:
        raise ValueError(
            f"the repository (={repository!r}) must be OWNER/NAME, such as "
            "alice/smileys, of letters, digits, '-', '_' and '.'"
        )


def load(reference: str) -> Network:
    """Download a network, unless it is in the cache, and open it.

    Args:
      reference: `hub:OWNER/NAME`, or `hub:OWNER/NAME@REVISION` with a branch, tag or
        commit.

    Raises:
      ValueError: there is no such network, it may not be read, or it is damaged.
      OSError: the server cannot be reached.
    """
    match = _REFERENCE.fullmatch(reference)
    if match is None:
        raise ValueError(f"{reference!r} must be {PREFIX}OWNER/NAME")
    check_repository(match["repository"])
    check_installed()
    with _clear_errors(reference):
        path = _downloaded(match["repository"], match["revision"])
    return file.load(path, reference)


def _downloaded(repository: str, revision: str | None) -> str:
    """Return the path of the file of a repository in the cache of the package."""
    import huggingface_hub as package

    known = package.try_to_load_from_cache(repository, MODEL, revision=revision)
    if not isinstance(known, str):
        # A download retries for half a minute; this asks once.
        address = package.hf_hub_url(repository, MODEL, revision=revision)
        package.get_hf_file_metadata(address, timeout=TIMEOUT_SECONDS)
    return package.hf_hub_download(repository, MODEL, revision=revision)


def push(
    network: Network,
    repository: str,
    *,
    private: bool = False,
    license: str | None = None,
    dtype: str = "float32",
    label: Label = None,
) -> str:
    """Upload a network, in one commit; create the repository if there is none.

    An existing README.md is kept, and nothing is uploaded if it contradicts the
    arguments.

    Args:
      network: the network.
      repository: OWNER/NAME.
      private: create the repository as one that only its owner can read. An existing
        repository must be private, too.
      license: identifier of the license for the model card, such as "cc-by-4.0"; None
        leaves it open. An existing README.md must state the same license.
      dtype: see `file.save`.
      label: label of the samples, see `Network.label`; None for all classes in turn.
        Networks of label vectors need it.

    Returns:
      The address of the repository.

    Raises:
      ValueError: the network cannot be saved, or needs a label vector; the repository
        is public, or its README.md states another license; or the server refuses the
        upload.
      OSError: the server cannot be reached.
    """
    check_repository(repository)
    check_installed()
    from huggingface_hub import CommitOperationAdd, HfApi

    reference = f"{PREFIX}{repository}"
    network = _without_places(network)
    config = {
        "library_name": "stylegan_jax",
        "version": file.KIND.version,
        **file.describe(network),
    }
    with tempfile.TemporaryDirectory(prefix="stylegan_jax-") as directory:
        # First everything that can fail locally, so that no empty repository is left.
        path = Path(directory) / MODEL
        file.save(network, path, dtype)
        parts = {
            MODEL: path,
            CONFIG: (json.dumps(config, indent=2) + "\n").encode(),
            SAMPLES: _samples(network, label),
            CARD: model_card.text(network, repository, license).encode(),
        }
        api = HfApi(library_name="stylegan_jax")
        with _clear_errors(reference):
            api.create_repo(repository, private=private, exist_ok=True)
            found = api.model_info(repository)
        if private and not found.private:
            raise _is_public(reference)
        if CARD in {sibling.rfilename for sibling in found.siblings}:
            if license is not None:
                _check_license(reference, license, found.card_data)
            del parts[CARD]
        with _clear_errors(reference):
            commit = api.create_commit(
                repository,
                [CommitOperationAdd(name, part) for name, part in parts.items()],
                commit_message=f"Upload {network.reference} with stylegan_jax",
            )
    return str(commit.repo_url)


def _is_public(reference: str) -> ValueError:
    from huggingface_hub import constants

    page = f"{constants.ENDPOINT}/{reference.removeprefix(PREFIX)}"
    return ValueError(
        f"`private` was given, but {reference} already exists and is public, so "
        "everyone could read the network; nothing was uploaded; make it private at "
        f"{page}/settings, upload to another name, or leave `private` out"
    )


def _check_license(reference: str, license: str, card: Any) -> None:
    """Raise ValueError if the README.md of a repository states another license."""
    stated = None if card is None else card.license
    if stated != license:
        raise ValueError(
            f"`license` (={license!r}) would have no effect: {reference} has a {CARD}, "
            f"which is kept and states {stated or 'no license'}; nothing was uploaded; "
            f"write `license: {license}` between the --- lines at the top of {CARD}, "
            "or leave `license` out"
        )


def _without_places(network: Network) -> Network:
    """Return the network without paths of directories on this machine."""
    if network.experiment is None:
        return network  # which `file.describe` refuses
    data = network.experiment.data
    path = data.path and (Path(data.path).name or data.source)
    data = dataclasses.replace(data, path=path, tfds_data_dir=None)
    experiment = dataclasses.replace(network.experiment, data=data)
    return dataclasses.replace(network, experiment=experiment, reference=network.name)


def _samples(network: Network, label: Label) -> bytes:
    """Return a PNG with a grid of the first seeds' images; see `push` for the label."""
    from PIL import Image  # slow to import

    count = len(SAMPLE_SEEDS)
    classes = network.classes
    if label is None and network.label_vectors:
        raise ValueError(
            f"{network.reference} needs a label vector for its samples; give `label`, "
            f"a number for each of {listed(classes)}"
        )
    if label is None and classes:
        label = [classes[i % len(classes)] for i in range(count)]
    images = network(seeds=SAMPLE_SEEDS, label=label, truncation_psi=SAMPLE_PSI)
    grid = image_grid(images, SAMPLE_COLUMNS)
    buffer = io.BytesIO()
    Image.fromarray(grid[..., 0] if grid.shape[-1] == 1 else grid).save(buffer, "PNG")
    return buffer.getvalue()


@contextlib.contextmanager
def _clear_errors(reference: str) -> Iterator[None]:
    """Convert the package's errors to errors that name a remedy."""
    from huggingface_hub import constants, errors

    server = constants.ENDPOINT
    login = (
        "log in with `hf auth login`, or set HF_TOKEN to a token from "
        f"{server}/settings/tokens"
    )
    try:
        yield
    except errors.GatedRepoError as error:
        raise ValueError(
            f"{reference} is gated: accept its conditions at "
            f"{server}/{reference.removeprefix(PREFIX)}, and {login}"
        ) from error
    except errors.RepositoryNotFoundError as error:
        raise ValueError(
            f"{reference} does not exist on {server}, or is private and this token, if "
            f"there is one, may not read it; check the name; for a private one, {login}"
        ) from error
    except errors.RevisionNotFoundError as error:
        raise ValueError(
            f"{reference} does not exist on {server}: the repository has no such "
            "branch, tag or commit; leave the part from @ on out for the newest"
        ) from error
    except errors.OfflineModeIsEnabled as error:
        raise ConnectionError(
            f"{reference}: HF_HUB_OFFLINE is set, so {server} is not contacted; unset "
            "it to upload, or to download what is not on this machine yet"
        ) from error
    except errors.LocalEntryNotFoundError as error:
        raise _unreachable(reference, error) from error
    except errors.EntryNotFoundError as error:
        raise ValueError(
            f"{reference} has no {MODEL}, so it holds no network of stylegan_jax; "
            "`python -m stylegan_jax.export --push_to_hub` uploads them"
        ) from error
    except errors.HfHubHTTPError as error:
        status = error.response.status_code
        if status in (401, 403):
            raise ValueError(
                f"{reference}: {server} refuses access (status {status}), because "
                "there is no token, it is wrong, or it lacks the right to write; "
                f"create one with this right, and {login}"
            ) from error
        raise ConnectionError(
            f"{reference}: {server} answered with status {status}; try again later"
        ) from error
    except errors.HTTPError as error:
        raise _unreachable(reference, error) from error


def _unreachable(reference: str, error: Exception) -> ConnectionError:
    from huggingface_hub import constants

    return ConnectionError(
        f"{reference}: {constants.ENDPOINT} cannot be reached ({_reason(error)}); "
        "check the connection, and HF_ENDPOINT if it is set, or use a network that has "
        "been downloaded before, or a file"
    )


def _reason(error: BaseException) -> str:
    """Return the first line of the root cause's message."""
    while error.__cause__ is not None:
        error = error.__cause__
    return str(error).splitlines()[0] if str(error) else type(error).__name__
