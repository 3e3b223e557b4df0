"""Networks as StableHLO programs, read back with nothing but JAX."""

import dataclasses
import io
import json
import subprocess
import sys
import zipfile
from pathlib import Path

import jax
import numpy as np
import pytest
from jax import export

import stylegan_jax
from stylegan_jax.exporters import stablehlo
from stylegan_jax.exporters.programs import program
from stylegan_jax.runtime.image_io import to_uint8
from tests import goldens
from tests.networks import small

PSI = np.float32(0.7)


def written(network, part, path):
    """Write a program; return it as read back, and its description."""
    stablehlo.write(network, program(network, part), path)
    with zipfile.ZipFile(path) as archive:
        exported = export.deserialize(bytearray(archive.read("program.bin")))
        return exported, json.loads(archive.read("metadata.json"))


@pytest.mark.parametrize("name", ["I3_legacy_tf_skip_resnet", "I4_legacy_tf_cond"])
def test_official_networks_give_the_official_images(name, tmp_path):
    folder = f"stylegan2_and_3/{name}"
    g = stylegan_jax.load(goldens.path(f"{folder}.pkl"))
    golden = goldens.arrays(f"{folder}_expected.npz")
    label = [golden["in/c"].astype(np.float32)] if g.classes else []
    exported, _ = written(g, "generator", tmp_path / "g.stablehlo")
    images = exported.call(golden["in/z"].astype(np.float32), *label, PSI)
    official = to_uint8(goldens.nhwc(golden["out/img_G_ema_psi0.7_const"]))
    assert abs(to_uint8(images).astype(int) - official).max() <= 1


@pytest.mark.parametrize(
    "family", [pytest.param("stylegan1", marks=pytest.mark.slow), "stylegan2"]
)
def test_any_batch_on_any_platform(family, tmp_path):
    g = small.network(family, ("a", "b"))
    exported, about = written(g, "generator", tmp_path / "g.stablehlo")
    assert exported.platforms == ("cpu", "cuda", "tpu")
    assert about["platforms"] == ["cpu", "cuda", "tpu"]
    assert [str(x) for x in exported.in_avals[0].shape] == ["N", "8"]
    for seeds in ([0], [3, 5, 6]):
        label = g.label("b", len(seeds))
        images = exported.call(g.z(seeds), label, PSI)
        wanted = g(seeds=seeds, label="b", truncation_psi=0.7)
        assert abs(to_uint8(images).astype(int) - wanted).max() <= 1
    assert list(tmp_path.iterdir()) == [tmp_path / "g.stablehlo"]


def test_the_halves_are_the_whole(tmp_path):
    g = small.network("stylegan2")
    mapping, about = written(g, "mapping", tmp_path / "m.stablehlo")
    assert about["inputs"] == {"z": ["N", 8], "psi": []}
    synthesis, _ = written(g, "synthesis", tmp_path / "s.stablehlo")
    images = synthesis.call(mapping.call(g.z([7]), PSI))
    wanted = g(seeds=7, truncation_psi=0.7, dtype="float32")
    np.testing.assert_allclose(images, wanted, 0, 1e-4)


def test_the_window_of_compatibility_is_in_the_file(tmp_path):
    path = tmp_path / "g.stablehlo"
    exported, about = written(small.network(), "mapping", path)
    window = about["compatibility"]
    assert window["jax"] == jax.__version__
    assert window["calling_convention_version"] == exported.calling_convention_version
    assert (window["newer_jax_months"], window["older_jax_weeks"]) == (6, 3)
    assert window["window"].endswith(f"after that of jax {jax.__version__}")
    assert stablehlo.read_metadata(path) == about


def test_no_directory_of_this_machine_is_in_the_file(tmp_path):
    g = dataclasses.replace(small.network(), reference="/home/alice/runs/mine/")
    _, about = written(g, "mapping", tmp_path / "g.stablehlo")
    assert about["network"] == "mine"
    content = (tmp_path / "g.stablehlo").read_bytes()
    package = Path(stylegan_jax.__file__).parent
    assert b"alice" not in content and bytes(package) not in content
    assert b"programs.py" not in content
    # Elsewhere, locations help to find what failed.
    assert jax.config.jax_traceback_in_locations_limit != 0


# As in docs/share.md.
READER = """
import json, sys, zipfile
import numpy as np
from jax import export

with zipfile.ZipFile(sys.argv[1]) as archive:
    program = export.deserialize(bytearray(archive.read("program.bin")))
z = np.random.RandomState(3).randn(1, 8).astype(np.float32)
images = program.call(z, np.float32(0.7))
np.save(sys.argv[2], images)
assert not {"flax", "stylegan_jax"} & set(sys.modules)
"""


def test_it_runs_without_this_package(tmp_path):
    g = small.network("stylegan2")
    written(g, "generator", tmp_path / "g.stablehlo")
    command = [sys.executable, "-c", READER, "g.stablehlo", "images.npy"]
    subprocess.run(command, cwd=tmp_path, check=True, timeout=300)
    images = to_uint8(np.load(tmp_path / "images.npy")).astype(int)
    assert abs(images - g(seeds=3, truncation_psi=0.7)).max() <= 1


def archive(**contents):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for name, content in contents.items():
            file.writestr(name.replace("_", "."), content)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"hello",
        archive(program_bin=b""),
        archive(metadata_json=b"{}"),
        archive(metadata_json=b"{}", program_bin=b""),
        archive(metadata_json=b"{", program_bin=b""),
        archive(metadata_json=b"[" * 100_000, program_bin=b""),
        archive(metadata_json=b" " * 2_000_000, program_bin=b""),
    ],
)
def test_damaged_files(content, tmp_path):
    path = tmp_path / "bad.stablehlo"
    path.write_bytes(content)
    with pytest.raises(
        ValueError, match="bad.stablehlo is damaged, or not a file that"
    ):
        stablehlo.read_metadata(path)


def test_load_does_not_take_programs(tmp_path):
    path = tmp_path / "g.stablehlo"
    written(small.network(), "mapping", path)
    with pytest.raises(ValueError, match="a program for other runtimes, from which"):
        stylegan_jax.load(path)
