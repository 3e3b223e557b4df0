"""Weight files of all kinds are read alike; none is run; damage is explained."""

import collections
import os
import pickle
import zipfile

import numpy as np
import pytest

from stylegan_jax.weights import files, safetensors
from tests.weights import torch_files
from tests.weights.torch_files import Parameter, Rebuilt, tensor

ARRAYS = {
    "conv.weight": np.arange(24, dtype=np.float32).reshape(2, 3, 2, 2),
    "conv.bias": np.array([1.5, -2.5], np.float32),
    "bn.count": np.array(7, np.int64),
    "half": np.arange(3, dtype=np.float16),
    "turned": np.arange(6, dtype=np.float64).reshape(2, 3).T,
    "empty": np.zeros((0, 4), np.float32),
}


def write(tmp_path, kind):
    path = tmp_path / "weights.bin"  # the name does not matter
    if kind == "old":
        torch_files.write_old(path, torch_files.state_dict(ARRAYS))
    elif kind == "older":
        torch_files.write_old(path, torch_files.state_dict(ARRAYS, version=1))
    elif kind == "zip":
        torch_files.write_zip(path, torch_files.state_dict(ARRAYS))
    elif kind == "script":
        torch_files.write_zip(path, torch_files.script(ARRAYS), script=True)
    else:
        safetensors.write(path, ARRAYS, {"made": "here"})
    return path


KINDS = ("old", "older", "zip", "script", "safetensors")


@pytest.mark.parametrize("kind", KINDS)
def test_all_kinds_are_read_alike(tmp_path, kind):
    read = files.read_tensors(write(tmp_path, kind))
    # TorchScript keeps the attributes of a module together; safetensors sorts by type.
    assert sorted(read) == sorted(ARRAYS)
    if kind not in ("script", "safetensors"):
        assert list(read) == list(ARRAYS)
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(read[name], array)
        assert read[name].dtype == array.dtype and read[name].shape == array.shape


def test_parameters_are_tensors(tmp_path):
    """Torchvision's first files have them, and an OrderedDict of Python 2."""
    array = ARRAYS["conv.weight"]
    old = collections.OrderedDict(w=Parameter(tensor(0, array, version=1)))
    path = torch_files.write_old(tmp_path / "old.pth", old)
    np.testing.assert_array_equal(files.read_tensors(path)["w"], array)

    hooks = collections.OrderedDict()
    rebuilt = Rebuilt(
        "torch._utils", "_rebuild_parameter", tensor(0, array), True, hooks
    )
    path = torch_files.write_zip(tmp_path / "new.pth", {"w": rebuilt})
    np.testing.assert_array_equal(files.read_tensors(path)["w"], array)

    class Python2:
        def __reduce__(self):
            return collections.OrderedDict, ([["w", tensor(0, array)]],)

    path = torch_files.write_old(tmp_path / "python2.pth", Python2())
    np.testing.assert_array_equal(files.read_tensors(path)["w"], array)


def refuse(path, match):
    with pytest.raises(ValueError, match=match) as caught:
        files.read_tensors(path)
    assert str(path) in str(caught.value)


class Attack:
    """Runs a command when it is unpickled by Python."""

    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return os.system, (f"touch {self.marker}",)


class Evaluation:
    def __reduce__(self):
        return eval, ("__import__('os').abort()",)


@pytest.mark.parametrize("kind", ["old", "zip", "script"])
def test_hostile_files_are_refused_and_run_nothing(tmp_path, kind):
    marker, path = tmp_path / "was_run", tmp_path / "weights.pth"

    def write(content):
        if kind == "old":
            return torch_files.write_old(path, content)
        return torch_files.write_zip(path, content, script=kind == "script")

    for attack in (Attack(marker), Evaluation(), {"w": Attack(marker)}):
        write(attack)
        refuse(path, r"requests '.*(system|eval)'.*may be an attack.*nothing.*executed")
    if kind == "script":
        write(torch_files.script_module("m", {"w": Attack(marker)}))
        refuse(path, "requests '.*system'")
    assert not marker.exists()
    # It would have, had it been run.
    pickle.loads(pickle.dumps(Attack(marker)))
    assert marker.exists()


