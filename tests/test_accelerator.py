"""The unattended benchmark: its jobs, what it saves, and how it resumes."""

import json
import textwrap
import time

import jax.numpy as jnp
import pytest
from absl import flags

from benchmarks import accelerator_official, accelerator_speed
from benchmarks.accelerator import JOBS, Job, run_jobs
from benchmarks.accelerator_official import Skipped
from stylegan_jax import config, models, presets
from tests import tiny


def run(jobs, out, seconds_left=100.0, resume=False, tiny=False):
    return run_jobs(jobs, out, time.monotonic() + seconds_left, resume, tiny)


def job(name, calls, seconds=1.0, result=None):
    def call(tiny):
        calls.append(name)
        if isinstance(result, Exception):
            raise result
        return {"tiny": tiny}

    return Job(name, call, seconds)


def test_every_job_saves_its_figures_and_a_failure_ends_only_itself(tmp_path, capsys):
    calls = []
    jobs = [
        job("a", calls),
        job("b", calls, result=ValueError("no such thing")),
        job("c", calls, result=Skipped("there is nothing to do")),
        job("d", calls),
    ]
    summary = run(jobs, tmp_path, tiny=True)
    assert calls == ["a", "b", "c", "d"]
    assert summary["b"] == "failed: ValueError: no such thing"
    assert summary["c"] == "skipped: there is nothing to do"
    assert summary == json.loads((tmp_path / "summary.json").read_text())
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "a.json",
        "d.json",
        "summary.json",
    ]
    assert json.loads((tmp_path / "a.json").read_text()) == {"tiny": True}
    assert "d: done in" in capsys.readouterr().out


def test_a_job_without_time_is_skipped_and_resuming_runs_only_it(tmp_path):
    calls = []
    jobs = [job("long", calls, seconds=50.0), job("short", calls, seconds=5.0)]
    summary = run(jobs, tmp_path, seconds_left=10.0)
    assert calls == ["short"]
    assert summary["long"].startswith("skipped: ") and "50 s" in summary["long"]
    summary = run(jobs, tmp_path, resume=True)
    assert calls == ["short", "long"]
    assert summary["short"] == "done earlier"
    run(jobs, tmp_path)
    assert calls == ["short", "long", "long", "short"]


def test_all_jobs_fit_the_time():
    names = [j.name for j in JOBS]
    assert names[:3] == ["device", "rates", "goldens"]
    assert len(set(names)) == len(names)
    # Before the official code is asked for, everything fits 9 minutes.
    assert sum(j.seconds for j in JOBS[: names.index("official")]) <= 9 * 60


@pytest.mark.parametrize(
    ("name", "dtype", "precision"),
    [
        ("bfloat16", "bfloat16", "highest"),
        ("tf32", "float32", "high"),
        ("float32", "float32", "highest"),
    ],
)
def test_a_format_replaces_that_of_the_preset(name, dtype, precision):
    c = presets.auto(256)
    c.model.update(accelerator_speed.FORMATS[name])
    e = config.parse(c)
    for network in models.build(e.model, e.data, 0):
        assert jnp.dtype(network.dtype_at(256)).name == dtype
        assert network.float32_precision == precision


@pytest.fixture
def official_folder(tmp_path, monkeypatch):
    """A stand-in for the official code, which prints its progress as that does."""
    values = flags.FlagValues()
    flags.DEFINE_string("official", str(tmp_path), "", flag_values=values)
    values(["program"])
    monkeypatch.setattr(flags, "FLAGS", values)
    return tmp_path


def stand_in(folder, ending):
    code = """
        import sys, zipfile
        arguments = dict(a[2:].split("=") for a in sys.argv[1:])
        names = zipfile.ZipFile(arguments["data"]).namelist()
        assert len(names) == 64 and arguments["cfg"] == "paper256", arguments
        print("Setting up PyTorch plugin upfirdn2d_plugin... Done.")
        for tick, seconds in enumerate((99.0, 10.0, 20.0, 12.5)):
            print(f"tick {tick} kimg {tick} sec/tick 1.0 sec/kimg {seconds:<7.2f} ...")
        """
    (folder / "train.py").write_text(textwrap.dedent(code) + ending)


def test_the_official_code_is_timed_after_its_first_tick(official_folder):
    stand_in(official_folder, "")
    assert accelerator_official.official(tiny=True) == {
        "seconds_per_kimg": 12.5,
        "images_per_second": 80.0,
        "plugins_failed": False,
    }


def test_a_failure_of_the_official_code_is_reported(official_folder):
    with pytest.raises(FileNotFoundError, match=r"has no train\.py"):
        accelerator_official.official(tiny=True)
    stand_in(official_folder, "raise SystemExit('no GPU here')")
    with pytest.raises(RuntimeError, match="ended with 1: no GPU here"):
        accelerator_official.official(tiny=True)


@pytest.mark.slow
def test_tiny(tmp_path):
    """Every job runs on a CPU, and without TensorFlow."""
    (tmp_path / "tensorflow.py").write_text("raise ImportError('not installed')\n")
    process = tiny.start(
        "benchmarks.accelerator",
        "--tiny",
        f"--out={tmp_path / 'out'}",
        PYTHONPATH=str(tmp_path),
        JAX_DISABLE_MOST_OPTIMIZATIONS="1",
    )
    out, err = process.communicate(timeout=1800)
    assert process.returncode == 0, f"{out}\n{err}"
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    skipped = {"official": "skipped: --official names no checkout of the official code"}
    for name, outcome in summary.items():
        assert outcome == skipped.get(name) or outcome.startswith("done in"), name
    figures = {
        path.stem: json.loads(path.read_text())
        for path in (tmp_path / "out").glob("*.json")
    }
    assert max(figures["goldens"]["errors"].values()) < 1e-4
    for name in ("bfloat16", "tf32", "float32"):
        row = figures[f"stylegan2_256_{name}"]
        assert row["images_per_second"] > 0
        assert row["phases"].keys() == {"g_main", "g_path", "d_main", "d_r1"}
    assert figures["from_device_memory"]["steps"] >= 16
