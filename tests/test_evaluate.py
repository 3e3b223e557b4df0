"""evaluate as a user starts it."""

import functools
import json
import socket
import types
import zipfile

import numpy as np
import pytest
from absl import flags
from PIL import Image

from stylegan_jax import evaluate, models, workdir
from stylegan_jax.data import decoding, sources
from stylegan_jax.data.sources import from_path
from stylegan_jax.metrics import registry
from stylegan_jax.models import LevelOfDetail
from stylegan_jax.networks import references
from stylegan_jax.networks.network import Network
from stylegan_jax.runtime import parallel, storage
from tests import tiny
from tests.metrics import stand_ins
from tests.runtime.test_logger import tensorboard_events

pytestmark = [
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.usefixtures("quick_compilation"),
]


def start(*arguments):
    return tiny.start("stylegan_jax.evaluate", *arguments)


@pytest.fixture
def main(run_main):
    """Runs the command in this process; returns what it prints."""
    return functools.partial(run_main, evaluate)


def rows(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def write_images(folder, count, size, seed=0, levels=256):
    folder.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    for i in range(count):
        picture = rng.integers(0, levels, (*size, 3), np.uint8)
        Image.fromarray(picture).save(folder / f"{i:03d}.png")
    return folder


@pytest.fixture
def run(tmp_path):
    """The directory of a run, as a training without steps would leave it."""
    e = tiny.experiment()
    ema = stand_ins.generator(parallel.data_parallel()).variables
    source = sources.open_source(e.data)
    info = workdir.DataInfo(source.name, source.num_images, (), source.fingerprint)
    directory = storage.open_path(tmp_path / "run")
    checkpoints = workdir.open_checkpoints(directory, 1, print)
    meta = {"resolution": 16, "fade": 1.0, "step": 24}
    checkpoints.save(tiny.END, {"ema": ema}, meta)
    checkpoints.close()
    workdir.write_description(directory, e, info)
    return directory


def test_a_run(main, run, tmp_path):
    arguments = (f"--workdir={run}", "--images=24", f"--cache={tmp_path / 'cache'}")
    out = main(*arguments, "--seed=4")
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
    # The cached statistics give the same; a line that was cut off is no obstacle.
    (run / "metrics.jsonl").write_text('{"name": "sw')
    main(*arguments, "--seed=4", "--metrics=msssim")
    lines = (run / "metrics.jsonl").read_text().splitlines()
    assert json.loads(lines[1])["value"] == found[1]["value"]


def start_both(*arguments, of_second=()):
    """Two processes on this machine, with two devices each."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    together = (f"--coordinator=127.0.0.1:{port}", "--num_processes=2")
    return [
        tiny.start(
            "stylegan_jax.evaluate",
            *(*arguments, *together, f"--process_id={process}", *more),
            JAX_NUM_CPU_DEVICES="2",
        )
        for process, more in ((0, ()), (1, of_second))
    ]


@pytest.mark.slow
def test_two_processes_find_what_one_does_and_the_first_writes(run, tmp_path):
    arguments = (f"--workdir={run}", "--images=40")
    cache = f"--cache={tmp_path / 'cache'}"
    tiny.finish(start(*arguments, "--cache=", f"--out={tmp_path / 'one.jsonl'}"))
    first, second = map(tiny.finish, start_both(*arguments, cache))
    assert "appended to" in first[0] and "appended to" not in second[0]
    assert "msssim" not in second[0]
    found, alone = rows(run / "metrics.jsonl"), rows(tmp_path / "one.jsonl")
    assert [r["name"] for r in found] == ["swd", "msssim"]
    for ours, theirs in zip(found, alone, strict=True):
        # A value of 0 to 255 may be rounded otherwise.
        np.testing.assert_allclose(ours["value"], theirs["value"], rtol=1e-4)
        for name in ("images_generated", "dataset_fingerprint", "seed", "checkpoint"):
            assert ours[name] == theirs[name]
    points = [e for e in tensorboard_events(run) if e[1] == "metrics/swd"]
    assert len(points) == 2  # of the process alone, and of the first of the two
    kept = [path.name for path in (tmp_path / "cache").iterdir()]
    assert len(kept) == 1 and kept[0].startswith("similarity-")
    # The same from the cache, and nothing if they were spec for different things.
    for process in start_both(*arguments, cache, "--metrics=msssim"):
        tiny.finish(process)
    assert rows(run / "metrics.jsonl")[2]["value"] == found[1]["value"]
    for process in start_both(*arguments, cache, of_second=("--seed=1",)):
        told = tiny.failure(process)
        assert "the processes of this run differ" in told
        assert "seed: '0' in process 0; '1' in process 1" in told
    assert len(rows(run / "metrics.jsonl")) == 3


def test_two_sets_of_images(main, tmp_path, monkeypatch):
    flat = write_images(tmp_path / "flat", 10, (16, 16), levels=1)
    failing = start(
        *(f"--images_a={flat}", f"--images_b={flat}", "--cache="),
        f"--out={tmp_path / 'flat.jsonl'}",
    )
    folder = write_images(tmp_path / "a", 12, (32, 48))
    archive = tmp_path / "b.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for path in write_images(tmp_path / "b", 10, (16, 24), seed=1).iterdir():
            file.write(path, path.name)
    both = (f"--images_a={folder}", f"--images_b={archive}")
    monkeypatch.setenv("HOME", str(tmp_path))
    main(*both, "--out=~/metrics.jsonl", "--cache=", "--batch_size=8")
    swd, msssim = rows(tmp_path / "metrics.jsonl")
    assert swd["size"] == [16, 24]  # of the smaller ones
    assert swd["images_real"] == swd["images_generated"] == 10
    assert swd["dataset"] == f"folder {folder}" and swd["dataset_fingerprint"]
    assert swd["generated"] == f"zip {archive}" and swd["generated_fingerprint"]
    assert swd["truncation_psi"] is None and swd["checkpoint"] is None
    assert 0 < msssim["value"] < 1
    assert msssim["dataset_fit"] == msssim["generated_fit"] == "exact"
    assert msssim["decoder"] == swd["decoder"] == decoding.VERSION
    assert msssim["batch_size"] == 8 and msssim["label_source"] is None
    with pytest.raises(ValueError, match="ppl_w_end needs a generator, not only its"):
        main(*both, "--out=~/metrics.jsonl", "--metrics=swd,ppl_w_end")
    # Results are kept even if others fail, and the exit status tells.
    error = tiny.failure(failing)
    assert "could not be measured or saved:\n  swd: the images have no det" in error
    [kept] = rows(tmp_path / "flat.jsonl")
    assert kept["name"] == "msssim"


def test_sources_given_by_a_path(tmp_path):
    folder = write_images(tmp_path / "a", 3, (20, 12))
    assert from_path.first_image_size(str(folder)) == (20, 12)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="`--images_a` .*empty'. holds no images"):
        from_path.first_image_size(str(tmp_path / "empty"), "--images_a")
    source = from_path.open_path(str(folder), (20, 12), "exact")
    assert source.size == (20, 12) and source.num_images == 3
    with pytest.raises(ValueError, match="here --size and --fit set the size"):
        from_path.open_path(str(folder), (16, 16), "exact")
    with pytest.raises(ValueError, match="`--data` .*nothing'. does not exist"):
        from_path.infer_source(str(tmp_path / "nothing"), "--data")
    with pytest.raises(ValueError, match="`--data` .='gs://b/x'. must be on a disk"):
        from_path.infer_source("gs://b/x", "--data")
    assert from_path.first_image_size("builtin") == (64, 64)


@pytest.fixture
def stored(monkeypatch):
    """Sets the content of the workdir and the flags; opens no file."""

    def set_up(classes, step, **given):
        e = tiny.experiment({"data.conditional": bool(classes)})
        size = len(classes)
        generator, _ = models.build(e.model, e.data, size)
        trained = Network(
            generator, {}, e, LevelOfDetail(16), classes, 0, step, reference="runs/it"
        )
        values = {
            "network": None,
            "workdir": "runs/it",
            "step": None,
            "data": None,
            "seed": 0,
        }
        values |= {"fit": "exact", "mirror_reals": False, "truncation_psi": 1.0}
        values |= {"noise": "random", "images": None}
        monkeypatch.setattr(evaluate, "FLAGS", types.SimpleNamespace(**values | given))
        monkeypatch.setattr(references, "open_network", lambda path, step: trained)

    return set_up


def test_data_are_opened_only_for_metrics_that_look_at_them(stored, monkeypatch):
    def gone(data):
        raise FileNotFoundError("the data have moved")

    monkeypatch.setattr(sources, "open_source", gone)
    here = parallel.data_parallel()
    stored((), 24)
    spec = evaluate.run_spec(registry.find(["is", "ppl_w_end"]), here)
    assert spec.reals is None
    with pytest.raises(ValueError, match="have moved\nif the .* name them with --data"):
        evaluate.run_spec(registry.find(["is", "kid"]), here)
    # Shares of classes are needed whatever the metric is.
    stored(("a", "b"), 24)
    with pytest.raises(ValueError, match="have moved"):
        evaluate.run_spec(registry.find(["is"]), here)


def real_source(monkeypatch, directory, e, data=None):
    """The real images of `evaluate --workdir=DIRECTORY --data=DATA`."""
    flags = types.SimpleNamespace(workdir=str(directory), data=data, fit="exact")
    monkeypatch.setattr(evaluate, "FLAGS", flags)
    generator = types.SimpleNamespace(base_size=(4, 4), resolution=16)
    info = workdir.load_data_info(directory)
    trained = types.SimpleNamespace(
        step=24,
        experiment=e,
        generator=generator,
        data=info,
        reference=str(directory),
    )
    return evaluate.real_source(trained)


@pytest.mark.parametrize("kind", ["folder", "auto"])
def test_the_data_must_be_those_of_the_run(tmp_path, monkeypatch, kind):
    write_images(tmp_path / "here" / "photos", 3, (16, 16))
    write_images(tmp_path / "there" / "photos", 3, (16, 16), seed=1)
    (tmp_path / "nowhere").mkdir()
    run = storage.open_path(tmp_path / "run")
    e = tiny.experiment({"data.source": kind, "data.path": "photos"})
    monkeypatch.chdir(tmp_path / "here")
    trained_on = sources.open_source(e.data)
    info = workdir.DataInfo(trained_on.name, 3, (), trained_on.fingerprint)
    workdir.write_description(run, e, info)
    found = real_source(monkeypatch, run, e)
    assert found.fingerprint == trained_on.fingerprint

    monkeypatch.chdir(tmp_path / "there")
    with pytest.raises(ValueError) as error:
        real_source(monkeypatch, run, e)
    message = str(error.value)
    assert message.startswith(f"the data are not those that {run} was trained on: ")
    assert "their fingerprints differ" in message and "--data" in message
    relative = "`data.path` (='photos') of the run is relative to the directory where"
    assert relative in message and str(tmp_path / "there") in message
    # --data overrides.
    other = real_source(monkeypatch, run, e, data="photos")
    assert other.num_images == 3 and other.fingerprint != trained_on.fingerprint

    monkeypatch.chdir(tmp_path / "nowhere")
    with pytest.raises(ValueError) as error:
        real_source(monkeypatch, run, e)
    message = str(error.value)
    assert message.startswith("the data of the run cannot be opened: `data.path` (='ph")
    assert "does not exist" in message and relative in message
    assert message.endswith("if the images are elsewhere now, name them with --data")

    gone = tiny.experiment({"data.source": kind, "data.path": str(tmp_path / "gone")})
    with pytest.raises(ValueError, match="does not exist\nif the images are elsewhere"):
        real_source(monkeypatch, run, gone)


def test_files_that_are_left_out_are_told(monkeypatch, tmp_path, capsys):
    folders = [write_images(tmp_path / name, 3, (16, 16)) for name in "ab"]
    (folders[1] / "notes.txt").write_text("hello")
    flags = {"images_a": str(folders[0]), "images_b": str(folders[1]), "size": None}
    flags |= {"fit": "exact", "seed": 0, "mirror_reals": False, "images": None}
    monkeypatch.setattr(evaluate, "FLAGS", types.SimpleNamespace(**flags))
    spec = evaluate.folders_spec(registry.find(["swd"]), parallel.data_parallel())
    assert spec.generated.count == 3
    assert capsys.readouterr().out == (
        f"NOTE: folder {folders[1]}: left out 1 of 4 files, which is not a "
        "readable image: 1 .txt\n"
    )


def test_conversions_without_data_draw_classes_uniformly(stored, capsys):
    stored(("0", "1"), None)
    spec = evaluate.run_spec(registry.find(["is"]), parallel.data_parallel())
    assert spec.generated.conditions()["label_source"] == "uniform"
    assert (
        "2 classes are drawn uniformly; use --data to draw" in capsys.readouterr().out
    )
    stored((), None)
    evaluate.run_spec(registry.find(["is"]), parallel.data_parallel())
    assert not capsys.readouterr().out


def test_classes_of_other_data_are_those_of_the_run(stored, monkeypatch):
    here, metrics = parallel.data_parallel(), registry.find(["is"])
    names = from_path.open_path("builtin", (16, 16), "exact").classes
    monkeypatch.setattr(evaluate, "class_weights", lambda source: np.full(8, 1 / 8))
    numbers = tuple(map(str, range(8)))
    for classes, step in ((names, 24), (numbers, None)):
        stored(classes, step, data="builtin")
        found = evaluate.run_spec(metrics, here)
        assert found.generated.conditions()["label_source"] == "data"
    stored(numbers, 24, data="builtin")
    with pytest.raises(ValueError, match="number 0 is 'activities' in one and '0' in"):
        evaluate.run_spec(metrics, here)
    stored(numbers[:5], None, data="builtin")
    with pytest.raises(ValueError, match="has 8 classes, runs/it has 5"):
        evaluate.run_spec(metrics, here)


def test_contradicting_flags_and_an_unusable_out_end_it_at_once(monkeypatch, tmp_path):
    monkeypatch.setattr(evaluate, "given_flags", lambda: {"workdir", "images_a"})
    with pytest.raises(
        ValueError, match="--workdir cannot be combined with --images_a"
    ):
        evaluate.main(["evaluate"])
    monkeypatch.setattr(evaluate, "given_flags", lambda: {"workdir"})
    monkeypatch.setattr(workdir, "check_is_run", lambda directory: None)
    arguments = (f"--workdir={tmp_path}", f"--out={tmp_path / 'missing' / 'x.jsonl'}")
    values = flags.FlagValues()
    evaluate.COMMAND.define(values, [])
    evaluate.COMMAND.parse(["evaluate", *arguments], values)
    monkeypatch.setattr(evaluate, "FLAGS", values)
    with pytest.raises(ValueError, match="results cannot be written to .*x.jsonl"):
        evaluate.main(["evaluate"])


def test_numbers_that_cannot_be_kept_are_reported(monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(evaluate.results, "append", full)
    problem = evaluate._append(storage.open_path("metrics.jsonl"), None)
    assert "metrics.jsonl cannot be written ([Errno 28] No space left" in problem
