"""A conversion that commit 135a373 wrote loads and draws the same images.

`conversion_135a373.zip` is what `python -m stylegan_jax.convert` wrote at that commit
for tests/golden/stylegan2_and_3/I5_torch_snapshot.pkl, a 16x16 network in the format of
stylegan2-ada-pytorch. The same commit computed the SHA-256 sums of the arrays and the
images of seeds 0 and 1.
"""

import hashlib
import json
import zipfile
from pathlib import Path

import jax
import numpy as np
import pytest
from etils import epath

from stylegan_jax import models, workdir
from stylegan_jax.models.interface import LevelOfDetail
from stylegan_jax.sampling.seeds import latents
from stylegan_jax.sampling.synthesis import synthesize
from stylegan_jax.sampling.truncation import truncated_styles
from tests import tiny

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def conversion(tmp_path_factory):
    """The unpacked directory."""
    path = tmp_path_factory.mktemp("conversion")
    with zipfile.ZipFile(HERE / "conversion_135a373.zip") as archive:
        archive.extractall(path)
    return epath.Path(path)


def test_the_generator_draws_the_same_images(conversion):
    trained = workdir.load_generator(conversion)
    assert (trained.lod, trained.checkpoint) == (LevelOfDetail(16), 0)
    assert trained.classes == () and trained.step is None
    z = latents([0, 1], trained.experiment.model.z_dim)
    network = trained.generator, trained.variables
    with tiny.quick_compilation():
        ws = truncated_styles(*network, z, truncation_psi=0.7)
        drawn = synthesize(*network, ws)
    with np.load(HERE / "conversion_135a373_images.npz") as stored:
        expected = stored["images"]
    assert drawn.shape == expected.shape == (2, 16, 16, 3)
    # Compilers differ in the last bits of a sum.
    assert np.abs(drawn - expected).max() <= 1e-5 * np.abs(expected).max()


def test_every_array_is_the_same_bit_for_bit(conversion):
    """Restore all three networks, as models of today describe them."""
    trained = workdir.load_generator(conversion)
    e = trained.experiment
    _, discriminator = models.build(e.model, e.data, 0)
    inputs = jax.ShapeDtypeStruct((4, 16, 16, 3), "float32")
    of_d = jax.eval_shape(discriminator.init, jax.random.key(0), inputs)
    device = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
    templates = jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=device),
        {
            "ema": trained.variables,
            "generator": trained.variables,
            "discriminator": of_d,
        },
    )
    checkpoints = workdir.open_checkpoints(conversion, 1, print)
    _, items, meta = checkpoints.restore(templates)
    checkpoints.close()
    assert meta == {"source": "I5_torch_snapshot.pkl", "resolution": 16, "fade": 1.0}
    found = {}
    for path, leaf in jax.tree_util.tree_leaves_with_path(items):
        array = np.asarray(leaf)
        assert array.dtype == np.float32
        digest = hashlib.sha256(array.tobytes()).hexdigest()
        found["/".join(key.key for key in path)] = {
            "shape": list(array.shape),
            "sha256": digest,
        }
    table = (HERE / "conversion_135a373_arrays.json").read_text()
    assert found == json.loads(table) and len(found) == 114
