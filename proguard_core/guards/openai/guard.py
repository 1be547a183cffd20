"""The openai engine: ProGuard behind servers that speak OpenAI's chat completions, such as vLLM's."""

import asyncio
import hashlib
import logging
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

from proguard_core.guards.openai import messages
from proguard_core.guards.openai.client import Answer, Client, Refused, ServerFault, SetUpWrongly
from proguard_core.guards.openai.servers import Server, Servers
from proguard_core.guards.openai.settings import ServerSettings, read
from proguard_core.guards.protocol import (
    GuardDied,
    GuardError,
    GuardLimits,
    GuardOptions,
    GuardRequest,
    Judgement,
)
from proguard_core.judgement import parse
from proguard_core.policy.policy import Policy, concerns_minors
from proguard_core.policy.prompts import Prompt, Prompts
from proguard_core.policy.prompts.released import warning
from schemas.common import Outcome, Reason

log = logging.getLogger(__name__)

CANARY = GuardRequest("The bakery opens at eight and the bread is still warm.")
# The canary tells whether the model writes anything; its verdict is not needed.
CANARY_OUTPUT_CAP = 8
MOST_ENCODERS = 4


@dataclass(frozen=True, slots=True)
class _Asked:
    """A request on its way: image_url is the picture, encoded once."""

    prompt: Prompt
    image_url: str | None
    has_response: bool


