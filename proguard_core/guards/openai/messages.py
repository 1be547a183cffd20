"""The body of a chat completion: the rendered prompt, the picture as a data URL, and the schema of a forced answer."""

import base64
import io
from typing import Any

import orjson
from PIL.Image import Image

from proguard_core.guards import forced
from proguard_core.guards.asking import Question
from proguard_core.guards.protocol import Picture

# Small text in a picture survives this, and it takes a twentieth of the time of PNG.
JPEG_QUALITY = 95


def data_url(picture: Picture, image_format: str) -> str:
    """The picture as the one bytes that every server and every retry is given. Raises OSError, ValueError."""
    buffer = io.BytesIO()
    image: Image = picture.image
    if image_format == "png":
        image.save(buffer, "PNG", compress_level=1)
    else:
        image.save(buffer, "JPEG", quality=JPEG_QUALITY, subsampling=0)
    return f"data:image/{image_format};base64,{base64.b64encode(buffer.getbuffer()).decode('ascii')}"


def body(model: str, question: Question[str], more: dict[str, Any] | None = None) -> bytes:
    """JSON of the request. The system message, which is the same for all posts of a kind, comes first, unless empty.

    model: the name that the server knows the model or its adapter by; more: further fields.
    """
    prompt = question.prompt
    text = _clean(prompt.user)
    content: str | list[dict[str, Any]] = text
    if question.picture is not None:
        content = [{"type": "image_url", "image_url": {"url": question.picture}}, {"type": "text", "text": text}]
    turns = [{"role": "system", "content": _clean(prompt.system)}] if prompt.system else []
    return orjson.dumps(
        {
            "model": model,
            "messages": [*turns, {"role": "user", "content": content}],
            "temperature": 0,
            "max_tokens": question.output_cap,
            **(_forced(question.has_response) if question.forced else {}),
            **(more or {}),
        }
    )


def _forced(has_response: bool) -> dict[str, Any]:
    return {
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "judgement", "strict": True, "schema": forced.schema(has_response)},
        }
    }


def _clean(text: str) -> str:
    """Without halves of surrogate pairs, which no UTF-8 carries."""
    return text if text.isascii() else text.encode("utf-8", errors="replace").decode("utf-8")
