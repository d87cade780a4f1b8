"""An OpenAI-compatible endpoint: one question, one answer, and one clear line where it fails."""

import http.client
import json
import os
import time
from dataclasses import dataclass, field
from typing import IO, Any, ClassVar, TypedDict
from urllib import error, request
from urllib.parse import urlsplit

from hpobench_llm.errors import OptimizerError, shown

URL, MODEL = "HPOBENCH_LLM_ENDPOINT", "HPOBENCH_LLM_MODEL"
KEY, TIMEOUT = "HPOBENCH_LLM_API_KEY", "HPOBENCH_LLM_TIMEOUT"
LARGEST = 2**22  # bytes of an answer
AGAIN = (408, 429, 500, 502, 503, 504)  # what may be gone at the next try


class Request(TypedDict):
    """The body of a request of `chat/completions`."""

    model: str
    messages: list[dict[str, str]]
    temperature: float
    seed: int


class _NoRedirect(request.HTTPRedirectHandler):
    """Follows no redirection, which would carry the key to another host."""

    def redirect_request(
        self, req: request.Request, fp: IO[bytes], code: int, msg: str, headers: Any, newurl: str
    ) -> None:
        """Return None: the redirection is the answer, and an error."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where `chat/completions` is, whose model answers, and how long is waited.

    `key` is sent and nowhere shown or kept.
    """

    url: str
    key: str = field(default="", repr=False)
    timeout: float = 120.0
    pauses: ClassVar[tuple[float, ...]] = (1.0, 5.0)  # seconds before it is tried again

    @staticmethod
    def of_environment() -> "Endpoint":
        """Return the endpoint that the environment names.

        Raises:
            OptimizerError: it names none, or not the address of one, or no time in seconds.
        """
        url = os.environ.get(URL, "")
        parts = urlsplit(url)
        if parts.username is not None:
            raise OptimizerError(f"`{URL}`: names a user; a key is taken from `{KEY}` alone")
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise OptimizerError(
                f"`{URL}`: the base address of an OpenAI-compatible endpoint is needed, such as "
                f"http://localhost:8000/v1, got {shown(url)}"
            )
        text = os.environ.get(TIMEOUT, "120")
        try:
            timeout = float(text)
        except ValueError:
            timeout = 0.0
        if not 0 < timeout < 1e6:
            raise OptimizerError(f"`{TIMEOUT}`: seconds above 0 are expected, got {shown(text)}")
        key = os.environ.get(KEY, "").strip()
        if not (key.isascii() and key.isprintable()):
            raise OptimizerError(f"`{KEY}`: holds characters that no key has")
        return Endpoint(url.rstrip("/"), key, timeout)

    @property
    def host(self) -> str:
        """The host and port, without what else an address may hold."""
        parts = urlsplit(self.url)
        return f"{parts.hostname}:{parts.port}" if parts.port else str(parts.hostname)

    def answer(self, body: Request) -> str:
        """Return the text that answers a request of `chat/completions`.

        Raises:
            OptimizerError: none came in time, or what came is none; the message names the host.
        """
        for pause in (*self.pauses, None):
            try:
                return _text_of(self._post(body))
            except error.HTTPError as failure:
                why = f"HTTP {failure.code}: {failure.read(500).decode(errors='replace').strip()}"
                if failure.code not in AGAIN:
                    raise self._failed(why) from None
            except TimeoutError:
                why = f"no answer within {self.timeout:g} s"
            except (OSError, http.client.HTTPException) as failure:
                reason = getattr(failure, "reason", failure)
                late = isinstance(reason, TimeoutError)
                why = f"no answer within {self.timeout:g} s" if late else f"no answer: {reason}"
            except ValueError as failure:
                raise self._failed(f"this is no chat completion: {failure}") from None
            if pause is not None:
                time.sleep(pause)
        raise self._failed(f"{why} ({1 + len(self.pauses)} times)") from None

    def _post(self, body: Request) -> bytes:
        headers = {"Content-Type": "application/json"}
        if self.key:
            headers["Authorization"] = f"Bearer {self.key}"
        call = request.Request(
            f"{self.url}/chat/completions", json.dumps(body).encode(), headers, method="POST"
        )
        with request.build_opener(_NoRedirect).open(call, timeout=self.timeout) as response:
            content: bytes = response.read(LARGEST + 1)  # one more tells that it is too long
        return content

    def _failed(self, why: str) -> OptimizerError:
        """Return the error, on one line and without the key, which a host may repeat."""
        line = " ".join(why.split())[:300]
        return OptimizerError(
            f"{self.host}: {line.replace(self.key, '...') if self.key else line}"
        )


def _text_of(content: bytes) -> str:
    """Return the text of a chat completion.

    Raises:
        ValueError: it is none.
    """
    if len(content) > LARGEST:
        raise ValueError(f"more than {LARGEST:,} bytes")
    try:
        text = json.loads(content)["choices"][0]["message"]["content"]
    except (ValueError, KeyError, IndexError, TypeError, RecursionError):
        text = None
    if not isinstance(text, str):
        raise ValueError(shown(content[:100].decode(errors="replace")))
    return text
