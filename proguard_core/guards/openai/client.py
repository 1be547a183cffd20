"""One HTTP exchange with an OpenAI-compatible server, and whose fault it is when it fails.

A ServerFault speaks of the server: it is down, busy, broken or set up wrongly. Refused speaks of the one request. No
message holds what the server wrote: it may quote the post. `detail` does; it is shown for our own canary question only.
"""

import asyncio
import json
import re
from typing import Any

import httpx2

from proguard_core.guards.asking import Answer, Refused
from proguard_core.guards.openai.settings import ServerSettings
from proguard_core.guards.protocol import GuardError, GuardUnavailable
from schemas.common import Reason

MAX_REPLY_BYTES = 1024 * 1024
MAX_SAID_BYTES = 4096
MAX_DETAIL = 200
# No question takes so many: what a server says beyond it is no count.
MAX_TOKENS = 1 << 31
# Below the 5 s after which uvicorn, which vLLM runs on, closes an idle connection: a request on a closed one is lost.
KEEP_ALIVE_S = 3.0
MAX_RETRY_AFTER_S = 30.0
_OVERFLOW = ("context_length", "context length", "context size", "maximum model length", "max_model_len", "too long")
_IMAGE = ("image", "multimodal", "multi-modal", "mm_")
# How an answer ends that is all of what the model had to say; some servers do not tell. A cap or a filter cuts it off.
_WHOLE = ("stop", None)
# vLLM's words for an answer that it broke off by itself, as when it is told to end: what there is of it is no answer.
_GIVEN_UP = ("abort", "error")
# Some servers leave the tags of a reasoning in it.
_OWN_TAGS = re.compile(r"\A\s*<think(?:ing)?>|</think(?:ing)?>\s*\Z", re.IGNORECASE)
_RUNTIME_ADAPTERS = "vLLM does with --enable-lora and VLLM_ALLOW_RUNTIME_LORA_UPDATING=1"


class ServerFault(GuardError):
    """This server cannot be used now. is_quick: it was said at once, so another server may be asked."""

    is_quick = True


class Unreachable(ServerFault):
    """No connection, or one that broke, in mid-answer too."""


class Broken(ServerFault):
    """It answers, but not with an answer: 5xx, malformed JSON, another protocol."""


class SetUpWrongly(ServerFault):
    """A wrong key, a model that it does not serve, no API at this address: a person has to change something."""


class NotServed(SetUpWrongly):
    """404 for a question: it does not serve a model or an adapter of that name. An adapter is gone with a restart."""


class Busy(ServerFault, GuardUnavailable):
    """429 or 503, which is never a post's fault: not before retry_after_s have passed."""

    def __init__(self, status: int, retry_after_s: float) -> None:
        super().__init__(f"it is busy ({status})")
        self.retry_after_s = retry_after_s


class Silent(ServerFault, TimeoutError):
    """No whole answer in time."""

    is_quick = False


