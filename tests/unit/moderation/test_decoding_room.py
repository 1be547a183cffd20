"""Law 3: what decoding takes is bounded too, and nobody waits for ever."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

from hypothesis import given, settings
from hypothesis import strategies as st

from worker.moderation.decoding_room import DecodingRoom


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(0, 30), min_size=1, max_size=40))
def test_no_more_at_once_than_the_room_and_everyone_comes_in(sizes: list[int]) -> None:
    room, lock = DecodingRoom(20), threading.Lock()
    held: list[int] = []

    def decode(pixels: int) -> None:
        with room(pixels):
            with lock:
                held.append(pixels)
                assert sum(held) <= 20 or len([size for size in held if size]) == 1
            time.sleep(0.0002)
            with lock:
                held.remove(pixels)

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(decode, sizes))


def test_a_big_picture_is_not_overtaken_for_ever() -> None:
    room, inside = DecodingRoom(10), threading.Event()

    def big() -> None:
        with room(1000):
            inside.set()

    thread = threading.Thread(target=big)
    with room(1):
        thread.start()
        while not room._waiting:
            time.sleep(0.001)
        small = threading.Thread(target=lambda: room(1).__enter__())
        small.start()
        assert not inside.wait(0.05)
    assert inside.wait(5)
    thread.join()
    small.join()


def test_a_picture_that_breaks_leaves_its_room() -> None:
    room = DecodingRoom(10)
    for _ in range(3):
        try:
            with room(10):
                raise ValueError
        except ValueError:
            continue
    with room(10):
        assert room._held == 10
