"""inspect: networks of every kind of file, runs, and what is wrong with others."""

import json
import re
import shutil

import pytest

from stylegan_jax import convert, inspect
from stylegan_jax.checkpoint import listing
from stylegan_jax.exporters import onnx_file, programs, stablehlo
from stylegan_jax.networks import file
from tests import goldens, tiny
from tests.networks import small


@pytest.fixture
def printed(run_main):
    return lambda reference, *more: run_main(inspect, f"--network={reference}", *more)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    with tiny.quick_compilation():
        return tiny.finished_run(tmp_path_factory)


def facts(text):
    """Return name -> value of the lines before the first table."""
    lines = text.partition("\n\n")[0].splitlines()
    return dict(line.split("  ", 1) for line in lines)


def test_a_file_of_a_network(printed, tmp_path):
    path = tmp_path / "g.safetensors"
    file.save(small.network("stylegan2", ("a", "b")), path)
    out = printed(path)
    found = {name: value.strip() for name, value in facts(out).items()}
    assert found["family"] == "stylegan2" and found["classes"] == "a, b"
    assert found["images"] == "16x16, 3 channels"
    assert found["images seen in training"] == "3,000"
    assert "mapping.label_embedding" in out and "\nDiscriminator " in out


@pytest.mark.parametrize("name", ["I3_legacy_tf_skip_resnet", "I5_torch_snapshot"])
def test_official_files(printed, name):
    text = printed(goldens.path(f"stylegan2_and_3/{name}.pkl"))
    assert "\nGenerator " in text and "blocks_1.conv0" in text
    assert "Parameters  Buffers  Output shape" in text


def test_programs_for_other_runtimes(printed, tmp_path):
    g = small.network("stylegan2")
    stablehlo.write(g, programs.program(g, "mapping"), tmp_path / "g.stablehlo")
    text = printed(tmp_path / "g.stablehlo")
    assert "part " in text and "compatibility window" in text
    assert "releases of JAX from 3 weeks before to 6 months after" in text
    onnx_file.write(g, "mapping", tmp_path / "g.onnx")
    text = printed(tmp_path / "g.onnx")
    assert re.search(r"inputs psi +\[\]\n", text)
    assert "[N, 8]" in text and "opset" in text
    for name in ("g.stablehlo", "g.onnx"):
        with pytest.raises(ValueError, match=rf"`step` \(=3\) selects .*{name} holds"):
            printed(tmp_path / name, "--step=3")


def test_a_run(printed, finished):
    text = printed(finished)
    assert "0.192 of 0.192 kimg, step " in text
    steps = listing.steps(finished / "checkpoints")
    assert f"(shown: {steps[-1]})" in text and "the built-in emoji, 1,631 im" in text
    assert "layers_5" in text and "\nDiscriminator " in text
    settings = text.partition("Settings that differ from the defaults\n")[2]
    assert "training.batch_size " in settings and "training.r1_gamma" not in settings
    older = printed(finished, f"--step={steps[0]}")
    assert f"(shown: {steps[0]})" in older and "at resolution 8" in older
    one = finished / "checkpoints" / str(steps[0])
    assert older == printed(one) == printed(one, f"--step={steps[0]}")
    with pytest.raises(ValueError, match=f"checkpoint {steps[0]} of .*; omit one of"):
        printed(one, f"--step={steps[-1]}")


def test_a_run_with_damaged_files(printed, finished, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(finished, run, ignore=shutil.ignore_patterns("ema", "training"))
    assert "kimg, step" in printed(run)  # no array is read
    with pytest.raises(ValueError, match="has no checkpoint 5; it has 16, "):
        printed(run, "--step=5")
    newest = listing.steps(run / "checkpoints")[-1]
    meta = run / "checkpoints" / str(newest) / "meta" / "metadata"
    meta.write_text(json.dumps({"step": "x", "images_seen": 1}))
    with pytest.raises(ValueError, match=r"is damaged: step \(='x'\) must be numbers"):
        printed(run)
    meta.write_text("{")
    with pytest.raises(ValueError, match="metadata is damaged: .* use another checkp"):
        printed(run)
    shutil.rmtree(run / "checkpoints")
    assert "no checkpoint yet" in printed(run)
    (run / "data.json").unlink()
    with pytest.raises(ValueError, match="is not the directory of a run: data.json"):
        printed(run)


def test_nothing_there(printed, tmp_path):
    with pytest.raises(ValueError, match="does not exist; the network must be a name"):
        printed(tmp_path / "nothing")
    path = tmp_path / "g.onnx"
    path.write_bytes(b"hello")
    with pytest.raises(ValueError, match="g.onnx is damaged, or not a file that `expo"):
        printed(path)


def test_a_conversion(run_main, printed, tmp_path):
    source = goldens.path("stylegan2_and_3/I4_legacy_tf_cond.pkl")
    run_main(convert, f"--source={source}", f"--out={tmp_path / 'g'}")
    found = facts(printed(tmp_path / "g"))
    found = {name: value.strip() for name, value in found.items()}
    assert found["state"] == "converted from an official file"
    assert found["data"] == source.name and found["classes"] == "0, 1, 2"
