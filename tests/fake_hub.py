"""A server with the parts of the hub that downloads and uploads need, over a folder of repositories; it is local."""

import base64
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


TOKEN = "hf_writer"
"""The token that may write, to repositories of `org`."""


class Hub(BaseHTTPRequestHandler):
    """The parts of the hub's protocol that a download of single files and a commit need, over a folder of repositories.

    visibility: of the repositories that were made here; commits: their messages; uploaded: large files by SHA-256
    """

    root: Path
    requested: list[str]
    visibility: dict[str, str]
    commits: list[str]
    uploaded: dict[str, bytes]

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

    def do_PUT(self):
        type(self).uploaded[self.path.rpartition("/")[2]] = self.body()
        self.answer(200, b"")

    def do_POST(self):
        path, body, place = self.path.split("?")[0], self.body(), f"http://{self.headers['Host']}"
        self.requested.append(path)
        if path == "/api/validate-yaml":
            return self.json({"errors": [], "warnings": []})
        if self.headers["Authorization"] != f"Bearer {TOKEN}":
            return self.answer(401, b"{}")
        if path == "/api/repos/create":
            return self.create(json.loads(body))
        if path.endswith("/info/lfs/objects/batch"):
            objects = json.loads(body)["objects"]
            places = [{"actions": {"upload": {"href": f"{place}/lfs/{each['oid']}"}}} for each in objects]
            return self.json({"transfer": "basic", "objects": [a | b for a, b in zip(objects, places, strict=True)]})
        repo, what = "/".join(path.split("/")[3:5]), path.split("/")[5]
        if what == "preupload":
            files = [each["path"] for each in json.loads(body)["files"]]
            modes = {file: "lfs" if file.endswith(".safetensors") else "regular" for file in files}
            return self.json(
                {"files": [{"path": file, "uploadMode": modes[file], "shouldIgnore": False} for file in files]}
            )
        self.commit(repo, [json.loads(line) for line in body.splitlines()])
        return self.json({"success": True, "commitOid": COMMIT, "commitUrl": f"{place}/{repo}/commit/{COMMIT}"})

    def create(self, asked: dict[str, str]) -> None:
        repo = f"{asked['organization']}/{asked['name']}"
        if asked["organization"] != "org":
            return self.answer(403, b"{}")
        address = {"url": f"http://{self.headers['Host']}/{repo}"}
        if (self.root / repo).exists():
            return self.answer(409, json.dumps({"error": "You already created this model repo", **address}).encode())
        (self.root / repo).mkdir()
        (self.root / repo / ".gitattributes").write_text("*.safetensors filter=lfs\n")
        type(self).visibility[repo] = asked["visibility"]
        return self.json(address)

    def commit(self, repo: str, lines: list[dict]) -> None:
        for line in lines:
            kind, value = line["key"], line["value"]
            if kind == "header":
                type(self).commits.append(value["summary"])
            elif kind == "file":
                (self.root / repo / value["path"]).write_bytes(base64.b64decode(value["content"]))
            elif kind == "lfsFile":
                (self.root / repo / value["path"]).write_bytes(self.uploaded[value["oid"]])

    def body(self) -> bytes:
        return self.rfile.read(int(self.headers["Content-Length"]))

    def json(self, value) -> None:
        self.answer(200, json.dumps(value).encode(), {"Content-Type": "application/json"})

    def answer(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_):
        """Keep the test's output clean."""
