"""export: formats, flags that contradict each other, and disks that are full."""

import contextlib
import os
import subprocess

import pytest

import stylegan_jax
from stylegan_jax import export
from stylegan_jax.commands import export as declared
from stylegan_jax.exporters import onnx_file, programs, stablehlo
from stylegan_jax.networks import file
from tests import goldens
from tests.networks import small


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    path = tmp_path_factory.mktemp("network") / "small.safetensors"
    file.save(small.network("stylegan2"), path)
    return path


@pytest.fixture
def run(run_main, saved):
    return lambda *arguments: run_main(export, f"--network={saved}", *arguments)


def test_parts_are_those_of_the_code():
    assert declared.PARTS == programs.PARTS


@pytest.mark.parametrize("kind", ["stablehlo", "onnx"])
def test_programs(run, tmp_path, kind):
    out = tmp_path / "new" / f"g.{kind}"
    printed = run(f"--out={out}", f"--format={kind}", "--part=mapping")
    assert f"wrote {out} (0.0 MB); try: python -m stylegan_jax.inspect" in printed
    read = {"stablehlo": stablehlo, "onnx": onnx_file}[kind].read_metadata
    assert read(out)["part"] == "mapping"
    assert [path.name for path in out.parent.iterdir()] == [out.name]


@pytest.mark.parametrize("name", ["I3_legacy_tf_skip_resnet", "I4_legacy_tf_cond"])
def test_official_networks_keep_every_bit(run_main, tmp_path, name):
    source = goldens.path(f"stylegan2_and_3/{name}.pkl")
    out = tmp_path / "g.safetensors"
    run_main(export, f"--network={source}", f"--out={out}")
    before, after = (stylegan_jax.load(path) for path in (source, out))
    for collection, tree in before.variables.items():
        if collection != "official":
            assert_same_bits(tree, after.variables[collection])


def assert_same_bits(a, b):
    """Assert that nested dictionaries hold the same arrays, bit for bit."""
    assert a.keys() == b.keys()
    for key, value in a.items():
        if isinstance(value, dict):
            assert_same_bits(value, b[key])
        else:
            assert value.dtype == b[key].dtype
            assert bytes(memoryview(value)) == bytes(memoryview(b[key])), key


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "--out and --push_to_hub are both missing; exactly one is needed"),
        (("--out=g.safetensors", "--push_to_hub=a/b"), "are both given"),
        (
            ("--out=g.onnx",),
            r"`--out` \(=g.onnx\) must end in .safetensors, as --format is "
            "safetensors; use --format=onnx, or --out=g.safetensors$",
        ),
        (
            ("--out=g.StableHLO", "--format=onnx"),
            "must end in .onnx.*use --format=stablehlo, or --out=g.onnx$",
        ),
        (
            ("--out=g.safetensors", "--format=page"),
            "must be a folder.*use --format=safetensors, or --out=g$",
        ),
        (("--out=g.pkl", "--format=stablehlo"), "must end in .stablehlo, the format"),
        (
            ("--out=g.safetensors", "--part=mapping"),
            "--part has an effect only with --form",
        ),
        (("--out=g.onnx", "--format=onnx", "--dtype=float16"), "--dtype has an effect"),
        (("--out=g.safetensors", "--private"), "--private has an effect only with --p"),
        (("--push_to_hub=a/b", "--format=onnx"), "uploads safetensors, not --format="),
        (("--push_to_hub=a",), r"repository \(='a'\) must be OWNER/NAME"),
        (
            ("--out=x.html", "--format=page"),
            "must be a folder, but a name that ends in",
        ),
    ],
)
def test_wrong_flags(run, arguments, message):
    with pytest.raises(ValueError, match=message):
        run(*arguments)


@contextlib.contextmanager
def small_disk(directory, kilobytes):
    """Mount a disk that is full after some kilobytes; skip if that is not allowed."""
    directory.mkdir()
    size = f"size={kilobytes}k"
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", size, "tmpfs", directory], capture_output=True
    )
    if done.returncode:
        pytest.skip(f"needs the right to mount a disk: {done.stderr.decode()}")
    try:
        yield
    finally:
        subprocess.run(["umount", directory], check=True)


@pytest.mark.parametrize("kind", ["safetensors", "stablehlo", "onnx"])
def test_a_full_disk_keeps_what_is_there(run, tmp_path, kind):
    with small_disk(tmp_path / "disk", 20):
        out = tmp_path / "disk" / f"g.{kind}"
        out.write_bytes(b"an older network")
        with pytest.raises(OSError, match="No space left on device") as raised:
            run(f"--out={out}", f"--format={kind}")
        assert raised.value.filename == os.fspath(out)
        assert out.read_bytes() == b"an older network"
        assert os.listdir(out.parent) == [out.name]


def test_a_file_in_place_of_the_folder(run_main, saved, tmp_path):
    (tmp_path / "no").write_text("a file")
    out = f"--out={tmp_path / 'no' / 'g.safetensors'}"
    with pytest.raises(ValueError, match=r"^`--out` \(=.* is not a folder"):
        run_main(export, f"--network={saved}", out)
