"""Runs that commit 135a373 began are continued by the current code.

The stored runs are the directories as they were at N images, with one checkpoint.
`arrays_*.npz` holds every array of it ("half/") and of the checkpoint at 2N images
("end/") by its stored name, as that commit reads it. Both runs are in float32, on a
CPU. Their experiments are those of `tests/tiny.py` then, with at most 8 channels. In
that of stylegan1 Adam has a first moment, and the first layer is not constant: instance
normalization of a constant would amplify rounding ten thousand times.
"""

import dataclasses
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest

from stylegan_jax import config, train
from tests import tiny

HERE = Path(__file__).resolve().parent
MIDDLE = {"stylegan1": 48, "stylegan2": 32}  # images
# Fields that the state has gained since.
ADDED = {
    "training/augment_probability": np.float32(0),
    "training/real_signs": np.zeros(2, np.float32),
    "training/score_means": np.zeros(3, np.float32),
}


def renamed(name: str) -> str:
    """Names that have changed since; not by the table that is tested."""
    parts = name.split("/")
    if parts[:2] == ["training", "optimizer"]:
        parts[3] = {"count": "0/count", "first": "0/mu", "second": "0/nu"}[parts[3]]
    return "/".join(parts)


@pytest.fixture(params=MIDDLE)
def family(request):
    return request.param


@pytest.fixture
def run(family, tmp_path):
    """The run's directory as it was in the middle."""
    with zipfile.ZipFile(HERE / f"workdir_{family}_135a373.zip") as stored:
        stored.extractall(tmp_path / "run")
    return tmp_path / "run"


@pytest.fixture
def stored(family):
    """The results of `tiny.restored` in the middle and at the end of the run."""
    with np.load(HERE / f"arrays_{family}_135a373.npz") as arrays:
        meta = json.loads(arrays["meta"].item())
        return {
            at: {"meta": meta[at]}
            | {
                renamed(name.removeprefix(f"{at}/")): arrays[name]
                for name in arrays.files
                if name.startswith(f"{at}/")
            }
            | ADDED
            for at in ("half", "end")
        }


def test_every_array_is_restored_bit_for_bit(run, stored, family):
    names = [name for name in stored["half"] if name.startswith("training/optimizer/")]
    assert any("/nu/" in name for name in names)
    assert any("/mu/" in name for name in names) is (family == "stylegan1")
    tiny.assert_same(tiny.restored(run), stored["half"])


@pytest.mark.slow
@pytest.mark.parametrize("family", ["stylegan1", "stylegan2"])
def test_the_run_is_continued(run, stored, family, quick_compilation, capsys):
    """A resumed run reaches the stored end, but for the rounding of other programs.

    Integers, counters, the position in the data and everything in `meta` are equal.
    Floats are not, even with the JAX of environment.json: XLA rounds programs that
    differ, or are compiled for another CPU, differently.
    """
    e = config.load(run / "config.json")
    total_kimg = 2 * MIDDLE[family] / 1000
    train.train(
        dataclasses.replace(
            e, training=dataclasses.replace(e.training, total_kimg=total_kimg)
        ),
        run,
    )
    assert f"resuming at {MIDDLE[family] / 1000:g} kimg" in capsys.readouterr().out
    end = tiny.restored(run)
    assert end.pop("meta") == stored["end"].pop("meta")
    assert end.keys() == stored["end"].keys()
    for name, expected in stored["end"].items():
        assert end[name].dtype == expected.dtype, name
        exact = not np.issubdtype(expected.dtype, np.floating)
        rtol, atol = (0, 0) if exact else (1e-5, 1e-6)
        np.testing.assert_allclose(end[name], expected, rtol, atol, err_msg=name)
    # They have changed, so that the comparison means something.
    moved = [name for name in end if np.any(end[name] != stored["half"][name])]
    assert len(moved) > len(end) / 2
