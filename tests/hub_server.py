"""A stand-in for the Hugging Face Hub: a server that speaks its protocol.

It has the requests that uploads and downloads of models consist of: the creation of a
repository, commits with files in them or in large file storage, and files by revision.
Whoever has the token owns all repositories.
"""

import base64
import contextlib
import dataclasses
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import yaml

TOKEN = "hf_secret"


@dataclasses.dataclass
class Repository:
    private: bool = False
    files: dict[str, bytes] = dataclasses.field(default_factory=dict)
    commits: list[dict] = dataclasses.field(default_factory=list)

    @property
    def commit(self) -> str:
        """The id of the newest commit."""
        return hashlib.sha1(str(len(self.commits)).encode()).hexdigest()


@dataclasses.dataclass
class Hub:
    address: str = ""
    repositories: dict[str, Repository] = dataclasses.field(default_factory=dict)
    gated: set[str] = dataclasses.field(default_factory=set)
    large: dict[str, bytes] = dataclasses.field(default_factory=dict)  # by SHA-256
    requests: list[str] = dataclasses.field(default_factory=list)
    status: int | None = None  # answers everything with it


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        """Be silent."""

    def do_HEAD(self):
        self._route("HEAD")

    def do_GET(self):
        self._route("GET")

    def do_POST(self):
        self._route("POST")

    def do_PUT(self):
        self._route("PUT")

    @property
    def _is_owner(self) -> bool:
        return self.headers.get("Authorization") == f"Bearer {TOKEN}"

    def _route(self, method: str) -> None:
        self.body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        path = self.path.partition("?")[0]
        self.hub.requests.append(f"{method} {path}")
        if self.hub.status is not None:
            return self._error(self.hub.status, "out of order")
        name = r"([\w.-]+/[\w.-]+)"
        routes = {
            r"POST /api/repos/create": self._create,
            r"POST /api/validate-yaml": self._validate,
            rf"POST /api/models/{name}/preupload/main": self._preupload,
            rf"GET /api/models/{name}": self._info,
            rf"POST /{name}\.git/info/lfs/objects/batch": self._batch,
            r"PUT /large/(\w+)": self._store,
            rf"POST /api/models/{name}/commit/main": self._commit,
            rf"(?:GET|HEAD) /{name}/resolve/([\w.-]+)/(.+)": self._file,
        }
        for pattern, answer in routes.items():
            if match := re.fullmatch(pattern, f"{method} {path}"):
                return answer(*match.groups())
        return self._error(404, "no such page")

    def _create(self):
        if not self._is_owner:
            return self._error(401, "Invalid username or password.")
        wanted = json.loads(self.body)
        name = f"{wanted['organization']}/{wanted['name']}"
        if name in self.hub.repositories:
            return self._error(409, "exists", url=f"{self.hub.address}/{name}")
        private = wanted.get("visibility") == "private" or bool(wanted.get("private"))
        self.hub.repositories[name] = Repository(private)
        return self._json({"url": f"{self.hub.address}/{name}", "name": name})

    def _validate(self):
        """Check that a model card begins with YAML, as the Hub does."""
        _, head, _ = json.loads(self.body)["content"].split("---\n", 2)
        wrong = not isinstance(yaml.safe_load(head), dict)
        errors = [{"message": "the metadata is no mapping"}] if wrong else []
        return self._json({"errors": errors, "warnings": []})

    def _preupload(self, name):
        if not self._is_owner:
            return self._error(403, "no right to write")
        files = [
            {
                "path": file["path"],
                "uploadMode": "lfs"
                if file["path"].endswith((".safetensors", ".png"))
                else "regular",
                "shouldIgnore": False,
                "oid": None,
            }
            for file in json.loads(self.body)["files"]
        ]
        return self._json({"files": files})

    def _batch(self, name):
        objects = []
        for wanted in json.loads(self.body)["objects"]:
            upload = {"href": f"{self.hub.address}/large/{wanted['oid']}"}
            objects.append(wanted | {"actions": {"upload": upload}})
        return self._json({"transfer": "basic", "objects": objects})

    def _store(self, oid):
        if hashlib.sha256(self.body).hexdigest() != oid:
            return self._error(422, "the content does not fit its digest")
        self.hub.large[oid] = self.body
        return self._json({})

    def _commit(self, name):
        repository = self.hub.repositories[name]
        header, *operations = map(json.loads, self.body.splitlines())
        files = {}
        for operation in operations:
            value = operation["value"]
            if operation["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            else:
                assert operation["key"] == "lfsFile", operation
                files[value["path"]] = self.hub.large[value["oid"]]
        repository.files |= files
        repository.commits.append(header["value"] | {"files": sorted(files)})
        url = f"{self.hub.address}/{name}/commit/{repository.commit}"
        return self._json({"commitUrl": url, "commitOid": repository.commit})

    def _readable(self, name) -> Repository | None:
        """Return a repository; answer with an error if there is none to be read."""
        repository = self.hub.repositories.get(name)
        if repository is None or (repository.private and not self._is_owner):
            # The Hub does not tell whether a private repository exists.
            status = 404 if self._is_owner else 401
            self._error(status, "Repository not found", "RepoNotFound")
            return None
        return repository

    def _info(self, name):
        repository = self._readable(name)
        if repository is None:
            return None
        info = {
            "id": name,
            "private": repository.private,
            "sha": repository.commit,
            "siblings": [{"rfilename": path} for path in repository.files],
        }
        card = repository.files.get("README.md", b"").decode()
        if card.startswith("---\n"):
            info["cardData"] = yaml.safe_load(card.split("---\n", 2)[1])
        return self._json(info)

    def _file(self, name, revision, path):
        repository = self._readable(name)
        if repository is None:
            return None
        if name in self.hub.gated and not self._is_owner:
            return self._error(403, "Access is restricted", "GatedRepo")
        if revision not in ("main", repository.commit):
            return self._error(404, "Invalid rev id", "RevisionNotFound")
        if path not in repository.files:
            return self._error(404, "Entry not found", "EntryNotFound")
        content = repository.files[path]
        headers = {
            "ETag": f'"{hashlib.sha256(content).hexdigest()}"',
            "X-Repo-Commit": repository.commit,
            "X-Linked-Size": str(len(content)),
        }
        return self._answer(200, content, headers)

    def _json(self, content):
        self._answer(200, json.dumps(content).encode(), {})

    def _error(self, status, message, code=None, **more):
        headers = {"X-Error-Message": message} | (
            {"X-Error-Code": code} if code else {}
        )
        self._answer(status, json.dumps({"error": message, **more}).encode(), headers)

    def _answer(self, status, content, headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)


@contextlib.contextmanager
def running() -> Iterator[Hub]:
    """Start a stand-in on a free port of this machine."""
    hub = Hub()
    handler = type("Handler", (_Handler,), {"hub": hub})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    hub.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
