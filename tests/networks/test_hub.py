"""Networks on a hub: a local stand-in that speaks its protocol, and its errors."""

import dataclasses
import importlib.util
import json
import os
import subprocess
import sys

import jax
import numpy as np
import pytest
import yaml

import stylegan_jax
from stylegan_jax import workdir
from stylegan_jax.networks import file, hub, model_card
from tests import hub_server, tiny
from tests.networks import small

# The package reads its environment when it is imported, so that another process uses
# it. It takes lines with lists of [function, arguments, options, environment].
WORKER = """
import json, os, sys
import stylegan_jax as sj
from huggingface_hub import constants
from huggingface_hub.utils import close_session

def call(function, arguments, options, settings):
    os.environ.pop("HF_TOKEN", None)
    os.environ.update(settings)
    constants.ENDPOINT = os.environ["HF_ENDPOINT"]
    constants.HUGGINGFACE_CO_URL_TEMPLATE = (
        constants.ENDPOINT + "/{repo_id}/resolve/{revision}/{filename}"
    )
    constants.HF_HUB_OFFLINE = settings.get("HF_HUB_OFFLINE") == "1"
    close_session()
    try:
        g = sj.load(arguments[0])
        if function == "load":
            return g(seeds=3, label="a", truncation_psi=0.7).tolist()
        return sj.push_to_hub(g, arguments[1], **options)
    except (ValueError, OSError) as error:
        return f"{type(error).__name__}: {error}"

for line in sys.stdin:
    print(json.dumps([call(*wanted) for wanted in json.loads(line)]), flush=True)
"""
OWNER = {"HF_TOKEN": hub_server.TOKEN}


@pytest.fixture(scope="module")
def server():
    with hub_server.running() as running:
        yield running


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    path = tmp_path_factory.mktemp("network") / "small.safetensors"
    file.save(small.network("stylegan2", ("a", "b")), path)
    return str(path)


