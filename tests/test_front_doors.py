"""generate and mix as users start them, and what all commands refuse alike."""

import functools
import re

import chex
import jax
import numpy as np
import pytest
from PIL import Image

from stylegan_jax import convert, evaluate, inspect, mix, prepare, train, workdir
from stylegan_jax import generate as front_generate
from stylegan_jax.checkpoint import CheckpointError
from stylegan_jax.networks import references
from stylegan_jax.report import __main__ as report
from stylegan_jax.sampling.seeds import latents
from tests import tiny

# Orbax leaves coroutines of a failed read or write behind.
pytestmark = [
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.usefixtures("quick_compilation"),
]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    return tiny.finished_run(tmp_path_factory)


@pytest.fixture
def generate(run_main):
    """Runs the command in this process; returns what it prints."""

    def run(workdir, out, *more):
        return run_main(front_generate, f"--workdir={workdir}", f"--out={out}", *more)

    return run


def start_generate(run, out, *more):
    return tiny.start(
        "stylegan_jax.generate", f"--workdir={run}", f"--out={out}", *more
    )


def pixels(path):
    with Image.open(path) as image:
        return np.asarray(image)


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def apply(trained, z, **options):
    """Draw images of latents as a caller of the network would."""
    program = jax.jit(functools.partial(trained.generator.apply, **options))
    return program(trained.variables, z)


def test_generate(generate, finished, tmp_path):
    arguments = ("--seeds=0-4,77", "--columns=4")
    started = start_generate(finished, tmp_path / "a", *arguments)
    out = generate(finished, tmp_path / "b", *arguments)
    assert "wrote 6 images of 16x16 (width x height) and grid.png of 6 to" in out
    assert (
        out.replace(str(tmp_path / "b"), str(tmp_path / "a"))
        == (tiny.finish(started)[0])
    )
    files = {p.name: p for p in (tmp_path / "a").iterdir()}
    seeds = [0, 1, 2, 3, 4, 77]
    assert sorted(files) == ["grid.png", *(f"seed{seed:04d}.png" for seed in seeds)]
    grid = pixels(files["grid.png"])
    chex.assert_shape(grid, (32, 64, 3))
    for place, seed in enumerate(seeds):
        image = pixels(files[f"seed{seed:04d}.png"])
        y, x = place // 4 * 16, place % 4 * 16
        np.testing.assert_array_equal(image, grid[y : y + 16, x : x + 16])
    # The same seeds give the same bytes in every process.
    assert contents(tmp_path / "a") == contents(tmp_path / "b")

    # The image of a seed does not depend on the rest of the batch.
    generate(finished, tmp_path / "c", "--seeds=77,3", "--batch_size=2")
    for seed in (77, 3):
        name = f"seed{seed:04d}.png"
        difference = pixels(tmp_path / "c" / name).astype(int) - pixels(files[name])
        assert abs(difference).max() <= 1

    trained = workdir.load_generator(finished)
    ours = latents([77], 8)
    np.testing.assert_array_equal(
        ours, np.random.RandomState(77).randn(1, 8).astype("f")
    )
    direct = apply(trained, ours, truncation_psi=0.7)
    expected = np.clip(np.asarray(direct[0]) * 127.5 + 127.5, 0, 255)
    assert abs(pixels(files["seed0077.png"]) - expected).max() <= 1


def test_images_are_written_as_they_arrive(tmp_path, monkeypatch):
    """A batch is written before the next is requested; the grid keeps a few images."""
    monkeypatch.setattr(front_generate, "GRID_PIXELS", 3 * 8 * 8)
    names = [f"seed{seed:04d}" for seed in (5, 3, 9, 1, 7)]
    values = np.arange(5, dtype=np.uint8)[:, None, None, None] + np.zeros(
        (8, 8, 3), np.uint8
    )

    def batches():
        for i in range(0, 5, 2):
            assert {p.stem for p in tmp_path.iterdir()} == set(names[:i])
            yield values[i : i + 2]

    shown = front_generate.write(tmp_path, names, batches(), columns=2)
    np.testing.assert_array_equal(shown, values[:3])
    chex.assert_shape(pixels(tmp_path / "grid.png"), (16, 16, 3))
    for name, value in zip(names, values, strict=True):
        np.testing.assert_array_equal(pixels(tmp_path / f"{name}.png"), value)


