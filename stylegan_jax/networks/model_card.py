"""The model card of a network: what it draws, how to use it, and facts about it.

Reference: https://huggingface.co/docs/hub/model-cards, the keys of the first lines.
"""

import json
import math

import jax

from stylegan_jax import config, models
from stylegan_jax.networks.network import Network
from stylegan_jax.runtime.messages import listed, sides

PIPELINE_TAG = "unconditional-image-generation"


def text(network: Network, repository: str, license: str | None) -> str:
    """Return a model card in Markdown.

    Args:
      network: the network, which has a configuration.
      repository: OWNER/NAME of the repository that the card is for.
      license: identifier of the license; None leaves it open.
    """
    family, generator = network.experiment.model.family, network.generator
    head = {
        "library_name": "stylegan_jax",
        "pipeline_tag": PIPELINE_TAG,
        "tags": ["gan", "jax", "flax", "stylegan_jax", family],
    }
    if license is not None:
        head["license"] = license
    # JSON is YAML, and quotes whatever a name may contain.
    lines = ["---", *(f"{key}: {json.dumps(value)}" for key, value in head.items())]
    size = sides(config.image_size(generator.base_size, network.resolution))
    label = f", label={network.classes[0]!r}" if network.classes else ""
    if network.label_vectors:
        label = f", label=[0.0] * {len(network.classes)}"
    lines += [
        "---",
        "",
        f"# {repository.partition('/')[2]}",
        "",
        f"A {models.FAMILIES[family]} generator of images of {size} pixels, "
        f"{_origin(network)}.",
        "",
        "![Images of the first seeds, not selected, truncation 0.7](samples.png)",
        "",
        "*The first seeds, not selected, with a truncation psi of 0.7.*",
        "",
        "```python",
        "import stylegan_jax as sj",
        "",
        f'g = sj.load("hub:{repository}")',
        f"images = g(seeds=range(16){label}, truncation_psi=0.7)  # uint8",
        "```",
        "",
        "| | |",
        "|---|---|",
        *(f"| {name} | {value} |" for name, value in _facts(network).items()),
        "",
    ]
    if license is None:
        lines += [
            "The license has not been stated: ask the owner before you use the network "
            "or its images.",
            "",
        ]
    return "\n".join(lines)


def _origin(network: Network) -> str:
    """Return where a network comes from; conversions have neither steps nor images."""
    if network.step is not None or network.checkpoint:
        return "trained with stylegan_jax"
    return "trained with the official code and converted to stylegan_jax"


def _facts(network: Network) -> dict[str, str]:
    generator = network.generator
    parameters = sum(
        math.prod(x.shape) for x in jax.tree.leaves(network.variables["params"])
    )
    facts = {
        "parameters of the generator": f"{parameters:,}",
        "length of z and w": f"{generator.z_dim}, {generator.w_dim}",
        "style layers": str(generator.num_ws),
        "components of labels" if network.label_vectors else "classes": _escaped(
            listed(network.classes)
        )
        or "none",
    }
    if network.checkpoint:
        facts["images seen in training"] = f"{network.checkpoint:,}"
    if network.data is not None and network.data.num_images:  # 0: not known
        facts["images in the training data"] = f"{network.data.num_images:,}"
    return facts


def _escaped(text: str) -> str:
    """Return a text for a cell of a table."""
    return text.replace("|", r"\|").replace("\n", " ")
