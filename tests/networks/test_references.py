"""Networks by name, directory and file."""

import dataclasses

import pytest

import stylegan_jax
from stylegan_jax import workdir
from stylegan_jax.networks import file, references
from stylegan_jax.runtime.image_io import to_uint8
from tests import goldens
from tests.networks import small

OFFICIAL = ("I3_legacy_tf_skip_resnet", "I4_legacy_tf_cond")


@pytest.mark.parametrize("name", OFFICIAL)
def test_official_pickles_give_the_official_images(name):
    folder = f"stylegan2_and_3/{name}"
    g = stylegan_jax.load(goldens.path(f"{folder}.pkl"))
    golden = goldens.arrays(f"{folder}_expected.npz")
    label = golden["in/c"] if g.classes else None
    images = g(golden["in/z"], label, truncation_psi=0.7)
    wanted = to_uint8(goldens.nhwc(golden["out/img_G_ema_psi0.7_const"]))
    assert abs(images.astype(int) - wanted).max() <= 1
    assert g.resolution == 16 and g.step is None
    assert (g.experiment is not None) and g.classes == ("0", "1", "2")[: len(g.classes)]


def test_a_snapshot_of_the_pytorch_code():
    path = goldens.path("stylegan2_and_3/I5_torch_snapshot.pkl")
    g = stylegan_jax.load(str(path))
    assert g(seeds=[0, 1]).shape == (2, 16, 16, 3) and g.reference == str(path)


def test_exact_references_name_the_checkpoint_of_a_run(tmp_path):
    data = workdir.DataInfo("images", 4, (), "")
    g = dataclasses.replace(small.network(), data=data, checkpoint=7, reference="run")
    assert g.exact_reference == "run/checkpoints/7"
    named = dataclasses.replace(g, reference="run/checkpoints/7")
    assert named.exact_reference.endswith("run/checkpoints/7")
    tuned = dataclasses.replace(g, reference="tuned.safetensors")
    assert tuned.exact_reference == "tuned.safetensors"
    packaged = dataclasses.replace(g, data=None, reference="smileys64")
    assert packaged.exact_reference == "smileys64"


def test_names_of_the_package(monkeypatch, tmp_path):
    monkeypatch.setattr(references, "ASSETS", tmp_path)
    file.save(small.network(), tmp_path / "smile.safetensors", "float16")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "smile").mkdir()
    assert references.names() == ["smile"]
    assert stylegan_jax.load("smile").reference == "smile"
    with pytest.raises(
        ValueError, match=r"smil does not exist \(did you mean smile\?\)"
    ):
        stylegan_jax.load("smil")
    with pytest.raises(ValueError, match=r"`step` \(=3\) selects a checkpoint"):
        stylegan_jax.load("smile", step=3)
    with pytest.raises(ValueError, match="smile is not the directory of a run"):
        stylegan_jax.load("./smile")


def test_nothing_there(tmp_path):
    with pytest.raises(ValueError) as raised:
        stylegan_jax.load(tmp_path / "nothing")
    assert str(raised.value).startswith(f"{tmp_path / 'nothing'} does not exist; the ")


def test_files_of_other_kinds(tmp_path):
    for content in (b"", b"\x89PNG\r\n\x1a\n" + bytes(99), b"hello", bytes(20)):
        path = tmp_path / "network.pkl"
        path.write_bytes(content)
        with pytest.raises(ValueError, match=f"cannot read {path}"):
            stylegan_jax.load(path)
