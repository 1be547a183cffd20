"""Whether prompts fit the model's context: the policy is never cut, so what cannot fit is refused at the start."""

import math

from PIL import Image

from proguard_core.guards.asking import CANARY
from proguard_core.guards.protocol import PIXELS_A_TOKEN, GuardError, GuardRequest, Picture
from proguard_core.guards.vllm.engine import Engine
from proguard_core.guards.vllm.settings import EngineSettings
from proguard_core.policy.prompts import Prompts


async def check(engine: Engine, prompts: Prompts, settings: EngineSettings) -> None:
    """Raises GuardError unless every kind of prompt fits with the largest window, picture and answer.

    A byte of text can be a token (Chinese in a small vocabulary, noise), so a window counts as many tokens as bytes.
    Raises Refused where even the prompt without a post does not fit.
    """
    picture = Picture(Image.new("RGB", _largest(settings.max_pixels)), "the largest picture")
    for request in (CANARY, GuardRequest(CANARY.text, None, picture), GuardRequest("", None, picture)):
        prompt = prompts.render(request)
        tokens = len((await engine.render(prompt.system, prompt.user, None))["prompt_token_ids"])
        shown = 0
        if request.picture is not None:
            whole = await engine.render(prompt.system, prompt.user, request.picture)
            shown = max(len(whole["prompt_token_ids"]) - tokens, settings.max_pixels // PIXELS_A_TOKEN)
        window = settings.window_bytes if request.text else 0
        needed = tokens + shown + window + settings.output_cap
        if needed > settings.max_model_len:
            raise GuardError(
                f"a {prompt.kind} question can take {needed} tokens: {tokens} of policy and prompt, {shown} of "
                f"picture, {window} of window, {settings.output_cap} of answer; guard.settings.max_model_len is "
                f"{settings.max_model_len}. Raise it, or lower window_bytes, max_pixels or output_cap"
            )


def _largest(max_pixels: int) -> tuple[int, int]:
    """Width and height, 4 to 5, which whole patches fill well: 896 x 1120 of the default."""
    return max(1, int(math.sqrt(max_pixels * 0.8))), max(1, int(math.sqrt(max_pixels * 1.25)))
