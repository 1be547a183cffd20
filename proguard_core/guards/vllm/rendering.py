"""From chat turns to what vLLM's engine takes, pictures in several threads.

vLLM 0.32 prepares pictures (scaling, patches) in one thread a renderer, and has no setting for more: its
processor cache counts on one order. Several renderers for one engine are what its server has with
`--api-server-count`; without that cache (`mm_processor_cache_gb` 0) they share nothing. The encoder's cache, which
knows pictures by their uuid, is the engine's own and stays on.
"""

import asyncio
import copy
from collections.abc import Sequence
from typing import Any


class Renderers:
    """vLLM's own renderer and further ones like it: each has a thread, a tokenizer and a picture processor.

    Lives on one event loop. The first stays the engine's: close() ends the others only.
    """

    def __init__(self, first: Any, others: Sequence[Any] = ()) -> None:
        self._all = (first, *others)
        self._busy = [0] * len(self._all)

    def __len__(self) -> int:
        return len(self._all)

    async def render(self, turns: list[dict[str, Any]], *, has_picture: bool) -> Any:
        """The prompt as the engine takes it. Raises what vLLM raises.

        Text goes to the first, which has a pool of threads for it; a picture to the one with the fewest on their way.
        """
        from vllm.renderers.params import ChatParams

        index = min(range(len(self._all)), key=self._busy.__getitem__) if has_picture else 0
        self._busy[index] += has_picture
        try:
            _, prompts = await self._all[index].render_chat_async([turns], ChatParams())
        finally:
            self._busy[index] -= has_picture
        return prompts[0]

    async def close(self) -> None:
        """End the threads of all but the first."""
        await asyncio.gather(*(asyncio.to_thread(renderer.shutdown) for renderer in self._all[1:]))


def more(config: Any, count: int) -> list[Any]:
    """`count` renderers for an engine of this VllmConfig. Blocks for some tenths of a second each.

    Each has the fewest tokenizers that vLLM makes (three; with Qwen's vocabulary some 36 MB each).
    """
    from vllm.renderers import renderer_from_config

    small = copy.copy(config)
    small.model_config = copy.copy(config.model_config)
    small.model_config.renderer_num_workers = 1
    return [renderer_from_config(small) for _ in range(count)]
