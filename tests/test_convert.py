"""convert as users start it: official files become networks of ours."""

import functools
import shutil

import jax
import numpy as np
import pytest
from PIL import Image

from stylegan_jax import convert, generate, workdir
from stylegan_jax.models import LevelOfDetail
from stylegan_jax.sampling.synthesis import synthesize
from stylegan_jax.sampling.truncation import truncated_styles
from tests import buckets, goldens
from tests.weights import official_pickle

# Orbax leaves coroutines of a failed read or write behind.
pytestmark = [
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.usefixtures("quick_compilation"),
]


@pytest.fixture(scope="module")
def official(tmp_path_factory):
    """Return a file like those that NVIDIA published, with the same arguments."""
    g = goldens.arrays("stylegan1/g_32_linear.npz")
    d = goldens.arrays("stylegan1/d_32.npz")
    training = {
        "func_name": "training.networks_stylegan.G_style",
        "truncation_psi": 0.7,
        "truncation_cutoff": 8,
        "dlatent_avg_beta": 0.995,
        "style_mixing_prob": 0.9,
        "label_size": 0,
    }
    g_vars = goldens.below(g, "vars/G/")
    return official_pickle.write_official_pickle(
        tmp_path_factory.mktemp("official") / "network.pkl",
        {name: value * 2 for name, value in g_vars.items()},
        goldens.settings("stylegan1/g_32_linear.npz")["G_kwargs"] | training,
        goldens.below(d, "vars/D_label0/"),
        goldens.settings("stylegan1/d_32.npz")["D_kwargs"]
        | {"func_name": "training.networks_stylegan.D_basic", "label_size": 0},
        gs_vars=g_vars,
    )


def test_convert_and_generate(run_main, official, tmp_path, monkeypatch):
    """The averaged generator, not the trained one, gives the official images."""
    out = tmp_path / "converted"
    monkeypatch.setenv("HOME", str(tmp_path))
    printed = run_main(convert, f"--source={official}", "--out=~/converted")
    assert f"--workdir={out}" in printed
    trained = workdir.load_generator(out)
    assert (trained.lod, trained.classes) == (LevelOfDetail(32), ())
    golden = goldens.arrays("stylegan1/g_32_linear.npz")
    ws = truncated_styles(
        trained.generator,
        trained.variables,
        golden["in/z"],
        truncation_psi=0.7,
        truncation_cutoff=4,
    )
    drawn = synthesize(trained.generator, trained.variables, ws)
    expected = goldens.nhwc(golden["out/trunc_psi0.7_cutoff4"])
    # Ten times the float32 rounding of the official code, as the README suggests.
    goldens.assert_close(drawn, expected, 3e-4)
    options = {"truncation_psi": 0.7, "truncation_cutoff": 4}
    program = jax.jit(functools.partial(trained.generator.apply, **options))
    applied = program(trained.variables, golden["in/z"])
    goldens.assert_close(applied, expected, 3e-4)
    images = tmp_path / "images"
    run_main(generate, f"--workdir={out}", f"--out={images}", "--seeds=0-1")
    with Image.open(images / "grid.png") as grid:
        assert grid.size == (256, 32)


def test_convert_rejects_a_directory_with_a_run(official, tmp_path):
    config = tmp_path / "config.json"
    config.write_text("{}")
    with pytest.raises(ValueError, match="already holds a run: it contains config"):
        convert.convert(official, tmp_path)
    assert config.read_text() == "{}" and list(tmp_path.iterdir()) == [config]


@pytest.mark.parametrize(
    ("existing", "message"),
    [
        (["config.json"], "already holds a run: it contains config.json; choose"),
        (
            ["checkpoints", "config.json", "data.json"],
            "already holds a run: it contains checkpoints, config.json, data.json",
        ),
        (["checkpoints"], "delete checkpoints there and repeat the command"),
        (
            ["checkpoints", "config.json"],
            "holds an unfinished conversion, or a damaged run: it contains "
            "checkpoints, config.json, but not data.json; if",
        ),
    ],
)
def test_convert_checks_the_directory_before_reading_the_file(
    tmp_path, existing, message
):
    for name in existing:
        (tmp_path / "served" / "b" / "run" / name).mkdir(parents=True)
    with buckets.served(tmp_path / "served"):
        for out in ("gs://b/run", tmp_path / "served" / "b" / "run"):
            with pytest.raises(ValueError, match=message):
                convert.convert(tmp_path / "missing.pkl", out)


def test_an_interrupted_conversion_is_told_and_can_be_repeated(
    official, tmp_path, monkeypatch
):
    def interrupt(*_):
        raise KeyboardInterrupt

    out = tmp_path / "out"
    with monkeypatch.context() as patch:
        patch.setattr(workdir, "write_description", interrupt)
        with pytest.raises(KeyboardInterrupt):
            convert.convert(official, out)
    with pytest.raises(ValueError, match="holds an unfinished conversion"):
        convert.convert(official, out)
    shutil.rmtree(out / "checkpoints")
    convert.convert(official, out)
    assert (out / "data.json").exists()


def test_convert_to_an_unsupported_scheme_creates_no_directory(
    run_main, official, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match="the scheme of hdfs://b/run is not supported"):
        run_main(convert, f"--source={official}", "--out=hdfs://b/run")
    assert not (tmp_path / "hdfs:").exists()


class MaliciousPickle:
    """Create a file when unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def test_convert_rejects_a_malicious_pickle(run_main, tmp_path):
    source, sentinel = tmp_path / "network.pkl", tmp_path / "sentinel"
    source.write_bytes(official_pickle.dumps((MaliciousPickle(sentinel), 0, 0)))
    with pytest.raises(ValueError) as raised:
        run_main(convert, f"--source={source}", f"--out={tmp_path / 'out'}")
    message = str(raised.value)
    assert str(source) in message and "open" in message and "\n" not in message
    assert not sentinel.exists() and not (tmp_path / "out").exists()


def test_convert_names_a_missing_file(run_main, tmp_path):
    source, out = (f"--{name}={tmp_path / name}" for name in ("source", "out"))
    with pytest.raises((ValueError, OSError), match=str(tmp_path / "source")):
        run_main(convert, source, out)
    assert not (tmp_path / "out").exists()


def test_convert_rejects_other_networks(official, tmp_path):
    d = official_pickle.network("D", {"lod": np.float32(0)}, {"resolution": 8}, "D")
    (tmp_path / "x.pkl").write_bytes(official_pickle.dumps(d))
    with pytest.raises(ValueError, match="a StyleGAN file must hold"):
        convert.convert(tmp_path / "x.pkl", tmp_path / "out")
