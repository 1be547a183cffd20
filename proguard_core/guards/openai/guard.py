"""The openai engine: ProGuard behind servers that speak OpenAI's chat completions, such as vLLM's."""

import asyncio
import logging
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from proguard_core.guards.adapters import Adapter, Revisions
from proguard_core.guards.asking import Answer, Asking, Question, Refused
from proguard_core.guards.counts import Counts
from proguard_core.guards.openai import messages
from proguard_core.guards.openai.client import Client, NotServed, ServerFault, SetUpWrongly
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
from proguard_core.guards.revision import reading_version
from proguard_core.policy.policy import Policy
from proguard_core.policy.prompts import Prompts
from proguard_core.policy.prompts.released import warning

log = logging.getLogger(__name__)

MOST_ENCODERS = 4
_SERVED_DIGITS = 12


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
            novelty=options.novelty,
        )
        asked = (settings.model, settings.weights, prompts.version, policy.version, settings.answer_settings)
        self._revisions = Revisions((*asked, options.novelty_version, reading_version()), settings.adapters)
        self._begun = False
        self._swapping = asyncio.Lock()
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
        """Hash of the model's name, `weights`, prompt, policy, adapter and the settings that an answer depends on."""
        return self._revisions.current

    @property
    def limits(self) -> GuardLimits:
        """As set."""
        return GuardLimits(self._settings.window_bytes, self._settings.max_pixels)

    def counts(self) -> Counts:
        """Tokens so far."""
        return self._asking.counts()

    async def start(self) -> None:
        """Ask every server what it serves, and have it load the adapter in force.

        Raises GuardError where none serves the model and one says that a setting is wrong (key, model, adapter).
        A server that is not there yet is no error: it is waited for, as later.
        """
        if self._client is not None:
            return
        if said := warning(self._settings.model, self._settings.prompts, self._policy):
            log.warning("%s", said)
        if not self._begun:
            self._revisions.use(await asyncio.to_thread(self._revisions.find, self._settings.adapter))
            self._begun = True
        self._servers.open()
        self._client = client = Client(self._settings)
        self._pool = ThreadPoolExecutor(min(MOST_ENCODERS, os.cpu_count() or 1), thread_name_prefix="guard-picture")
        faults = await asyncio.gather(*(self._check(client, server) for server in self._servers.all))
        if all(faults) and (wrong := [fault for fault in faults if isinstance(fault, SetUpWrongly)]):
            causes = self._servers.causes()
            await self.close()
            raise GuardError(causes) from wrong[0]

    async def judge(self, requests: Sequence[GuardRequest]) -> list[Judgement]:
        """One judgement a request, in order. Raises the first failure; what was asked beside it is given up."""
        return await self._asking.judge(requests, self._ask, self._revisions.resolve)

    async def probe(self) -> None:
        """Ask all servers the canary question. Raises GuardUnavailable, with the causes, if none answers."""
        if self._client is None:
            raise GuardDied("the openai guard is not started")
        await self._servers.probe()

    async def swap(self, revision: str) -> None:
        """Ask for another adapter from the next request on; what is under way ends on the one before.

        All servers in use load it first. GuardError, and nothing changes, where one refuses it or none is there.
        Adapters are never unloaded: another worker may be asking for them.
        """
        async with self._swapping:
            if self._revisions.is_current(revision):
                return
            adapter = await asyncio.to_thread(self._revisions.find, revision)
            if adapter is not None:
                with self._revisions.loading(adapter):
                    await self._load_everywhere(adapter)
            self._revisions.use(adapter)

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
            await self._load(server, self._revisions.adapter(self.revision))
        except ServerFault as fault:
            self._servers.leave_out(server, fault)
            return fault
        self._servers.use(server)
        return None

    async def _load_everywhere(self, adapter: Adapter) -> None:
        """A server that is left out does not count: it loads what is in force before it is used again."""
        used = [server for server in self._servers.all if server.cause is None]
        results = await asyncio.gather(*(self._load(server, adapter) for server in used), return_exceptions=True)
        loaded = 0
        for server, result in zip(used, results, strict=True):
            if isinstance(result, SetUpWrongly):
                raise GuardError(f"{server.url}: {result}") from result
            if isinstance(result, ServerFault):
                self._servers.leave_out(server, result)
            elif result is not None:
                raise result
            else:
                loaded += 1
        if not loaded:
            raise GuardError(f"no server loads the adapter {adapter.name!r} now: {self._servers.causes()}")

    async def _load(self, server: Server, adapter: Adapter | None) -> None:
        """Raises ServerFault. One at a time at each server."""
        if adapter is None:
            return
        folder = self._settings.server_adapters or adapter.path.absolute().parent
        async with server.loading:
            await self._running().load_adapter(server.url, served_name(adapter), str(folder / adapter.name))

    def _body(self, question: Question[str]) -> bytes:
        adapter = self._revisions.adapter(question.revision)
        return messages.body(self._settings.model if adapter is None else served_name(adapter), question, self._more())

    def _more(self) -> dict[str, Any]:
        """Further fields of each request; benchmarks have some."""
        return {}

    async def _data_url(self, picture: Picture) -> str:
        encode: Callable[..., str] = messages.data_url
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._pool, encode, picture, self._settings.image_format)

    async def _ask(self, question: Question[str]) -> Answer:
        """The answer of one server, or of another where the first failed at once. Raises Refused, GuardError."""
        async with self._places:
            server = await self._servers.wait(self._settings.request_timeout_s)
            try:
                return await self._answered(server, question)
            except ServerFault as fault:
                other = self._servers.next(but=server) if fault.is_quick else None
                if other is None:
                    raise
            return await self._answered(other, question)

    async def _answered(self, server: Server, question: Question[str]) -> Answer:
        try:
            try:
                answer = await self._complete(server, question)
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

    async def _complete(self, server: Server, question: Question[str]) -> Answer:
        """Raises ServerFault, Refused."""
        body = self._body(question)
        try:
            return await self._running().complete(server.url, body)
        except NotServed:
            adapter = self._revisions.adapter(question.revision)
            if adapter is None:
                raise
        await self._load(server, adapter)  # it was started again since, which nobody noticed
        return await self._running().complete(server.url, body)

    async def _canary(self, server: Server) -> None:
        """Raises ServerFault unless the server answers an everyday question with the adapter in force."""
        try:
            await self._complete(server, self._asking.canary(self.revision))
        except Refused as refused:
            raise SetUpWrongly(f"it refuses even an everyday sentence: {refused.detail}") from refused

    def _running(self) -> Client:
        if self._client is None:
            raise GuardDied("the openai guard is not started")
        return self._client


def served_name(adapter: Adapter) -> str:
    """What servers know an adapter by, its digest included.

    A server outlives its workers, and with it what it once loaded under a name, whatever lies in that folder now.
    """
    return f"{adapter.name}-{adapter.digest[:_SERVED_DIGITS]}"