class OpenAIGuard:
    """Keeps the guard protocol; options.settings as in ServerSettings.

    All requests of a batch are on their way at once, up to `concurrency` over all batches. A fault of a server fails
    the batch, after one quick try at another server; what is the post's own makes this post undetermined and leaves
    the others their answers.
    """

    def __init__(self, options: GuardOptions, policy: Policy) -> None:
        self._settings = read(options)
        self._policy = policy
        self._prompts = Prompts(policy, self._settings.prompts)
        self._revision = _revision(self._settings, self._prompts.version, policy.version)
        self._places = asyncio.Semaphore(self._settings.concurrency)
        self._client: Client | None = None
        self._servers = Servers(self._settings.base_urls, self._canary)
        self._pool: ThreadPoolExecutor | None = None

    @property
    def name(self) -> str:
        """The engine and the model that the servers were asked for."""
        return f"openai:{self._settings.model}"

    @property
    def revision(self) -> str:
        """Hash of the model's name, `weights`, prompt, policy and of the settings that an answer depends on."""
        return self._revision

    @property
    def limits(self) -> GuardLimits:
        """As set."""
        return GuardLimits(self._settings.window_bytes, self._settings.max_pixels)

    async def start(self) -> None:
        """Ask every server what it serves.

        Raises GuardError where none serves the model and one says that a setting is wrong (key, model, address).
        A server that is not there yet is no error: it is waited for, as later.
        """
        if self._client is not None:
            return
        if said := warning(self._settings.model, self._settings.prompts, self._policy):
            log.warning("%s", said)
        self._client = client = Client(self._settings)
        self._pool = ThreadPoolExecutor(min(MOST_ENCODERS, os.cpu_count() or 1), thread_name_prefix="guard-picture")
        faults = await asyncio.gather(*(self._check(client, server) for server in self._servers.all))
        if all(faults) and (wrong := [fault for fault in faults if isinstance(fault, SetUpWrongly)]):
            causes = self._servers.causes()
            await self.close()
            raise GuardError(causes) from wrong[0]

    async def judge(self, requests: Sequence[GuardRequest]) -> list[Judgement]:
        """One judgement a request, in order. Raises the first failure; what was asked beside it is given up."""
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(self._judge(request)) for request in requests]
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from errors
        return [task.result() for task in tasks]

    async def probe(self) -> None:
        """Ask all servers the canary question. Raises GuardUnavailable, with the causes, if none answers."""
        if self._client is None:
            raise GuardDied("the openai guard is not started")
        await self._servers.probe()

    async def swap(self, revision: str) -> None:
        """This edition asks for the one model that it was made with; any other revision is refused."""
        if revision != self._revision:
            raise GuardError(f"the openai guard serves {self._revision} only, not {revision}")

    async def close(self) -> None:
        """Close all connections; servers are not ours to end."""
        client, self._client = self._client, None
        pool, self._pool = self._pool, None
        await self._servers.close()
        if client is not None:
            await client.close()
        if pool is not None:
            pool.shutdown(wait=False, cancel_futures=True)

    async def _check(self, client: Client, server: Server) -> ServerFault | None:
        """What is wrong with a server, which is left out then."""
        try:
            if self._settings.model not in (names := await client.models(server.url)):
                shown = ", ".join(sorted(names)[:5]) or "none"
                raise SetUpWrongly(f"it does not serve the model {self._settings.model!r}; it has {shown}")
        except ServerFault as fault:
            self._servers.leave_out(server, fault)
            return fault
        self._servers.use(server)
        return None

    async def _judge(self, request: GuardRequest) -> Judgement:
        try:
            image_url = await self._image_url(request)
        except (OSError, ValueError) as error:
            log.debug("a picture cannot be encoded", exc_info=error)
            return Judgement(Outcome.UNDETERMINED, Reason.IMAGE_UNREADABLE)
        asked = _Asked(self._prompts.render(request), image_url, request.response is not None)
        try:
            judgement = self._parsed(asked, await self._ask(asked))
        except Refused as refused:
            log.warning("a request was refused: %s, so its post is undetermined: %s", refused, refused.reason.value)
            return Judgement(Outcome.UNDETERMINED, refused.reason)
        if judgement.reason is Reason.UNPARSEABLE and self._settings.structured_retry:
            return await self._judge_forced(asked, judgement)
        return judgement

    async def _judge_forced(self, asked: _Asked, unparsed: Judgement) -> Judgement:
        """One more try with a prescribed form. A safe that came only from that is no answer."""
        try:
            answer = await self._ask(asked, messages.forced(asked.has_response))
        except Refused:  # perhaps it knows no structured output
            return unparsed
        forced = self._parsed(asked, replace(answer, text=messages.unforced(answer.text)))
        if forced.outcome is Outcome.UNDETERMINED:
            return unparsed
        if forced.outcome is Outcome.SAFE:
            # What the free answer named stays, so that what concerns minors is handled as such.
            forced = replace(forced, outcome=Outcome.UNDETERMINED, reason=Reason.FORCED, category=unparsed.category)
        named = unparsed.category
        return replace(forced, category=named) if concerns_minors(named.kind, named.code, named.nearest) else forced

    def _parsed(self, asked: _Asked, answer: Answer) -> Judgement:
        return parse(
            answer.text, asked.prompt.kind, self._policy, has_response=asked.has_response, truncated=answer.truncated
        )

    async def _image_url(self, request: GuardRequest) -> str | None:
        if request.picture is None:
            return None
        encode: Callable[..., str] = messages.data_url
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._pool, encode, request.picture, self._settings.image_format)

    async def _ask(self, asked: _Asked, extra: dict[str, Any] | None = None) -> Answer:
        """The answer of one server, or of another where the first failed at once. Raises Refused, GuardError."""
        prompt = asked.prompt
        body = messages.body(self._settings, prompt.system, prompt.user, asked.image_url, extra)
        async with self._places:
            server = await self._servers.wait(self._settings.request_timeout_s)
            try:
                return await self._complete(server, body)
            except ServerFault as fault:
                other = self._servers.next(but=server) if fault.is_quick else None
                if other is None:
                    raise
            return await self._complete(other, body)

    async def _complete(self, server: Server, body: bytes) -> Answer:
        if self._client is None:
            raise GuardDied("the openai guard is not started")
        try:
            try:
                answer = await self._client.complete(server.url, body)
            except Refused:
                if not self._servers.answered_lately(server):
                    await self._canary(server)  # it may refuse everything, and then it is not the post's fault
                    self._servers.answered(server)
                raise
        except ServerFault as fault:
            self._servers.leave_out(server, fault)
            raise
        self._servers.answered(server)
        return answer

    async def _canary(self, server: Server) -> None:
        """Raises ServerFault unless the server answers an everyday question."""
        if self._client is None:
            raise SetUpWrongly("the openai guard is not started")
        prompt = self._prompts.render(CANARY)
        settings = replace(self._settings, output_cap=CANARY_OUTPUT_CAP)
        try:
            await self._client.complete(server.url, messages.body(settings, prompt.system, prompt.user, None))
        except Refused as refused:
            raise SetUpWrongly(f"it refuses even an everyday sentence: {refused.detail}") from refused


def _revision(settings: ServerSettings, prompt_version: str, policy_version: str) -> str:
    parts = (settings.model, settings.weights, prompt_version, policy_version, settings.answer_settings)
    hashed = hashlib.sha256()
    for part in parts:
        hashed.update(hashlib.sha256(part.encode()).digest())
    return hashed.hexdigest()[:16]
