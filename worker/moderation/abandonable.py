"""One blocking call at a time on a thread of its own, so that a call that never returns can be left behind."""

import queue
import threading
from collections.abc import Callable

_Task = Callable[[], object]


class AbandonableCall:
    """Used by one thread, which starts a call, looks whether it is over, and may give it up."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._tasks: queue.SimpleQueue[_Task | None] | None = None
        self._done: queue.SimpleQueue[BaseException | None] = queue.SimpleQueue()
        self.running = False

    def start(self, task: _Task) -> None:
        """Begin; nothing may be running."""
        assert not self.running
        if self._tasks is None:
            self._tasks, self._done = queue.SimpleQueue(), queue.SimpleQueue()
            threading.Thread(target=_serve, args=(self._tasks, self._done), name=self._name, daemon=True).start()
        self.running = True
        self._tasks.put(task)

    def finished(self, timeout_s: float) -> bool:
        """Wait so long at most. Raises what the call raised; False while it runs."""
        try:
            error = self._done.get(timeout=timeout_s)
        except queue.Empty:
            return False
        self.running = False
        if error is not None:
            raise error
        return True

    def abandon(self) -> None:
        """Forget the call and its thread, which ends should the call ever return."""
        if self._tasks is not None:
            self._tasks.put(None)
        self._tasks = None
        self.running = False


def _serve(tasks: "queue.SimpleQueue[_Task | None]", done: "queue.SimpleQueue[BaseException | None]") -> None:
    while (task := tasks.get()) is not None:
        try:
            task()
        except BaseException as error:  # handed to the thread that started the call
            done.put(error)
        else:
            done.put(None)
        del task  # it would keep a client alive until the next call
