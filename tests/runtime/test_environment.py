"""The environment of a run is recorded, whatever is installed."""

import json
import re
import subprocess
import sys

import jax
import numpy as np

from stylegan_jax.runtime import environment, storage


def test_environment(tmp_path):
    found = environment.environment()
    storage.write_json(tmp_path / "environment.json", found)
    assert json.loads((tmp_path / "environment.json").read_text()) == found
    versions = found["versions"]
    assert versions["jax"] == jax.__version__ and versions["numpy"] == np.__version__
    assert found["python"] == ".".join(map(str, sys.version_info[:3]))
    assert found["device_count"] == jax.device_count()
    assert found["process_count"] == 1
    assert found["command"] == sys.argv
    commit = found["git_commit"]
    assert commit is None or re.fullmatch("[0-9a-f]{40}(-dirty)?", commit)


def test_environment_without_package_or_git(monkeypatch):
    def missing(*arguments, **settings):
        raise FileNotFoundError("git")

    monkeypatch.setattr(subprocess, "run", missing)
    monkeypatch.setattr(environment, "_PACKAGES", ("no-such-package",))
    found = environment.environment()
    assert found["git_commit"] is None
    assert found["versions"] == {"no-such-package": None}
