"""A stand-in for an OpenAI-compatible endpoint, on the loopback device."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np

from hpobench_llm.space import Space


def answer(body):
    """Return what a model might: a configuration near the best, half of the time anywhere.

    All that it knows is in the prompt, as a model would find it there.
    """
    prompt = body["messages"][0]["content"]
    lines = [json.loads(line) for line in prompt.splitlines() if line.startswith("{")]
    space = Space.from_json([line for line in lines if "kind" in line])
    trials = [line for line in lines if line.get("status") == "ok"]
    rng = np.random.default_rng([body["seed"], len(lines), len(body["messages"])])
    config = space.sample(rng)
    if trials and rng.random() < 0.7 and not space.simplexes:
        goal = prompt.split("Objective: ")[1].split()
        sign = -1.0 if goal[0] == "maximize" else 1.0
        best = min(trials, key=lambda t: sign * t[goal[1].rstrip(",.")])["config"]
        units = space.to_unit([best]) + rng.normal(0.0, 0.08, (1, len(space)))
        config = space.from_unit(units)[0] if rng.random() < 0.7 else best | one_axis(config, rng)
    return f"I would try this.\n```json\n{json.dumps(config)}\n```"


def one_axis(config, rng):
    name = [*config][int(rng.integers(len(config)))]
    return {name: config[name]}


class StandIn:
    """A server whose `reply` takes a request's body and returns a status and content.

    `requests` are the bodies so far, `headers` what came with them.
    """

    def __init__(self, reply=None):
        self.reply = reply or (lambda body: (200, completion(answer(body))))
        self.requests, self.headers = [], []
        stand_in = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                stand_in.requests.append(body)
                stand_in.headers.append((self.path, dict(self.headers)))
                status, content = stand_in.reply(body)
                self.send_response(status)
                if 300 <= status < 400:
                    self.send_header("Location", content.decode())
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *args):
                pass

        class Server(ThreadingHTTPServer):
            def handle_error(self, request, client_address):
                pass  # a client that has gone away

        self._server = Server(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/v1"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self):
        self._server.shutdown()
        self._server.server_close()


def completion(text):
    return json.dumps({"choices": [{"message": {"role": "assistant", "content": text}}]}).encode()