def test_psi_zero_gives_one_image(generate, finished, tmp_path):
    generate(finished, tmp_path / "out", "--seeds=5-7", "--truncation_psi=0")
    images = contents(tmp_path / "out")
    assert len(images) == 4
    assert len({v for k, v in images.items() if k != "grid.png"}) == 1


def test_mix(run_main, finished, tmp_path):
    out = tmp_path / "figures" / "mixing.png"
    arguments = (f"--workdir={finished}", f"--out={out}", "--source_seeds=0-3")
    assert f"wrote {out}" in run_main(mix, *arguments)
    # The row of sources and six more; the column of destinations and four more.
    chex.assert_shape(pixels(out), (7 * 66, 52 + 5 * 66, 3))


def test_a_checkpoint_may_be_named_by_its_path(generate, finished, tmp_path):
    number = tiny.END - 32
    generate(finished, tmp_path / "a", "--seeds=3", f"--step={number}")
    checkpoint = finished / "checkpoints" / str(number)
    generate(checkpoint, tmp_path / "b", "--seeds=3")
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    generate(finished / "checkpoints", tmp_path / "c", "--seeds=3")
    assert contents(tmp_path / "a") != contents(tmp_path / "c")  # the newest


def test_training_in_a_checkpoint_is_refused(finished):
    path = f"{finished}/checkpoints/{tiny.END}"
    with pytest.raises(ValueError) as raised:
        train.run_directory(path)
    assert str(raised.value) == (
        f"`--workdir` (={path}) is a checkpoint, which stays as it is; to resume its "
        f"run, use --workdir={finished}; to start another run from its networks, "
        f"choose another --workdir and add --config.training.transfer={path}"
    )
    with pytest.raises(ValueError, match="must be a folder, but it is a file"):
        train.run_directory(str(finished / "config.json"))


def no_work(*_, **__):
    raise AssertionError("work has begun")


