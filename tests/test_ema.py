"""The program `ema`: averages of a run, measured and written."""

import chex
import pytest

import stylegan_jax as sj
from stylegan_jax import ema, train
from stylegan_jax.training import average_snapshots
from tests import tiny

POWER_EMA = {
    "training.power_ema": (0.05, 0.1),
    "training.power_ema_snapshot_kimg": 0.016,
}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Return the directory of a run with snapshots."""
    directory = tmp_path_factory.mktemp("ema") / "run"
    e = tiny.experiment(tiny.STYLEGAN2 | {"data.resolution": 16} | POWER_EMA)
    with tiny.quick_compilation():
        train.train(e, directory)
    return directory


@pytest.mark.slow
def test_averages_are_measured_and_the_best_is_written(run, tmp_path, run_main):
    found = average_snapshots.find(run)
    assert [s.images_seen for s in found] == [16, 32, 48, 64]
    out = tmp_path / "best.safetensors"
    printed = run_main(
        *(ema, f"--workdir={run}", "--stds=0.1,0.2", "--metric=swd"),
        *("--images=64", f"--out={out}"),
    )
    lines = printed.splitlines()
    values = {float(p[1]): float(p[3]) for p in map(str.split, lines) if p[0] == "std"}
    assert list(values) == [0.1, 0.2]
    best = min(values, key=values.get)
    assert f"wrote {out}, the average of relative standard deviation {best:g}" in lines
    (average,) = average_snapshots.reconstruct(found, [best], 64)
    written = sj.load(out).variables["params"]
    chex.assert_trees_all_close(written, average.params, rtol=1e-6)
    page = (tmp_path / "best.html").read_text()
    assert "<svg" in page and "swd at 0.064 kimg" in page


@pytest.mark.slow
def test_one_length_needs_no_metric(run, tmp_path, run_main):
    out = tmp_path / "average.safetensors"
    run_main(ema, f"--workdir={run}", "--stds=0.1", "--kimg=0.032", f"--out={out}")
    assert sj.load(out).checkpoint == 32


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--stds=0.1,0.2"], "add --metric, which chooses one of them"),
        (["--stds=0.1,x"], "must be numbers above 0 and at most 0.25"),
        (["--stds=0.3"], "must be numbers above 0 and at most 0.25"),
        (["--stds=0.1", "--images=9"], "--images has no effect without --metric"),
        (["--metric=pr"], "has the numbers precision, recall"),
        (["--metric=wd"], "unknown metric 'wd'; did you mean"),
        (["--stds=0.1"], "is not the directory of a run: config.json"),
    ],
)
def test_bad_input(arguments, message, tmp_path, run_main):
    out = tmp_path / "a.safetensors"
    with pytest.raises(ValueError, match=message):
        run_main(ema, f"--workdir={tmp_path}", f"--out={out}", *arguments)