@pytest.fixture(scope="module")
def worker(server, tmp_path_factory):
    """Yield a function that carries out calls in a process of its own."""
    settings = os.environ | {
        "HF_HOME": str(tmp_path_factory.mktemp("home")),
        "HF_HUB_DISABLE_XET": "1",  # large file storage is what the server has
        "HF_ENDPOINT": server.address,
    }
    process = subprocess.Popen(
        [sys.executable, "-c", WORKER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=settings,
    )

    def run(*calls):
        wanted = [
            [name, list(arguments), options, {"HF_ENDPOINT": server.address} | changes]
            for name, arguments, options, changes in calls
        ]
        print(json.dumps(wanted), file=process.stdin, flush=True)
        line = process.stdout.readline()
        assert line, f"the process has ended with status {process.wait()}"
        return json.loads(line)

    yield run
    process.stdin.close()
    process.wait(60)


def test_push_and_load(server, worker, saved):
    pushed = ("push", (saved, "alice/smileys"), {"license": "mit"}, OWNER)
    loaded = ("load", ("hub:alice/smileys",), {}, {})
    offline = ("load", ("hub:alice/smileys",), {}, {"HF_HUB_OFFLINE": "1"})
    address, images, again = worker(pushed, loaded, offline)
    assert address == f"{server.address}/alice/smileys"
    g = stylegan_jax.load(saved)
    assert images == again == g(seeds=3, label="a", truncation_psi=0.7).tolist()
    repository = server.repositories["alice/smileys"]
    assert not repository.private and len(repository.commits) == 1
    # The name of the file, and no directory.
    assert repository.commits[0]["summary"] == "Upload small with stylegan_jax"
    names = ["README.md", "config.json", "model.safetensors", "samples.png"]
    assert sorted(repository.files) == names
    with open(saved, "rb") as content:  # bit for bit
        assert repository.files["model.safetensors"] == content.read()
    assert repository.files["samples.png"].startswith(b"\x89PNG")
    config = json.loads(repository.files["config.json"])
    assert config["library_name"] == "stylegan_jax"
    assert config["config"]["model"]["family"] == "stylegan2"
    card = repository.files["README.md"].decode()
    head = yaml.safe_load(card.split("---\n")[1])
    assert head["pipeline_tag"] == "unconditional-image-generation"
    assert head["library_name"] == "stylegan_jax" and head["license"] == "mit"
    assert 'sj.load("hub:alice/smileys")' in card

    # A second upload keeps the card, which may have been edited.
    repository.files["README.md"] = b"---\nlicense: mit\n---\n# Mine\n"
    options = {"dtype": "float16", "license": "mit"}  # what the card says
    worker(("push", (saved, "alice/smileys"), options, OWNER))
    assert repository.files["README.md"].endswith(b"# Mine\n")
    assert len(repository.commits) == 2
    assert len(repository.files["model.safetensors"]) < os.path.getsize(saved)


def test_errors(server, worker, saved):
    server.repositories |= {
        "alice/secret": hub_server.Repository(private=True),
        "alice/empty": hub_server.Repository(),
        "alice/gated": hub_server.Repository(),
        "alice/broken": hub_server.Repository(files={hub.MODEL: b"hello"}),
    }
    server.gated.add("alice/gated")
    nowhere = {"HF_ENDPOINT": "http://127.0.0.1:9"}
    offline = {"HF_HUB_OFFLINE": "1"}

    def load(name, **settings):
        return "load", (f"hub:{name}",), {}, settings

    def push(**settings):
        return "push", (saved, "alice/new"), {"private": True}, settings

    cases = [
        (load("alice/nothing"), "ValueError: hub:alice/nothing does not exist on http"),
        (load("alice/nothing", **OWNER), "does not exist on"),
        (
            load("alice/secret"),
            "or is private and this token, if there is one, may not",
        ),
        (load("alice/gated"), f"gated: accept its conditions at {server.address}/ali"),
        (load("alice/empty"), "has no model.safetensors, so it holds no network"),
        (load("alice/empty@v2"), "no such branch, tag or commit"),
        (load("alice/broken"), "cannot be used: the file is damaged or not in the saf"),
        (load("alice"), "the repository (='alice') must be OWNER/NAME"),
        (load("../../etc"), "must be OWNER/NAME"),
        (
            load("alice/other", **nowhere),
            "ConnectionError: hub:alice/other: http://127",
        ),
        (load("alice/other", **offline), "HF_HUB_OFFLINE is set"),
        (push(), "refuses access (status 401), because there is no token, it is wrong"),
        (push(**OWNER, **nowhere), "cannot be reached ("),
        (push(**OWNER, **offline), "HF_HUB_OFFLINE is set"),
    ]
    for (call, part), message in zip(
        cases, worker(*(c for c, _ in cases)), strict=True
    ):
        assert part in message, (call, message)
    assert "alice/new" not in server.repositories
    server.status = 503
    try:
        messages = worker(load("alice/other"), push(**OWNER))
    finally:
        server.status = None
    for message in messages:
        assert "answered with status 503; try again later" in message


def test_a_private_repository(server, worker, saved):
    options = {"private": True}
    calls = [
        ("push", (saved, "bob/mine"), options, OWNER),
        ("load", ("hub:bob/mine",), {}, OWNER),
    ]
    _, images = worker(*calls)
    assert server.repositories["bob/mine"].private
    assert "bob/mine" in worker(calls[0])[0]  # again
    assert len(server.repositories["bob/mine"].commits) == 2
    assert np.shape(images) == (1, 16, 16, 3)


def test_what_contradicts_a_repository_is_not_uploaded(server, worker, saved):
    cards = {"mit": b"---\nlicense: mit\n---\n", "none": b"# Mine\n"}
    for name, card in cards.items():
        server.repositories[f"carol/{name}"] = hub_server.Repository(
            files={hub.CARD: card}
        )
    server.repositories["carol/empty"] = hub_server.Repository()
    names = ["carol/empty", "carol/mit", "carol/none"]
    options = [{"private": True}, {"license": "cc-by-4.0"}, {"license": "mit"}]
    calls = [
        ("push", (saved, name), o, OWNER)
        for name, o in zip(names, options, strict=True)
    ]
    public, other, none = worker(*calls)
    assert "hub:carol/empty already exists and is public" in public
    assert f"{server.address}/carol/empty/settings" in public
    assert "`license` (='cc-by-4.0') would have no effect: hub:carol/mit" in other
    assert "which is kept and states mit; nothing was uploaded" in other
    assert "states no license" in none and "write `license: mit`" in none
    assert not any(server.repositories[name].commits for name in names)


def test_what_fails_on_this_machine_creates_no_repository(monkeypatch):
    class Api:
        def __init__(self, **_):
            raise AssertionError("the server is asked")

    monkeypatch.setattr("huggingface_hub.HfApi", Api)
    g = small.network()
    large = jax.tree.map(lambda x: x + np.float32(1e6), g.variables)
    with pytest.raises(ValueError, match="the range of float16; use float32"):
        hub.push(dataclasses.replace(g, variables=large), "dan/x", dtype="float16")

    def fail(*_):
        raise MemoryError

    monkeypatch.setattr(hub, "_samples", fail)
    with pytest.raises(MemoryError):
        hub.push(g, "dan/x")


def test_the_samples_of_label_vectors_need_one():
    g = small.network("stylegan2", ("a", "b"))
    classes = hub._samples(g, None)
    g = dataclasses.replace(g, label_vectors=True)
    with pytest.raises(ValueError, match="small needs a label vector .* give `label`"):
        hub._samples(g, None)
    assert hub._samples(g, [1.0, 0.5]) != classes
    card = model_card.text(g, "bob/x", None)
    assert "label=[0.0] * 2, truncation" in card
    assert "| components of labels | a, b |" in card


def test_without_the_package(monkeypatch):
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name: None if name == "huggingface_hub" else found(name),
    )
    for call in (
        lambda: stylegan_jax.load("hub:alice/smileys"),
        lambda: stylegan_jax.push_to_hub(small.network(), "alice/smileys"),
    ):
        with pytest.raises(ValueError, match=r"pip install -e '\.\[hub\]'"):
            call()


