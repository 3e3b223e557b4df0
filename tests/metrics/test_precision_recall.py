"""Precision and recall against torch-fidelity, NVIDIA, and exact distances."""

import numpy as np
import pytest

from stylegan_jax.metrics import precision_recall as module
from stylegan_jax.metrics.precision_recall import precision_recall
from tests import goldens
from tests.metrics import golden_sets

CASES = golden_sets.cases("precision_recall")


def exact(real, generated, k):
    """Compute precision and recall from all distances, in float64."""

    def squared(a, b):
        return np.sum((a[:, None].astype(np.float64) - b) ** 2, axis=-1)

    def covered(members, probes):
        radii = np.sort(squared(members, members), axis=1)[:, k]
        return np.any(squared(probes, members) <= radii, axis=1)

    return covered(real, generated), covered(generated, real)


def sets_of(case):
    if "real_points" in case:
        return [np.array(case[f"{kind}_points"]) for kind in ("real", "gen")]
    return [
        golden_sets.features(case[key], sha)
        for key, sha in zip(("real", "generated"), case["sha"], strict=True)
    ]


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("block_rows", [64, 1024])
def test_every_published_case(name, block_rows, monkeypatch):
    if name == "n2000_d64" and block_rows == 64:
        block_rows = 600  # blocks of unequal size too, but a hundredth of the programs
    monkeypatch.setattr(module, "BLOCK_ROWS", block_rows)
    case = CASES[name]
    real, generated = sets_of(case)
    for k in (1, 3):
        if f"k{k}" not in case:
            continue
        expected = case[f"k{k}"]
        found = precision_recall(real, generated, k)
        assert found.precise.sum() == expected["precision_count"]
        assert found.recalled.sum() == expected["recall_count"]
        assert found.precision == expected["precision"]
        assert found.recall == expected["recall"]
        for mask, sha in (
            (found.precise, expected.get("precision_mask_sha")),
            (found.recalled, expected.get("recall_mask_sha")),
        ):
            golden_sets.checked(np.asarray(mask, np.uint8), sha)
        if "features_rounded_to_float16" in expected:
            half = precision_recall(
                real.astype(np.float16), generated.astype(np.float16), k
            )
            np.testing.assert_allclose(
                [half.precision, half.recall],
                expected["features_rounded_to_float16"],
                atol=1.01 / min(len(real), len(generated)),
            )


def test_stylegan3s_own_numbers():
    official = goldens.arrays("stylegan2_and_3/G1_metrics.npz")
    real, generated = official["in/pr_real"], official["in/pr_gen"]
    found = precision_recall(real, generated)
    assert found.precision == official["f64/precision_f64"]
    assert found.recall == official["f64/recall_f64"]
    half = precision_recall(real.astype(np.float16), generated.astype(np.float16))
    assert abs(half.precision - official["out/precision_half"]) <= 1.01 / 110
    assert abs(half.recall - official["out/recall_half"]) <= 1.01 / 130


@pytest.mark.parametrize("scale", [1.0, 1e-3])
def test_rounding_never_decides(scale):
    """Points of a grid, far from zero, have ties everywhere."""
    rng = np.random.default_rng(0)
    real = (rng.integers(0, 4, (150, 3)) * scale + 1e3).astype(np.float32)
    generated = (rng.integers(0, 4, (130, 3)) * scale + 1e3).astype(np.float32)
    for k in (1, 2, 30):
        found = precision_recall(real, generated, k)
        precise, recalled = exact(real, generated, k)
        np.testing.assert_array_equal(found.precise, precise)
        np.testing.assert_array_equal(found.recalled, recalled)


def test_more_duplicates_than_spare_candidates():
    real = np.repeat(np.eye(3), 20, axis=0) + 1e3
    real[::20] += 1e-4
    generated = real[:40] + 1e-5
    found = precision_recall(real, generated)
    precise, recalled = exact(real, generated, 3)
    np.testing.assert_array_equal(found.precise, precise)
    np.testing.assert_array_equal(found.recalled, recalled)


def test_too_few_images():
    with pytest.raises(ValueError, match="3 generated images are too few"):
        precision_recall(np.zeros((4, 2)), np.zeros((3, 2)))
