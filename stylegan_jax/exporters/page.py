"""A static web page that runs a network in the visitor's browser.

The directory holds `index.html`; `network.json`, the facts that the page shows; the
network as `mapping.onnx` and `synthesis.onnx`; and ONNX Runtime Web in `ort/`, a fixed
version from npm. Any web server can serve it, and it loads nothing from elsewhere.
"""

import hashlib
import importlib.resources
import io
import json
import shlex
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from etils import epath

from stylegan_jax import config, models
from stylegan_jax.exporters import onnx_file
from stylegan_jax.networks.network import Network
from stylegan_jax.runtime import storage
from stylegan_jax.runtime.messages import sides
from stylegan_jax.sampling.mixing import style_ranges

RUNTIME = "onnxruntime-web@1.30.0"  # package and version in npm
# SHA-256 of each file in `dist/` of the package.
RUNTIME_FILES = {
    "ort.wasm.min.mjs": (
        "219e6a1fc8a9938268d18efca3c91d310bd2f4a59bbd13744df5b2b7fc6cee3b"
    ),
    "ort-wasm-simd-threaded.mjs": (
        "e13f7f94fc51b4ca72b12faeb1ee95f4ace6dfbc8939bc718aabdc0a27c4299b"
    ),
    "ort-wasm-simd-threaded.wasm": (
        "3398c10d07d229bd91b364548e130e0e51a8e5704b88c7c083ebbeb78842dee2"
    ),
}
NPM_SECONDS = 600
PAGE, FACTS = "index.html", "network.json"


def write(network: Network, directory: epath.Path, say: Callable[[str], None]) -> None:
    """Write the page of a network into a directory, index.html last.

    Args:
      network: the network.
      directory: the directory; if it exists, the runtime in it is reused.
      say: called with a message about what was written.

    Raises:
      ValueError: a package or npm is missing, or the network cannot be converted.
      OSError: a file cannot be written, or the runtime cannot be downloaded.
    """
    contents = {
        f"{part}.onnx": onnx_file.serialized(network, part)
        for part in ("mapping", "synthesis")
    }
    contents[FACTS] = json.dumps(facts(network), indent=2).encode() + b"\n"
    contents |= {f"ort/{name}": data for name, data in _runtime(directory).items()}
    contents[PAGE] = template()
    (directory / "ort").mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        storage.write_atomically(directory / name, content)
    size = sum(map(len, contents.values())) / 1e6
    server = f"python -m http.server --directory {shlex.quote(str(directory))}"
    say(
        f"wrote a page of {size:.1f} MB to {directory}; try: {server}, and open "
        "http://localhost:8000"
    )


def template() -> bytes:
    """Return the HTML page, which is the same for all networks."""
    files = importlib.resources.files("stylegan_jax.exporters")
    return (files / "assets" / PAGE).read_bytes()


def facts(network: Network) -> dict[str, Any]:
    """Return the facts about a network that the page needs, as JSON data."""
    generator = network.generator
    size = config.image_size(generator.base_size, network.resolution)
    return {
        "name": network.name,
        "family": models.FAMILIES[models.family_of(generator)],
        "size": sides(size).replace("x", "×"),
        "z_dim": generator.z_dim,
        "w_dim": generator.w_dim,
        "num_ws": generator.num_ws,
        "classes": list(network.classes),
        "style_groups": _style_groups(network),
    }


def _style_groups(network: Network) -> dict[str, list[int]]:
    """Return named groups of style layers: coarse, middle, fine, or each resolution."""
    generator, resolution = network.generator, network.resolution
    try:
        groups = style_ranges(generator, resolution)
    except ValueError:
        groups = {
            f"{r}": generator.style_layers(r)
            for r in generator.resolutions
            if r <= resolution
        }
    return {name: list(layers) for name, layers in groups.items()}


def _runtime(directory: epath.Path) -> dict[str, bytes]:
    """Return the files of ONNX Runtime Web, from the directory or from npm."""
    found = {}
    for name, digest in RUNTIME_FILES.items():
        path = directory / "ort" / name
        content = path.read_bytes() if path.exists() else b""
        if hashlib.sha256(content).hexdigest() != digest:
            return _download_runtime(directory)
        found[name] = content
    return found


def _download_runtime(directory: epath.Path) -> dict[str, bytes]:
    by_hand = (
        f"or put the files {', '.join(RUNTIME_FILES)} of {RUNTIME} (in its dist/) into "
        f"{directory / 'ort'} yourself"
    )
    npm = shutil.which("npm")
    if npm is None:
        raise ValueError(
            "the page needs ONNX Runtime Web, which npm downloads, and npm is not "
            f"installed: install Node.js, for example `apt-get install npm`, {by_hand}"
        )
    with tempfile.TemporaryDirectory(prefix="stylegan_jax-") as temporary:
        try:
            done = subprocess.run(
                [npm, "pack", RUNTIME, "--silent", f"--pack-destination={temporary}"],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=NPM_SECONDS,
            )
            problem = done.stderr.strip() or f"status {done.returncode}"
        except subprocess.TimeoutExpired:
            problem = f"no answer within {NPM_SECONDS} seconds"
        archives = list(Path(temporary).glob("*.tgz"))
        if not archives:
            raise ConnectionError(
                f"`npm pack {RUNTIME}` failed: {problem[-500:]}; check the connection "
                f"and try again, {by_hand}"
            )
        return _extracted(archives[0].read_bytes())


def _extracted(archive: bytes) -> dict[str, bytes]:
    """Extract the files of the runtime from npm's archive, and check their SHA-256."""
    found = {}
    with tarfile.open(fileobj=io.BytesIO(archive)) as files:
        for name, digest in RUNTIME_FILES.items():
            content = files.extractfile(f"package/dist/{name}").read()
            if hashlib.sha256(content).hexdigest() != digest:
                raise ValueError(
                    f"the {name} that npm downloaded is not that of {RUNTIME}: its "
                    f"SHA-256 is not {digest}; check the registry that npm uses"
                )
            found[name] = content
    return found
