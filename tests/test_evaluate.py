"""evaluate as a user starts it."""

import json
import zipfile

import numpy as np
import pytest
from PIL import Image

from stylegan_jax import evaluate, parallel, paths, workdir
from stylegan_jax.data import sources
from stylegan_jax.data.sources import plain
from tests import tiny
from tests.metrics import stand_ins
from tests.test_reporting import tensorboard_events

pytestmark = [
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.usefixtures("quick_compilation"),
]


def start(*arguments):
    return tiny.start("stylegan_jax.evaluate", *arguments)


def rows(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def write_images(folder, count, size, seed=0):
    folder.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    for i in range(count):
        picture = rng.integers(0, 256, (*size, 3), np.uint8)
        Image.fromarray(picture).save(folder / f"{i:03d}.png")
    return folder


@pytest.fixture
def run(tmp_path):
    """What a training of no steps would leave."""
    e = tiny.experiment()
    here = parallel.data_parallel()
    ema = stand_ins.subject(here).variables
    source = sources.open_source(e.data)
    info = workdir.DataInfo(source.name, source.num_images, (), source.fingerprint)
    directory = paths.open_path(tmp_path / "run")
    checkpoints = workdir.open_checkpoints(directory, 1, print)
    meta = {"resolution": 16, "fade": 1.0, "step": 24}
    checkpoints.save(tiny.END, {"ema": ema}, meta)
    checkpoints.close()
    workdir.write(directory, e, info)
    return directory


def test_a_run(run, tmp_path):
    arguments = (f"--workdir={run}", "--images=24", f"--cache={tmp_path / 'cache'}")
    out, _ = tiny.finish(start(*arguments, "--seed=4"))
    assert out.splitlines()[0].split()[:3] == ["metric", "value", "+-"]
    assert f"appended to {run / 'metrics.jsonl'}" in out
    found = rows(run / "metrics.jsonl")
    assert [r["name"] for r in found] == ["swd", "msssim"]
    for row in found:
        assert (row["images_real"], row["images_generated"]) == (24, 24)
        assert (row["checkpoint"], row["kimg"]) == (tiny.END, tiny.END / 1000)
        assert row["step"] == 24
        assert (row["seed"], row["truncation_psi"], row["size"]) == (4, 1.0, [16, 16])
        assert f"{row['value']:.6g}" in out
    events = {tag: (step, x) for step, tag, x in tensorboard_events(run)}
    step, value = events["metrics/swd"]
    assert step == tiny.END
    np.testing.assert_allclose(value, found[0]["value"], rtol=1e-6)
    # The same again, from what is remembered of the reals; a line that was cut off
    # before it is no obstacle.
    (run / "metrics.jsonl").write_text('{"name": "sw')
    tiny.finish(start(*arguments, "--seed=4", "--metrics=msssim"))
    lines = (run / "metrics.jsonl").read_text().splitlines()
    assert json.loads(lines[1])["value"] == found[1]["value"]


def test_two_sets_of_images(tmp_path):
    folder = write_images(tmp_path / "a", 12, (32, 48))
    archive = tmp_path / "b.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for path in write_images(tmp_path / "b", 10, (16, 24), seed=1).iterdir():
            file.write(path, path.name)
    both = (f"--images_a={folder}", f"--images_b={archive}")
    out = f"--out={tmp_path / 'metrics.jsonl'}"
    first = start(*both, out, "--cache=", "--batch_size=8")
    wrong = start(*both, "--metrics=swd,ppl_w_end")
    unknown = start(*both, "--metrics=fid")
    tiny.finish(first)
    swd, msssim = rows(tmp_path / "metrics.jsonl")
    assert swd["size"] == [16, 24]  # of the smaller ones
    assert swd["images_real"] == swd["images_generated"] == 10
    assert swd["dataset"] == f"folder {folder}" and swd["dataset_fingerprint"]
    assert swd["generated"] == f"zip {archive}" and swd["generated_fingerprint"]
    assert swd["truncation_psi"] is None and swd["checkpoint"] is None
    assert 0 < msssim["value"] < 1
    assert "did you mean fid50k" in tiny.failure(unknown)
    assert "ppl_w_end needs a generator, not only its images" in tiny.failure(wrong)


def test_plain_sources(tmp_path):
    folder = write_images(tmp_path / "a", 3, (20, 12))
    assert plain.first_size(str(folder)) == (20, 12)
    source = plain.open_plain(str(folder), (20, 12), "exact")
    assert source.size == (20, 12) and source.num_images == 3
    with pytest.raises(ValueError, match="it is --size and --fit that say"):
        plain.open_plain(str(folder), (16, 16), "exact")
    with pytest.raises(ValueError, match="must be a folder or a zip of images"):
        plain.kind_of(str(tmp_path / "nothing"))
    assert plain.first_size("builtin") == (64, 64)


def test_sizes():
    assert evaluate.parse_size("64") == (64, 64)
    assert evaluate.parse_size("64x96") == (64, 96)
    for text in ("0", "64x", "a"):
        with pytest.raises(ValueError, match="height x width"):
            evaluate.parse_size(text)