def test_paths_of_this_machine_are_left_out():
    g = small.network()
    places = {
        "data.source": "folder",
        "data.path": "/home/alice/secret/photos",
        "data.tfds_data_dir": "/home/alice/tfds",
    }
    reference = "/home/alice/runs/mine/"
    e = tiny.experiment(places)
    g = dataclasses.replace(g, experiment=e, reference=reference)
    published = hub._without_places(g)
    text = json.dumps(file.describe(published))
    assert '"photos"' in text and "alice" not in text
    assert published.reference == "mine"
    assert "alice" not in model_card.text(g, "bob/x", None)


def test_the_card_says_where_a_network_was_trained(tmp_path):
    trained = "generator of images of 16x16 pixels, trained with stylegan_jax."
    converted = "trained with the official code and converted to stylegan_jax."
    g = small.network()
    assert trained in model_card.text(g, "bob/x", None)
    averaged = dataclasses.replace(g, step=None)  # as `ema` makes them
    assert trained in model_card.text(averaged, "bob/x", None)
    official = dataclasses.replace(
        g, step=None, checkpoint=0, data=workdir.DataInfo("g.pkl", 0, (), "")
    )
    card = model_card.text(official, "bob/x", None)
    assert converted in card and "trained with stylegan_jax" not in card
    assert "seen in training" not in card and "in the training data" not in card
    file.save(official, tmp_path / "g.safetensors")
    opened = stylegan_jax.load(tmp_path / "g.safetensors")
    assert converted in model_card.text(opened, "bob/x", None)


def test_a_card_without_a_license():
    card = model_card.text(small.network(classes=("a|b", "c")), "bob/x", None)
    head = yaml.safe_load(card.split("---\n")[1])
    assert "license" not in head and "The license has not been stated" in card
    assert r"a\|b, c" in card and "label='a|b'" in card
