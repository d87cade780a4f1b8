"""The answers of a model, one file each, so that a replay repeats without the model.

A request's file is named by the SHA-256 of the request: model, messages, temperature and seed. The
first answer to a request stays; whoever asks the same gets it, in any process. Answers that led to
nothing are not kept, so that whoever tries again asks again.
"""

import os
from pathlib import Path
from typing import TypedDict

from hpobench_llm.artefacts import (
    canonical_json,
    read_json,
    remove_strays,
    sha256_of_text,
    write_json,
)
from hpobench_llm.errors import IntegrityError, OptimizerError, shown
from hpobench_llm.optimizers.language_model.endpoint import MODEL, Endpoint, Request

FOLDER = "HPOBENCH_LLM_ANSWERS"
FORMAT = 1


class Answered(TypedDict):
    """A file of the folder: the host, the request and the answer."""

    format: int
    host: str
    request: Request
    answer: str


class Answers:
    """A model's answers: from a folder, or else from the environment's endpoint."""

    def __init__(self, folder: Path, model: str) -> None:
        self.folder, self.model = folder, model
        self._fresh: dict[Path, Answered] = {}

    @staticmethod
    def of_environment() -> "Answers":
        """Return the folder and the model that the environment names.

        Raises:
            OptimizerError: it names no folder, or no model.
        """
        for name, description in ((FOLDER, "the folder of its answers"), (MODEL, "a model")):
            if not os.environ.get(name):
                raise OptimizerError(f"`{name}`: {description} has to be named in the environment")
        return Answers(Path(os.environ[FOLDER]), os.environ[MODEL])

    def answer(self, messages: list[dict[str, str]], *, seed: int, temperature: float) -> str:
        """Return the answer to a conversation, asked for if it was not before.

        Raises:
            OptimizerError: the endpoint has none.
            IntegrityError: a file of the folder is not what was written there.
        """
        body: Request = {
            "model": self.model,
            "messages": messages,
            "temperature": temperature,
            "seed": seed,
        }
        path = self.folder / f"{sha256_of_text(canonical_json(body))[:32]}.json"
        if path.exists():
            return _recorded(path, body)
        endpoint = Endpoint.of_environment()
        text = endpoint.answer(body)
        self._fresh[path] = {
            "format": FORMAT,
            "host": endpoint.host,
            "request": body,
            "answer": text,
        }
        return text

    def forget(self) -> None:
        """Drop the answers since the last `keep`."""
        self._fresh.clear()

    def keep(self) -> bool:
        """Write the answers since the last time; False if another process was first with one.

        Raises:
            OptimizerError: a file cannot be written.
        """
        fresh, self._fresh = self._fresh, {}
        # A list, not a generator: all are written, whoever was first with one of them.
        return all([self._keep(path, record) for path, record in fresh.items()])

    def _keep(self, path: Path, record: Answered) -> bool:
        # Written whole under a name of its own, so that no reader finds half a file.
        own = path.with_suffix(f".{os.getpid()}")
        try:
            write_json(own, record)
            # A link never replaces a file: of two processes the first one's answer stays.
            try:
                os.link(own, path)
            except FileExistsError:
                return False
            finally:
                own.unlink()
                remove_strays(self.folder, own.name)
        except OSError as error:
            raise OptimizerError(f"{path}: cannot be written: {error.strerror}") from None
        return True


def _recorded(path: Path, body: Request) -> str:
    record = read_json(path)
    if not (isinstance(record, dict) and record.get("format") == FORMAT):
        raise IntegrityError(f"{path}: no answer of format {FORMAT}: {shown(record)}")
    if record.get("request") != body or not isinstance(record.get("answer"), str):
        raise IntegrityError(f"{path}: not the answer to its request: remove it to ask again")
    return str(record["answer"])
