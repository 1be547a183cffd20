"""A TCP proxy for tests that can be slow, cut, half closed, or answer in the other side's place.

The servers' advertised addresses point at it, so that clients meet its faults while servers talk to each other
directly.
"""

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from enum import Enum
from types import TracebackType
from typing import Any, Self, TypeVar

_HOST = "127.0.0.1"
_CHUNK = 65_536
_CALL_S = 10.0

_T = TypeVar("_T")


class Side(Enum):
    """Who is at an end of a connection."""

    CLIENT = "client"
    SERVER = "server"


@dataclass(slots=True, eq=False)
class _Connection:
    """One client and the server it talks to. deaf: the side that was told the end and hears nothing more."""

    client: asyncio.StreamWriter
    server: asyncio.StreamWriter
    deaf: Side | None = None

    def towards(self, side: Side) -> asyncio.StreamWriter:
        return self.client if side is Side.CLIENT else self.server

    def abort(self) -> None:
        _reset(self.client)
        _reset(self.server)


def _reset(writer: asyncio.StreamWriter) -> None:
    """RST instead of a proper end."""
    if not writer.is_closing():
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


class Link:
    """The way to one server: clients connect to `port`. Methods may be called from any thread and act at once."""

    def __init__(self, network: "SlowNetwork", target: int) -> None:
        self.target = target
        self.port = 0
        self._network = network
        self._connections: set[_Connection] = set()
        self._delay_s = 0.0
        self._is_cut = False
        self._answer: Callable[[bytes], bytes | None] | None = None

    @property
    def connections(self) -> int:
        """How many are open."""
        return len(self._connections)

    def delay(self, seconds: float) -> None:
        """Everything waits so long on its way, in both directions and in order."""
        self._network.call(self._set_delay, seconds)

    def cut(self) -> None:
        """Connections are reset, and so is whoever connects, until mend()."""
        self._network.call(self._cut)

    def half_close(self, side: Side) -> None:
        """Tell this side of each open connection that the other has ended; the other is still heard and hears nothing.

        What is on its way to this side is lost: a client whose request was carried out does not learn of it.
        """
        self._network.call(self._half_close, side)

    def answer(self, answer: Callable[[bytes], bytes | None]) -> None:
        """Ask `answer` about each chunk of a client: bytes go back in the server's place, None lets the chunk pass."""
        self._network.call(self._set_answer, answer)

    def mend(self) -> None:
        """No delay, no cut, no answers of ours. Connections that were broken stay broken."""
        self._network.call(self._mend)

    def _set_delay(self, seconds: float) -> None:
        self._delay_s = seconds

    def _set_answer(self, answer: Callable[[bytes], bytes | None]) -> None:
        self._answer = answer

    def _cut(self) -> None:
        self._is_cut = True
        for connection in self._connections:
            connection.abort()

    def _mend(self) -> None:
        self._delay_s, self._is_cut, self._answer = 0.0, False, None

    def _half_close(self, side: Side) -> None:
        for connection in self._connections:
            if connection.deaf is None:
                connection.deaf = side
                with contextlib.suppress(OSError, RuntimeError):  # it may be ending by itself
                    connection.towards(side).write_eof()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            if self._is_cut:
                raise ConnectionResetError
            from_server, to_server = await asyncio.open_connection(_HOST, self.target)
        except OSError:
            _reset(writer)
            return
        connection = _Connection(writer, to_server)
        self._connections.add(connection)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._pump(reader, connection, Side.SERVER))
                group.create_task(self._pump(from_server, connection, Side.CLIENT))
        except* OSError:
            connection.abort()
        finally:
            self._connections.discard(connection)
            writer.close()
            to_server.close()

    async def _pump(self, reader: asyncio.StreamReader, connection: _Connection, side: Side) -> None:
        writer = connection.towards(side)
        while chunk := await reader.read(_CHUNK):
            if self._delay_s:
                await asyncio.sleep(self._delay_s)
            if side is Side.SERVER and self._answer is not None and (answer := self._answer(chunk)) is not None:
                connection.client.write(answer)
                continue
            if connection.deaf is not side:
                writer.write(chunk)
                await writer.drain()
        if connection.deaf is not side and not writer.is_closing():
            writer.write_eof()


class SlowNetwork:
    """Links on a thread and an event loop of their own; a context manager."""

    def __init__(self) -> None:
        self.links: list[Link] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="slow network", daemon=True)
        self._servers: list[asyncio.Server] = []

    def start(self) -> Self:
        """Ready for links."""
        self._thread.start()
        return self

    def stop(self) -> None:
        """Reset everything. Not to be started again."""
        if self._thread.is_alive():
            self._wait(self._end())
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(_CALL_S)
        self._loop.close()

    def link(self, target: int) -> Link:
        """A new way to the server on port `target` of this machine, which need not listen yet."""
        return self._wait(self._open(Link(self, target)))

    def call(self, function: Callable[..., None], *arguments: object) -> None:
        """Run on the loop and wait until it has run."""

        async def run() -> None:
            function(*arguments)

        self._wait(run())

    def _wait(self, coroutine: Coroutine[Any, Any, _T]) -> _T:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(_CALL_S)

    async def _open(self, link: Link) -> Link:
        server = await asyncio.start_server(link._serve, _HOST, 0)
        link.port = server.sockets[0].getsockname()[1]
        self._servers.append(server)
        self.links.append(link)
        return link

    async def _end(self) -> None:
        for server in self._servers:
            server.close()
        for link in self.links:
            link._cut()
        mine = asyncio.current_task()
        tasks = [task for task in asyncio.all_tasks() if task is not mine]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
