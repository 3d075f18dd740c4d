"""A server with the parts of the hub that downloads need, over a folder of repositories; it is local."""

import json
from http.server import BaseHTTPRequestHandler
from pathlib import Path

COMMIT = "0123456789abcdef0123456789abcdef01234567"

REFUSED = {
    "org/licensed": (401, {"X-Error-Code": "GatedRepo"}),
    "org/forbidden": (403, {}),
    "org/token": (401, {}),
}
"""Repositories that everyone may list but not read, with the hub's answer."""


class Hub(BaseHTTPRequestHandler):
    """The part of the hub's protocol that a download of single files needs, over a folder of repositories."""

    root: Path
    requested: list[str]

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        path = self.path.split("?")[0]
        self.requested.append(path)
        parts = path.strip("/").split("/")
        api = parts[:2] == ["api", "models"]
        repo, rest = "/".join(parts[2:4] if api else parts[:2]), parts[4:] if api else parts[2:]
        if repo == "org/gated":
            return self.answer(403, b"{}", {"X-Error-Code": "GatedRepo"})
        if repo in REFUSED and not api:
            status, headers = REFUSED[repo]
            return self.answer(status, b"{}", headers)
        if not (self.root / repo).is_dir():
            return self.answer(404, b"{}", {"X-Error-Code": "RepoNotFound"})
        if len(rest) > 1 and rest[1] not in ("main", "v1", COMMIT):
            return self.answer(404, b"{}", {"X-Error-Code": "RevisionNotFound"})
        if rest[:1] == ["tree"]:
            files = [file for file in (self.root / repo).rglob("*") if file.is_file()]
            entries = [{"type": "file", "path": file.relative_to(self.root / repo).as_posix()} for file in files]
            facts = {"size": 1, "oid": "0" * 40}
            return self.answer(200, json.dumps([entry | facts for entry in entries]).encode())
        if api:
            files = sorted(file for file in (self.root / repo).rglob("*") if file.is_file())
            siblings = [{"rfilename": file.relative_to(self.root / repo).as_posix()} for file in files]
            return self.answer(200, json.dumps({"id": repo, "sha": COMMIT, "siblings": siblings}).encode())
        content = (self.root / repo / "/".join(rest[2:])).read_bytes()
        return self.answer(200, content, {"ETag": f'"{len(content)}"', "X-Repo-Commit": COMMIT})

    def answer(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_):
        """Keep the test's output clean."""
