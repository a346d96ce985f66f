"""A local server that speaks the protocol of the Hugging Face Hub."""

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import constants


class Hub(ThreadingHTTPServer):
    """Serves ``files``: ``org/repository@revision/name`` → content."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answers)
        self.files: dict[str, bytes] = {}
        self.asked: list[str] = []
        self.created: dict[str, dict[str, Any]] = {}

    def add(self, repository: str, name: str, path: Path, revision: str = "main") -> None:
        self.files[f"{repository}@{revision}/{name}"] = path.read_bytes()

    def status(self, repository: str, revision: str, name: str) -> tuple[int, str | None]:
        """HTTP status and the Hub's error code."""
        if f"{repository}@{revision}/{name}" in self.files:
            return 200, None
        if repository == "sb3/gated":
            return 403, "GatedRepo"
        if not any(key.startswith(f"{repository}@") for key in self.files):
            return 404, "RepoNotFound"
        if not any(key.startswith(f"{repository}@{revision}/") for key in self.files):
            return 404, "RevisionNotFound"
        return 404, "EntryNotFound"


def _repository(path: str) -> str:
    """``me/agent`` of ``/api/models/me/agent``, ``datasets/me/cells`` of ``/api/datasets/me/cells``."""
    _, _, kind, name = path.split("/", 3)
    return name if kind == "models" else f"{kind}/{name}"


class _Answers(BaseHTTPRequestHandler):
    server: Hub

    def do_HEAD(self) -> None:
        self._answer(b"")

    def do_GET(self) -> None:
        if "/tree/" in self.path:
            repository = _repository(self.path.split("/tree/")[0])
            before = f"{repository}@main/"
            names = [key.removeprefix(before) for key in self.server.files if key.startswith(before)]
            if not names and repository not in self.server.created:
                self._json({"error": "Repository not found"}, 404, "RepoNotFound")
                return
            self._json([{"type": "file", "path": name, "size": 1, "oid": "0"} for name in names])
            return
        self._answer(None)

    def do_POST(self) -> None:
        """What the Hub answers to who writes; the token ``reader`` may not."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers["Authorization"] != "Bearer writer":
            self._json({"error": "you may not write"}, 403)
        elif self.path == "/api/repos/create":
            wanted = json.loads(body)
            name = f"{wanted['organization']}/{wanted['name']}"
            if wanted.get("type", "model") != "model":
                name = f"{wanted['type']}s/{name}"
            self.server.created[name] = wanted
            self._json({"url": f"http://{self.headers['Host']}/{name}"})
        elif self.path == "/api/validate-yaml":
            self._json({"errors": [], "warnings": []})
        elif "/preupload/" in self.path:
            files = [each["path"] for each in json.loads(body)["files"]]
            self._json(
                {"files": [{"path": p, "uploadMode": "regular", "shouldIgnore": False} for p in files]}
            )
        else:
            assert "/commit/main" in self.path
            repository = _repository(self.path.split("/commit/")[0])
            for line in map(json.loads, body.splitlines()):
                if line["key"] == "file":
                    content = base64.b64decode(line["value"]["content"])
                    self.server.files[f"{repository}@main/{line['value']['path']}"] = content
                elif line["key"] == "deletedFile":
                    del self.server.files[f"{repository}@main/{line['value']['path']}"]
            url = f"http://{self.headers['Host']}/{repository}/commit/1"
            self._json({"success": True, "commitUrl": url, "commitOid": "1"})

    def _json(self, data: object, status: int = 200, error: str | None = None) -> None:
        content = json.dumps(data).encode()
        self.send_response(status)
        if error is not None:
            self.send_header("X-Error-Code", error)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _answer(self, body: bytes | None) -> None:
        before, _, after = self.path.lstrip("/").partition("/resolve/")
        revision, _, name = after.partition("/")
        status, error = self.server.status(before, revision, name)
        content = self.server.files.get(f"{before}@{revision}/{name}", b"")
        if after:
            self.server.asked.append(f"{self.command} {before}@{revision}/{name}")
        self.send_response(status)
        self.send_header("X-Repo-Commit", hashlib.sha1(revision.encode()).hexdigest())
        self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
        self.send_header("Content-Length", str(len(content)))
        if error is not None:
            self.send_header("X-Error-Code", error)
        self.end_headers()
        self.wfile.write(content if body is None else body)

    def log_message(self, *_: object) -> None:
        pass


def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A Hub of its own for one test; a fixture is made of it."""
    server = Hub()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    endpoint = f"http://127.0.0.1:{server.server_port}"
    for name, value in {
        "ENDPOINT": endpoint,
        "HUGGINGFACE_CO_URL_TEMPLATE": endpoint + "/{repo_id}/resolve/{revision}/{filename}",
        "HF_HUB_CACHE": str(tmp_path / "cache"),
        "HF_HUB_DISABLE_TELEMETRY": True,
        "HF_HUB_OFFLINE": False,
        "HF_HUB_DISABLE_XET": True,
    }.items():
        monkeypatch.setattr(constants, name, value)
    monkeypatch.setattr(constants, "AGENT_HARNESSES_PATH", str(tmp_path / "harnesses.json"), raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    yield server
    server.shutdown()
    server.server_close()
    thread.join()
