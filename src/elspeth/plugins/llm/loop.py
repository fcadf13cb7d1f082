"""One thread with an event loop: it owns the sockets, others hand work over in batches."""

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class LoopThread(Generic[T]):
    """Runs ``take`` for every item that was posted, on its own thread, in the order of posting.

    A wake-up of the loop costs a system call, so there is one per batch: items that come while
    one is on its way go along. ``died`` is told if the loop breaks; nothing is taken after that.
    """

    def __init__(self, name: str, take: Callable[[T], None], died: Callable[[BaseException], None]) -> None:
        self._take = take
        self._died = died
        self._items: deque[T] = deque()
        self._scheduled = False
        self._alive = True
        self.at_end: list[Callable[[], Coroutine[Any, Any, None]]] = []
        """What is run on the loop when it ends, however it ends."""
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def post(self, item: T) -> None:
        """Hand an item over; returns at once. Raises RuntimeError if the loop is closed."""
        self._items.append(item)
        if not self._scheduled:
            self._scheduled = True
            self.loop.call_soon_threadsafe(self._drain)

    def call(self, function: Callable[..., object], *arguments: object) -> None:
        """Run something on the loop's thread, soon."""
        self.loop.call_soon_threadsafe(function, *arguments)

    def wait_for(self, work: Coroutine[Any, Any, Any], timeout: float) -> Any:
        """Run a coroutine on the loop and return what it returns. Not for use on the loop's own thread."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(timeout)

    def is_alive(self) -> bool:
        """Whether the loop is at work."""
        return self._alive

    def stop(self) -> None:
        """End the loop and the thread. What was still under way is cancelled."""
        if self._alive:
            self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()

    def _drain(self) -> None:
        # Cleared first: an item that comes from now on schedules the next drain, and is never left.
        self._scheduled = False
        items, take = self._items, self._take
        while items:
            take(items.popleft())

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        try:
            self.loop.run_forever()
        except BaseException as error:  # noqa: BLE001  # whoever waits for this thread has to hear of it
            self._alive = False
            self._died(error)
        finally:
            self._alive = False
            self._end_tasks()
            for clean in self.at_end:
                self.loop.run_until_complete(clean())
            self.loop.close()

    def _end_tasks(self) -> None:
        tasks = asyncio.all_tasks(self.loop)
        for task in tasks:
            task.cancel()
        if tasks:
            self.loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
