"""The official StyleGAN2 networks among the goldens."""

import json

import numpy as np

from stylegan_jax import interop
from tests import goldens

FOLDER = "stylegan2_and_3"
TORCH = "stylegan2-ada-pytorch"
TF = "stylegan2-tf"
STYLE_BIAS = 2.4e-7  # TensorFlow's is less by 1: half a unit in the last place below 4
GENERATORS = [
    "A1_g32_skip_map8",
    "A2_g32_resnet_map2_c10",
    "A3_g32_orig_map2_c10",
    "A4_g64_skip_map2_c10",
    "A5_g64_resnet_map8",
    "A6_g64_orig_map2",
    "A7_g16_skip_clamp0.7",
    "A8_g16_resnet_clamp0.7_asymfir",
]
DISCRIMINATORS = [
    "B1_d32_resnet",
    "B2_d32_skip_c10",
    "B3_d32_orig_c10_cifar",
    "B4_d64_resnet_c10",
    "B5_d64_skip",
    "B6_d64_orig",
    "B7_d16_resnet_clamp0.5_group_none",
    "B8_d16_skip_clamp0.5_mbstd_f2",
]


def load(name):
    """Arrays and settings of a golden file."""
    settings = json.loads(goldens.path(f"{FOLDER}/{name}.json").read_text())
    return goldens.arrays(f"{FOLDER}/{name}.npz"), settings


def network(name):
    """Module, variables, arrays and settings of a golden network."""
    arrays, settings = load(name)
    kind = "generator" if name in GENERATORS else "discriminator"
    official = goldens.below(arrays, "param/")
    model, variables = interop.from_official(
        official, TORCH, kind, **settings["kwargs"]
    )
    return model, variables, arrays, settings


def assert_same(arrays, wanted, atol=0.0):
    assert set(arrays) == set(wanted)
    for key, array in wanted.items():
        assert arrays[key].dtype == np.float32 and arrays[key].shape == array.shape
        np.testing.assert_allclose(arrays[key], array, 0, atol, err_msg=key)
