"""What stands in for the Hugging Face Hub: the part of its HTTP API that the client calls."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any


class HubServer:
    """Repositories in memory; commits, branches, uploads and downloads.

    Attributes:
        endpoint: for ``HF_ENDPOINT``.
        commits: the files of each, by its hash.
        branches: the hash that each branch of each repository is at.
        downloads: paths that were asked for.
    """

    def __init__(self) -> None:
        self.commits: dict[str, dict[str, bytes]] = {}
        self.branches: dict[str, dict[str, str]] = {}
        self.downloads: list[str] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), type("H", (_Handler,), {"hub": self}))
        self.endpoint = f"http://127.0.0.1:{self._server.server_port}"
        Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        """As if there were no network; may be called again."""
        self._server.shutdown()
        self._server.server_close()

    def commit(self, name: str, files: Mapping[str, bytes | None], branch: str = "main") -> str:
        """Add a commit with these files instead of those of the same names; returns its hash.

        A file that is ``None`` is removed.
        """
        branches = self.branches.setdefault(name, {})
        content = self.commits.get(branches.get(branch, ""), {}) | files
        content = {path: text for path, text in content.items() if text is not None}
        sha = hashlib.sha1(repr((name, len(self.commits))).encode()).hexdigest()
        self.commits[sha] = content
        branches[branch] = sha
        return sha


class _Handler(BaseHTTPRequestHandler):
    hub: HubServer

    def log_message(self, *_: Any) -> None:
        pass

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        *rest, last = self.path.partition("?")[0].removeprefix("/api/").split("/")
        if [*rest, last] == ["repos", "create"]:
            asked = json.loads(body)
            name = f"{asked['organization']}/{asked['name']}"
            if name.startswith("others/"):
                return self._json({"error": "this is not your namespace"}, 403)
            known = name in self.hub.branches
            if not known:
                self.hub.commit(name, {})
            return self._json({"url": f"{self.hub.endpoint}/{name}"}, 409 if known else 200)
        if last == "validate-yaml":
            return self._json({"errors": [], "warnings": []})
        name, action = "/".join(rest[1:3]), rest[3]
        if action == "branch":
            self.hub.branches[name][last] = self.hub.branches[name]["main"]
            return self._json({})
        if action == "preupload":
            files = [
                {"path": file["path"], "uploadMode": "regular", "shouldIgnore": False}
                for file in json.loads(body)["files"]
            ]
            return self._json({"files": files})
        lines = [json.loads(line) for line in body.splitlines()]
        files: dict[str, bytes | None] = {
            line["value"]["path"]: base64.b64decode(line["value"]["content"])
            for line in lines
            if line["key"] == "file"
        }
        files |= {line["value"]["path"]: None for line in lines if line["key"] == "deletedFile"}
        sha = self.hub.commit(name, files, last)
        return self._json(
            {"commitUrl": f"{self.hub.endpoint}/{name}/commit/{sha}", "commitOid": sha}
        )

    def do_GET(self) -> None:
        path = self.path.partition("?")[0].removeprefix("/")
        api, parts = path.startswith("api/models/"), path.removeprefix("api/models/").split("/")
        name, (kind, revision, *rest) = "/".join(parts[:2]), (*parts[2:], "main", "main")[:3]
        if len(parts) > 4:
            rest = parts[4:]
        branches = self.hub.branches.get(name, {})
        sha = branches.get(revision, revision)
        if sha not in self.hub.commits:
            error = "RevisionNotFound" if branches else "RepoNotFound"
            return self._json({"error": error}, 404, {"X-Error-Code": error})
        files = self.hub.commits[sha]
        if api and kind == "tree":
            tree = [
                {"type": "file", "path": each, "size": len(text), "oid": _etag(text)}
                for each, text in files.items()
            ]
            return self._json(tree)
        if api:
            return self._json(
                {"id": name, "sha": sha, "siblings": [{"rfilename": f} for f in files]}
            )
        self._file(sha, files["/".join(rest)], "/".join(rest))

    do_HEAD = do_GET

    def _file(self, sha: str, content: bytes, name: str) -> None:
        if self.command == "GET":
            self.hub.downloads.append(name)
        self._answer(200, content, {"X-Repo-Commit": sha, "ETag": f'"{_etag(content)}"'})

    def _json(self, content: Any, status: int = 200, headers: Any = None) -> None:
        text = json.dumps(content).encode()
        self._answer(status, text, {"Content-Type": "application/json", **(headers or {})})

    def _answer(self, status: int, content: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)


def _etag(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
