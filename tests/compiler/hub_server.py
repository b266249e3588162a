"""A server that speaks the part of the Hugging Face hub's protocol that a download uses, on a free port.

Large files are kept apart, as the hub does: their address leads to another host, which nobody shows a token.
"""

from __future__ import annotations

import hashlib
import http.server
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"
LARGE = ".safetensors"


class Asked(NamedTuple):
    """One request for content."""

    file: str
    begin: int
    token: str | None


@dataclass
class Repository:
    """A model on the hub: its files as they are now, at which commit, and what that is called."""

    files: dict[str, bytes]
    commit: str = COMMIT
    revisions: tuple[str, ...] = ("main",)
    token: str | None = None
    """Whoever does not show it may know of the model, but not have it."""


@dataclass
class ScriptedHub:
    """What the server has, how it misbehaves, and what it was asked."""

    models: dict[str, Repository] = field(default_factory=dict)
    drops_after: list[int] = field(default_factory=list)
    """Of how many bytes of a large file the connection breaks; one number for each time it does."""
    stalls_after: int | None = None
    ignores_ranges: bool = False
    replies: dict[str, tuple[int, bytes]] = field(default_factory=dict)
    """Path -> what is answered instead."""
    asked: list[Asked] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)
    url: str = ""
    source: Path = Path()
    """The folder of the model that was added last."""

    def add(self, name: str, folder: Path, **files: bytes) -> Repository:
        """The files of the folder as a model; those named beside it have `__` for a dot."""
        self.source = folder
        found = {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.is_file()}
        found |= {key.replace("__", "."): data for key, data in files.items()}
        self.models[name] = Repository(found)
        return self.models[name]


def digests(name: str, data: bytes) -> dict[str, object]:
    """What the hub tells of a file's content."""
    blob = hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()
    told: dict[str, object] = {"rfilename": name, "size": len(data), "blobId": blob}
    if name.endswith(LARGE):
        digest = hashlib.sha256(data).hexdigest()
        told["lfs"] = {"sha256": digest, "size": len(data), "pointerSize": 134}
    return told


@contextmanager
def serving_hub() -> Iterator[ScriptedHub]:
    hub = ScriptedHub()

    class Handler(_Handler):
        state = hub

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        hub.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield hub
        finally:
            hub.over.set()
            server.shutdown()
            thread.join()


class _Handler(http.server.BaseHTTPRequestHandler):
    state: ScriptedHub

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path)
        if path in self.state.replies:
            self._send(*self.state.replies[path])
        elif path == "/api/models":
            self._search()
        elif path.startswith("/api/models/"):
            self._tell(path.removeprefix("/api/models/"))
        elif path.startswith("/elsewhere/"):
            self._content(path.removeprefix("/elsewhere/"))
        else:
            self._resolve(path[1:])

    do_HEAD = do_GET

    def _search(self) -> None:
        asked = parse_qs(urlsplit(self.path).query)
        word, owner = asked.get("search", [""])[0], asked.get("author", [""])[0]
        found = [{"id": id} for id in self.state.models if word in id and id.startswith(owner)]
        self._send(200, json.dumps(found).encode())

    def _tell(self, rest: str) -> None:
        name, _, revision = rest.partition("/revision/")
        model = self.state.models.get(name)
        if model is None:
            self._refuse(404, "RepoNotFound")
        elif revision not in (*model.revisions, model.commit):
            self._refuse(404, "RevisionNotFound")
        else:
            siblings = [digests(file, data) for file, data in model.files.items()]
            self._send(200, json.dumps({"id": name, "sha": model.commit, "siblings": siblings}).encode())

    def _resolve(self, rest: str) -> None:
        name, _, place = rest.partition("/resolve/")
        revision, _, file = place.partition("/")
        model = self.state.models.get(name)
        if model is None or revision != model.commit or file not in model.files:
            self._refuse(404, "EntryNotFound")
        elif model.token is not None and self.headers["Authorization"] != f"Bearer {model.token}":
            self._refuse(403 if self.headers["Authorization"] else 401, "GatedRepo")
        elif file.endswith(LARGE):
            told = digests(file, model.files[file])
            lfs = told["lfs"]
            assert isinstance(lfs, dict)
            host = self.state.url.replace("127.0.0.1", "localhost")
            self.send_response(302)
            self.send_header("Location", f"{host}/elsewhere/{name}/{file}")
            self.send_header("X-Linked-Etag", f'"{lfs["sha256"]}"')
            self.send_header("X-Linked-Size", str(lfs["size"]))
            self._end({"X-Repo-Commit": model.commit, "Content-Length": "0"})
        else:
            self._content(f"{name}/{file}")

    def _content(self, place: str) -> None:
        name, _, file = place.rpartition("/")
        data = self.state.models[name].files[file]
        asked = self.headers["Range"]
        begin = int(asked.removeprefix("bytes=").removesuffix("-")) if asked else 0
        if self.command == "GET":
            self.state.asked.append(Asked(file, begin, self.headers["Authorization"]))
        begin = 0 if self.state.ignores_ranges else begin
        self.send_response(206 if begin else 200)
        if begin:
            self.send_header("Content-Range", f"bytes {begin}-{len(data) - 1}/{len(data)}")
        etag = digests(file, data)["blobId"]
        self._end(
            {
                "ETag": f'"{etag}"',
                "X-Repo-Commit": self.state.models[name].commit,
                "Content-Length": str(len(data) - begin),
            }
        )
        if self.command == "GET":
            self._write(file, data[begin:])

    def _write(self, file: str, data: bytes) -> None:
        if file.endswith(LARGE) and self.state.drops_after:
            self.wfile.write(data[: self.state.drops_after.pop(0)])
            return
        if file.endswith(LARGE) and self.state.stalls_after is not None:
            self.wfile.write(data[: self.state.stalls_after])
            self.state.over.wait()
            return
        self.wfile.write(data)

    def _refuse(self, status: int, code: str) -> None:
        self.send_response(status)
        self._end({"X-Error-Code": code, "Content-Length": "0"})

    def _send(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self._end({"Content-Type": "application/json", "Content-Length": str(len(body))})
        if self.command == "GET":
            self.wfile.write(body)

    def _end(self, headers: Mapping[str, str]) -> None:
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass
