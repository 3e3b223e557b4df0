"""Access to the golden files: inputs, weights and outputs of the official networks.

The repository holds at least one file of every kind in `tests/golden`, so that the
tests compare with the official numbers on every machine. Where the project is
developed, `../shared/golden` has further cases of these kinds, `FURTHER`; elsewhere,
the tests that need them are skipped. A test fails if any other file is missing.
"""

import json
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = (ROOT.parent / "shared" / "golden", ROOT / "tests" / "golden")
FURTHER = (  # without their endings
    "stylegan1/adam_16",
    "stylegan1/g_128_auto",
    "stylegan1/loss_32",
    "stylegan2_and_3/A1_g32_skip_map8",
    "stylegan2_and_3/A2_g32_resnet_map2_c10",
    "stylegan2_and_3/A3_g32_orig_map2_c10",
    "stylegan2_and_3/A4_g64_skip_map2_c10",
    "stylegan2_and_3/A5_g64_resnet_map8",
    "stylegan2_and_3/A6_g64_orig_map2",
    "stylegan2_and_3/B1_d32_resnet",
    "stylegan2_and_3/B2_d32_skip_c10",
    "stylegan2_and_3/B3_d32_orig_c10_cifar",
    "stylegan2_and_3/B4_d64_resnet_c10",
    "stylegan2_and_3/B5_d64_skip",
    "stylegan2_and_3/B6_d64_orig",
    "stylegan2_and_3/D1_loss_uncond_nomix",
    "stylegan2_and_3/D4_train_uncond",
    "stylegan2_and_3/E2_single_res64",
    "stylegan2_and_3/E4_random_bgc_res32",
    "stylegan2_and_3/E5_random_bgc_res64",
    "stylegan2_and_3/F1_t32_L6",
    "stylegan2_and_3/F2_r32_L6",
    "stylegan2_and_3/F4_r64_L8",
    "stylegan2_and_3/F5_t64_L14",
)


def path(name: str) -> Path:
    """Return the path of e.g. `stylegan1/ops.npz`.

    A missing file skips the test if it is one of `FURTHER`, and fails it otherwise.
    """
    for folder in FOLDERS:
        if (folder / name).exists():
            return folder / name
    if name.rsplit(".", 1)[0] in FURTHER:
        pytest.skip(f"golden file {name} is only where the project is developed")
    pytest.fail(f"golden file {name} is missing from tests/golden")


def arrays(name: str) -> dict[str, np.ndarray]:
    """Load all arrays of an .npz file."""
    with np.load(path(name)) as data:
        return dict(data)


def settings(name: str) -> dict:
    """Return the official arguments that a file was made with, from the manifest."""
    manifest = json.loads(path("stylegan1/manifest.json").read_text())
    return manifest[Path(name).name]["settings"]


def below(data: dict[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    """Return the arrays whose names begin with `prefix`, and strip it."""
    return {k[len(prefix) :]: v for k, v in data.items() if k.startswith(prefix)}


def assert_close(actual, desired, tolerance: float, name: str = "") -> None:
    """Compare the largest difference with the rms, as the goldens' README asks."""
    actual, desired = np.asarray(actual), np.asarray(desired)
    assert actual.shape == desired.shape, (name, actual.shape, desired.shape)
    rms = float(np.sqrt(np.mean(np.square(desired, dtype=np.float64))))
    worst = float(np.max(np.abs(actual - desired))) if desired.size else 0.0
    assert worst <= tolerance * rms, (
        f"{name}: largest difference {worst:.3g} is {worst / max(rms, 1e-30):.3g} of "
        f"the rms {rms:.3g}; allowed {tolerance}"
    )


def nhwc(images: np.ndarray) -> np.ndarray:
    """Transpose NCHW images, as the goldens store them, to NHWC."""
    return images.transpose(0, 2, 3, 1)
