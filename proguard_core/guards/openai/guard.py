"""The openai engine: ProGuard behind servers that speak OpenAI's chat completions, such as vLLM's."""

import asyncio
import logging
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from proguard_core.guards.asking import Answer, Asking, Question, Refused, revision_of
from proguard_core.guards.openai import messages
from proguard_core.guards.openai.client import Client, ServerFault, SetUpWrongly
from proguard_core.guards.openai.servers import Server, Servers
from proguard_core.guards.openai.settings import read
from proguard_core.guards.protocol import (
    GuardDied,
    GuardError,
    GuardLimits,
    GuardOptions,
    GuardRequest,
    Judgement,
    Picture,
)
from proguard_core.policy.policy import Policy
from proguard_core.policy.prompts import Prompts
from proguard_core.policy.prompts.released import warning

log = logging.getLogger(__name__)

MOST_ENCODERS = 4


class OpenAIGuard:
    """Keeps the guard protocol; options.settings as in ServerSettings.

    All requests of a batch are on their way at once, up to `concurrency` over all batches. A fault of a server fails
    the batch, after one quick try at another server; what is the post's own makes this post undetermined and leaves
    the others their answers.
    """

    def __init__(self, options: GuardOptions, policy: Policy) -> None:
        self._settings = read(options)
        self._policy = policy
        settings, prompts = self._settings, Prompts(policy, self._settings.prompts)
        self._asking: Asking[str] = Asking(
            prompts,
            policy,
            self._data_url,
            output_cap=settings.output_cap,
            structured_retry=settings.structured_retry,
        )
        self._revision = revision_of(
            settings.model, settings.weights, prompts.version, policy.version, settings.answer_settings
        )
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
        return await self._asking.judge(requests, self._ask, lambda _wanted: self._revision)

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

    async def _data_url(self, picture: Picture) -> str:
        encode: Callable[..., str] = messages.data_url
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._pool, encode, picture, self._settings.image_format)

    async def _ask(self, question: Question[str]) -> Answer:
        """The answer of one server, or of another where the first failed at once. Raises Refused, GuardError."""
        body = messages.body(self._settings, question)
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
        try:
            await self._client.complete(server.url, messages.body(self._settings, self._asking.canary(self._revision)))
        except Refused as refused:
            raise SetUpWrongly(f"it refuses even an everyday sentence: {refused.detail}") from refused
