"""A hub of data sets in this process: what huggingface_hub asks of one, over HTTP on the loopback.

Commits are whole: a file is there once the request that carries the commit has been read to its
end and answered.
"""

import base64
import hashlib
import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote


class Hub:
    """Repositories by name, each a list of commits: `{path: content}`."""

    def __init__(self):
        self.commits: dict[str, list[dict[str, bytes]]] = {}
        self.refuse_with = 0  # a status that commits are answered with
        self.hang_up = False  # close the connection instead of answering a commit
        self.asked: list[str] = []

    def files(self, repo):
        return self.commits[repo][-1] if self.commits.get(repo) else {}

    def sha(self, repo):
        return hashlib.sha1(repr(sorted(self.files(repo).items())).encode()).hexdigest()


def handler(hub):
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_):
            pass

        def answer(self, status, body=b"", **headers):
            content = body if isinstance(body, bytes) else json.dumps(body).encode()
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name.replace("_", "-"), value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)

        def read(self):
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))

        def do_POST(self):
            hub.asked.append(f"POST {self.path}")
            body = self.read()
            parts = self.path.partition("?")[0].strip("/").split("/")
            if parts[-1] == "create":
                asked = json.loads(body)
                repo = f"{asked.get('organization') or 'me'}/{asked['name']}"
                status = 409 if repo in hub.commits else 200
                hub.commits.setdefault(repo, [{}])
                return self.answer(status, {"url": f"https://huggingface.co/datasets/{repo}"})
            if parts[-1] == "validate-yaml":
                return self.answer(200, {"errors": [], "warnings": []})
            repo = "/".join(parts[2:4])
            if parts[4] == "preupload":
                files = [
                    {"path": file["path"], "uploadMode": "regular", "shouldIgnore": False}
                    for file in json.loads(body)["files"]
                ]
                return self.answer(200, {"files": files})
            if hub.hang_up:
                self.close_connection = True
                return self.connection.close()
            if hub.refuse_with:
                return self.answer(hub.refuse_with, {"error": "you may not write here"})
            new = dict(hub.files(repo))
            for line in body.decode().splitlines():
                entry = json.loads(line)
                value = entry["value"]
                if entry["key"] == "file":
                    new[value["path"]] = base64.b64decode(value["content"])
                elif entry["key"] == "deletedFile":
                    del new[value["path"]]
            hub.commits[repo].append(new)
            url = f"https://huggingface.co/datasets/{repo}/commit/{hub.sha(repo)}"
            return self.answer(200, {"commitUrl": url, "commitOid": hub.sha(repo)})

        def do_GET(self):
            hub.asked.append(f"{self.command} {self.path}")
            parts = unquote(self.path.partition("?")[0]).strip("/").split("/")
            if parts[0] == "datasets":  # datasets/org/name/resolve/revision/path
                repo, path = "/".join(parts[1:3]), "/".join(parts[5:])
                content = hub.files(repo).get(path)
                if content is None:
                    return self.answer(404, {"error": "no entry"}, X_Error_Code="EntryNotFound")
                etag = f'"{hashlib.sha1(content).hexdigest()}"'
                return self.answer(200, content, ETag=etag, X_Repo_Commit=hub.sha(repo))
            repo = "/".join(parts[2:4])
            if repo not in hub.commits:
                return self.answer(404, {"error": "no repo"}, X_Error_Code="RepoNotFound")
            siblings = [{"rfilename": name} for name in sorted(hub.files(repo))]
            if "tree" in parts:
                tree = [
                    {
                        "type": "file",
                        "path": name,
                        "size": len(content),
                        "oid": hashlib.sha1(content).hexdigest(),
                    }
                    for name, content in sorted(hub.files(repo).items())
                ]
                return self.answer(200, tree)
            about = {"id": repo, "sha": hub.sha(repo), "siblings": siblings}
            return self.answer(200, about | {"private": False, "disabled": False, "gated": False})

        do_HEAD = do_GET

    return Handler


@contextmanager
def running():
    """Yield a hub and its address."""
    hub = Hub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler(hub))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub, f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