def view(*arguments):
    """A state dict with a tensor that is a view of 6 numbers."""
    storage = torch_files.Storage("0", np.arange(6, dtype=np.float32))
    hooks = collections.OrderedDict()
    rebuilt = Rebuilt(
        "torch._utils", "_rebuild_tensor_v2", storage, *arguments, False, hooks
    )
    return {"w": rebuilt}


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (view(0, (7,), (1,)), "goes beyond the 6 numbers"),
        (view(1, (6,), (1,)), "goes beyond"),
        (view(0, (2**30, 2**30), (0, 0)), "goes beyond"),
        (view(0, (2,), (-1,)), "are not sizes"),
        ({"w": 3}, "'w' has type int, not tensor; expected a state dict"),
        ({"state_dict": {"w": 3}}, "'state_dict' has type dict.*expected a state dict"),
        ({3: tensor(0, ARRAYS["half"])}, "name of a tensor has type int"),
        ([tensor(0, ARRAYS["half"])], "type list; expected a state dict"),
        ({"w": Parameter(None)}, "'w' has type NoneType"),
    ],
)
@pytest.mark.parametrize("kind", ["old", "zip"])
def test_other_content_is_explained(tmp_path, kind, content, match):
    write = torch_files.write_old if kind == "old" else torch_files.write_zip
    refuse(write(tmp_path / "weights.pth", content), match)


@pytest.mark.parametrize(
    ("members", "match"),
    [
        ({"archive/data/0": None}, "lacks the tensor data '0'"),
        ({"archive/data/0": b"123"}, "has 3 bytes, expected 96"),
        ({"archive/data/0": bytes(97)}, "has more than 96 bytes"),
        ({"archive/data.pkl": None}, "without the data.pkl of a PyTorch file"),
        ({"other/data.pkl": b"N."}, "without the data.pkl"),
        ({"archive/byteorder": b"big"}, "not little-endian"),
        ({"archive/data.pkl": b"N.N."}, "has 2 bytes"),
    ],
)
def test_archives_that_lack_something_are_explained(tmp_path, members, match):
    content = torch_files.state_dict(ARRAYS)
    path = torch_files.write_zip(tmp_path / "w.pth", content, members=members)
    refuse(path, match)


def test_compressed_members_are_refused(tmp_path):
    """A small file could decompress to more than the memory."""
    path = torch_files.write_zip(tmp_path / "w.pth", torch_files.state_dict(ARRAYS))
    bomb = tmp_path / "bomb.pth"
    with zipfile.ZipFile(path) as whole, zipfile.ZipFile(bomb, "w") as packed:
        for name in whole.namelist():
            packed.writestr(name, whole.read(name), zipfile.ZIP_DEFLATED)
    refuse(bomb, "is compressed")


def test_foreign_files_are_named(tmp_path):
    path = tmp_path / "weights.pth"
    for data, match in (
        (b"", "is empty"),
        (b"<!DOCTYPE html><html>", "is a web page.*; expected weights as .pth"),
        (b"version https://git-lfs.github.com/spec/v1\n", "Git LFS pointer"),
        (b"\x89HDF\r\n\x1a\n", "has an unknown format; expected weights"),
    ):
        path.write_bytes(data)
        refuse(path, match)


@pytest.mark.parametrize("kind", KINDS)
def test_truncated_files_are_refused(tmp_path, kind):
    path = write(tmp_path, kind)
    data = path.read_bytes()
    for length in range(1, len(data), 7):
        path.write_bytes(data[:length])
        refuse(path, ".")
    if kind != "script" and kind != "zip":  # archives may have something behind them
        path.write_bytes(data + b"x")
        refuse(path, "has 1 bytes|not in the safetensors format")


@pytest.mark.parametrize("kind", KINDS)
def test_random_damage_is_read_or_refused(tmp_path, kind):
    """Read or refuse 300 files with 1 to 4 wrong bytes, with no other exception."""
    rng = np.random.default_rng(0)
    path = write(tmp_path, kind)
    data, refused = path.read_bytes(), 0
    for _ in range(300):
        damaged = bytearray(data)
        for _ in range(rng.integers(1, 5)):
            damaged[rng.integers(len(data))] = rng.integers(256)
        path.write_bytes(damaged)
        try:
            files.read_tensors(path)
        except ValueError:
            refused += 1
    assert refused > 50