@pytest.mark.parametrize(
    ("module", "out", "message"),
    [
        (mix, "a.jpg", "must end in .png, the format of the output; try --out="),
        (mix, "a", "must end in .png"),
        (mix, "", "is a folder; name a file in it that ends in .png"),
        (front_generate, "a.png", "must be a folder, but a name that ends in .png is"),
        (front_generate, "file", "must be a folder, but it is a file"),
        (convert, "a.pkl", "must be a folder, but a name that ends in .pkl is that"),
        (evaluate, "a.csv", "must end in .jsonl, the format of the output"),
        (evaluate, "", "is a folder; name a file in it that ends in .jsonl"),
        (prepare, "a.tar", "must be a folder or end in .zip"),
    ],
)
def test_wrong_outputs_are_refused_before_any_work(
    run_main, monkeypatch, tmp_path, module, out, message
):
    (tmp_path / "file").touch()
    for name in ("load_generator", "check_is_run"):
        monkeypatch.setattr(workdir, name, no_work if "load" in name else print)
    monkeypatch.setattr(references, "check_exists", lambda reference: None)
    monkeypatch.setattr(convert, "read_networks", no_work)
    monkeypatch.setattr(prepare, "open_raw_dataset", no_work)
    source = "--source=x" if module in (convert, prepare) else "--workdir=x"
    with pytest.raises(ValueError) as raised:
        run_main(module, source, f"--out={tmp_path / out}")
    assert message in str(raised.value)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize(
    ("module", "arguments", "message"),
    [
        (mix, ("--out=a.png", "--source_seeds=,"), "seeds (=',') must be numbers or "),
        (evaluate, ("--data=",), "flag --data=: the value is empty; if it comes from"),
        (mix, ("--out=a.png", "--fine_seeds=9-3"), "seeds (='9-3') must be numbers"),
        (
            front_generate,
            ("--out=a", "--seeds=0-4294967295"),
            "are more than 1,000,000",
        ),
        (front_generate, ("--out=a", "--columns=1000000000"), "in the range [1, 1024]"),
        (evaluate, ("--batch_size=3",), "(=3) must be divisible by 2 images of a pair"),
        (
            evaluate,
            ("--detector=/no/such", "--metrics=kid"),
            "`--detector` (=/no/such) does not exist",
        ),
        (
            evaluate,
            ("--vgg16=/", "--metrics=lpips_diversity"),
            "`--vgg16` (=/) must be a file, but it is a folder",
        ),
        (
            evaluate,
            ("--efficientnet=/no", "--metrics=kid_efficientnet"),
            "`--efficientnet` (=/no) does not exist",
        ),
        (evaluate, ("--features=vgg16",), "--features has no effect on --metrics=swd"),
    ],
)
def test_wrong_values_are_refused_before_any_work(
    run_main, monkeypatch, tmp_path, module, arguments, message
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(workdir, "load_generator", no_work)
    monkeypatch.setattr(workdir, "check_is_run", lambda directory: None)
    monkeypatch.setattr(references, "check_exists", lambda reference: None)
    with pytest.raises(ValueError) as raised:
        run_main(module, "--workdir=x", *arguments)
    assert message in str(raised.value)
    assert list(tmp_path.iterdir()) == []


def test_report_takes_a_checkpoint_for_its_run(run_main, finished, tmp_path):
    run = tiny.copy_up_to(finished, tiny.END, tmp_path / "run")
    (run / "report.html").unlink()
    path = run / "checkpoints" / str(tiny.END)
    assert run_main(report, f"--workdir={path}") == f"wrote {run / 'report.html'}\n"
    with pytest.raises(ValueError, match="/no/such/run does not exist; use the --w"):
        run_main(report, "--workdir=/no/such/run")


def test_the_wrong_path_of_a_run_is_named_before_any_other_problem(run_main, tmp_path):
    for module in (front_generate, mix, evaluate):
        out = tmp_path / ("out.png" if module is mix else "out")
        with pytest.raises(ValueError) as raised:
            run_main(module, "--workdir=/no/such/run", f"--out={out}")
        assert str(raised.value).startswith("/no/such/run does not exist; ")


def test_an_unknown_network_gets_the_same_advice_everywhere(run_main, tmp_path):
    for name in ("smileys46", str(tmp_path / "gone.safetensors")):
        with pytest.raises(ValueError) as expected:
            references.open_network(name)
        for module, *more in (
            (front_generate, f"--out={tmp_path / 'out'}"),
            (evaluate, f"--out={tmp_path / 'out.jsonl'}"),
            (inspect,),
        ):
            with pytest.raises(ValueError) as raised:
                run_main(module, f"--network={name}", *more)
            assert str(raised.value) == str(expected.value)
    with pytest.raises(ValueError, match=r"did you mean smileys64\?"):
        run_main(evaluate, "--network=smileys46")


@pytest.mark.parametrize(
    ("argument", "error", "message"),
    [
        ("--seeds=9-3", ValueError, "seeds (='9-3') must be numbers or increasing"),
        ("--class=cat", ValueError, "class (='cat') was given to a network without"),
        ("--step=17", CheckpointError, "no checkpoint of step 17 in"),
    ],
)
def test_generate_rejects_invalid_arguments(
    generate, finished, tmp_path, argument, error, message
):
    with pytest.raises(error, match=re.escape(message)):
        generate(finished, tmp_path / "out", argument)
    assert not (tmp_path / "out").exists()


def test_generate_reports_an_error_without_a_traceback(tmp_path):
    started = start_generate(tmp_path, tmp_path / "out", "--seeds=0")
    message = tiny.failure(started)
    assert f"error: {tmp_path} is not the directory of a run" in message
    assert not (tmp_path / "out").exists()


def test_load_generator_rejects_other_directories(tmp_path):
    with pytest.raises(ValueError, match="is not the directory of a run: config.json"):
        workdir.load_generator(tmp_path)


@pytest.mark.slow
def test_generate_classes_of_a_conditional_run(tmp_path):
    changes = {"data.conditional": True, "training.total_kimg": 0.032}
    state = train.train(tiny.experiment(tiny.SMALLEST | changes), tmp_path / "run")
    trained = workdir.load_generator(tmp_path / "run")
    classes, label_size = trained.classes, trained.generator.label_size
    assert len(classes) == label_size > 5
    assert state.params["generator"]["mapping"]["label_embedding"].shape == (
        label_size,
        8,
    )
    run, seeds = tmp_path / "run", "--seeds=0-1"
    by_name = start_generate(run, tmp_path / "a", seeds, f"--class={classes[2]}")
    by_index = start_generate(run, tmp_path / "b", seeds, "--class=2")
    none = start_generate(run, tmp_path / "c", seeds)
    tiny.finish(by_name)
    tiny.finish(by_index)
    for name in ("seed0000.png", "seed0001.png", "grid.png"):
        a, b = (pixels(tmp_path / n / name) for n in "ab")
        np.testing.assert_array_equal(a, b)
    message = tiny.failure(none)
    assert "class (=None) must be one of" in message and classes[0] in message