class Client:
    """Connections to all servers. Proxies of the environment are not used: posts go to the named servers only."""

    def __init__(self, settings: ServerSettings) -> None:
        self._settings = settings
        headers = {"authorization": f"Bearer {settings.api_key}"} if settings.api_key else {}
        limits = httpx2.Limits(
            max_connections=None, max_keepalive_connections=settings.concurrency, keepalive_expiry=KEEP_ALIVE_S
        )
        timeout = httpx2.Timeout(settings.request_timeout_s, connect=settings.connect_timeout_s)
        self._http = httpx2.AsyncClient(headers=headers, limits=limits, timeout=timeout, trust_env=False)

    async def complete(self, base_url: str, body: bytes) -> Answer:
        """The answer to a chat completion. Raises ServerFault or Refused."""
        status, reply, retry_after = await self._exchange("POST", f"{base_url}/chat/completions", body)
        if status != httpx2.codes.OK:
            raise self._error(status, reply, retry_after, has_image=b"data:image/" in body)
        return _answer(reply)

    async def models(self, base_url: str) -> list[str]:
        """The names of the models that a server serves. Raises ServerFault."""
        status, reply, retry_after = await self._exchange("GET", f"{base_url}/models", None)
        if status in (404, 405):
            raise SetUpWrongly(f"there is no OpenAI API there ({status} for /models): does the address end with /v1?")
        if status != httpx2.codes.OK:
            error = self._error(status, reply, retry_after, has_image=False)
            raise error if isinstance(error, ServerFault) else SetUpWrongly(str(error))
        try:
            return [str(model["id"]) for model in json.loads(reply)["data"]]
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise Broken("its list of models is malformed") from error

    async def load_adapter(self, base_url: str, name: str, path: str) -> None:
        """Have a vLLM server load a LoRA adapter under a name; nothing where it has one of this name already.

        path: the adapter's folder as the server sees it. Raises ServerFault; SetUpWrongly says why it refuses.
        """
        if name in await self.models(base_url):
            return
        body = json.dumps({"lora_name": name, "lora_path": path}).encode()
        status, reply, retry_after = await self._exchange("POST", f"{base_url}/load_lora_adapter", body)
        if status == httpx2.codes.OK or name in await self.models(base_url):  # another worker may have been faster
            return
        said = _said(reply)
        if status in (404, 405) and name not in said:  # vLLM names the adapter where the address is right
            raise SetUpWrongly(f"it loads no adapters while it runs ({status}): {_RUNTIME_ADAPTERS}")
        if status in (400, 404, 422, 500):  # vLLM answers with 500 for an adapter that does not fit the model
            # What is said is about the adapter: no post had a part in it.
            raise SetUpWrongly(f"it refuses the adapter {name!r} ({status}): {_short(said)}")
        error = self._error(status, reply, retry_after, has_image=False)
        raise error if isinstance(error, ServerFault) else SetUpWrongly(str(error))

    async def close(self) -> None:
        """Close all connections."""
        await self._http.aclose()

    async def _exchange(self, method: str, url: str, body: bytes | None) -> tuple[int, bytes, str | None]:
        headers = {"content-type": "application/json"} if body is not None else {}
        try:
            async with (
                asyncio.timeout(self._settings.request_timeout_s),
                self._http.stream(method, url, content=body, headers=headers) as response,
            ):
                return response.status_code, await _read(response), response.headers.get("retry-after")
        except (httpx2.ConnectError, httpx2.ConnectTimeout) as error:
            raise Unreachable(f"no connection ({type(error).__name__})") from error
        except (TimeoutError, httpx2.TimeoutException) as error:
            raise Silent(f"no answer in {self._settings.request_timeout_s:g} s") from error
        except (httpx2.NetworkError, httpx2.RemoteProtocolError) as error:
            raise Unreachable("the connection broke") from error
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            raise Broken(f"no usable answer ({type(error).__name__})") from error

    def _error(self, status: int, reply: bytes, retry_after: str | None, *, has_image: bool) -> ServerFault | Refused:
        if status in (429, 503):
            return Busy(status, _seconds(retry_after))
        if status in (401, 403):
            key = self._settings.key_variable
            held = "the key" if self._settings.api_key else "a request without a key; set one"
            return SetUpWrongly(f"it refuses {held} in {key} ({status})")
        if status == httpx2.codes.NOT_FOUND:
            return NotServed(f"it does not serve the model {self._settings.model!r} (404)")
        if status in (400, 413, 422):
            return _refused(status, reply, has_image)
        return Broken(f"it answers with {status}")


async def _read(response: httpx2.Response) -> bytes:
    parts: list[bytes] = []
    size = 0
    async for part in response.aiter_bytes():
        size += len(part)
        if size > MAX_REPLY_BYTES:
            raise Broken(f"its answer has more than {MAX_REPLY_BYTES} bytes")
        parts.append(part)
    return b"".join(parts)


def _answer(reply: bytes) -> Answer:
    """A server with a reasoning parser gives the reasoning apart; it is put back where the model wrote it."""
    try:
        said: Any = json.loads(reply)
        choice = said["choices"][0]
        message = choice["message"]
        content = message.get("content") or ""
        reasoning = message.get("reasoning_content") or message.get("reasoning") or ""
        end = choice.get("finish_reason")
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError) as error:
        raise Broken("its answer is malformed") from error
    if not isinstance(content, str) or not isinstance(reasoning, str):
        raise Broken("its answer is malformed")
    if end in _GIVEN_UP:
        raise Broken(f"it gave the request up ({end})")
    text = f"<think>{_OWN_TAGS.sub('', reasoning)}</think>\n{content}" if reasoning else content
    usage = said.get("usage")
    details = usage.get("prompt_tokens_details") if isinstance(usage, dict) else None
    counts = _count(usage, "prompt_tokens"), _count(details, "cached_tokens"), _count(usage, "completion_tokens")
    return Answer(text, end not in _WHOLE, *counts)


def _count(usage: object, key: str) -> int:
    """A server's own count of tokens; 0 where it gives none. It counts for metrics only."""
    value = usage.get(key) if isinstance(usage, dict) else None
    return value if isinstance(value, int) and 0 < value < MAX_TOKENS else 0


def _refused(status: int, reply: bytes, has_image: bool) -> Refused:
    detail = _said(reply)
    said = detail.casefold()
    if status == 413 or any(word in said for word in _OVERFLOW):
        reason = Reason.NOT_JUDGEABLE
    elif has_image and any(word in said for word in _IMAGE):
        reason = Reason.IMAGE_UNREADABLE
    else:
        reason = Reason.GUARD_FAILED
    return Refused(f"it refuses the request ({status})", reason, _short(detail))


def _said(reply: bytes) -> str:
    return reply[:MAX_SAID_BYTES].decode("utf-8", errors="replace")


def _short(said: str) -> str:
    return " ".join(said.split())[:MAX_DETAIL]


def _seconds(retry_after: str | None) -> float:
    try:
        return min(max(float(retry_after or 1.0), 0.1), MAX_RETRY_AFTER_S)
    except ValueError:  # a date
        return 1.0
