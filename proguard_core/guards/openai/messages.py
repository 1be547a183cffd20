"""The body of a chat completion: the rendered prompt, the picture as a data URL, and the schema of a forced answer."""

import base64
import io
import json
from typing import Any

import orjson
from PIL.Image import Image

from proguard_core.guards.openai.settings import ServerSettings
from proguard_core.guards.protocol import Picture

# Small text in a picture survives this, and it takes a twentieth of the time of PNG.
JPEG_QUALITY = 95
MAX_RATIONALE = 1200
MAX_CATEGORY = 80
_LABEL = {"type": "string", "enum": ["safe", "unsafe"]}


def data_url(picture: Picture, image_format: str) -> str:
    """The picture as the one bytes that every server and every retry is given. Raises OSError, ValueError."""
    buffer = io.BytesIO()
    image: Image = picture.image
    if image_format == "png":
        image.save(buffer, "PNG", compress_level=1)
    else:
        image.save(buffer, "JPEG", quality=JPEG_QUALITY, subsampling=0)
    return f"data:image/{image_format};base64,{base64.b64encode(buffer.getbuffer()).decode('ascii')}"


def body(
    settings: ServerSettings, system: str, user: str, image_url: str | None, extra: dict[str, Any] | None = None
) -> bytes:
    """JSON of the request. The system message, which is the same for all posts of a kind, comes first, unless empty."""
    text = _clean(user)
    content: str | list[dict[str, Any]] = text
    if image_url is not None:
        content = [{"type": "image_url", "image_url": {"url": image_url}}, {"type": "text", "text": text}]
    turns = [{"role": "system", "content": _clean(system)}] if system else []
    return orjson.dumps(
        {
            "model": settings.model,
            "messages": [*turns, {"role": "user", "content": content}],
            "temperature": 0,
            "max_tokens": settings.output_cap,
            **(extra or {}),
        }
    )


def forced(has_response: bool) -> dict[str, Any]:
    """What asks for an answer of the right form: the reasoning stays free, the labels do not."""
    rationale = {"type": "string", "maxLength": MAX_RATIONALE}
    properties: dict[str, Any] = {"rationale": rationale, "request": _LABEL}
    if has_response:
        properties["response"] = _LABEL
    properties["category"] = {"type": "string", "maxLength": MAX_CATEGORY}
    schema = {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }
    return {
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "judgement", "strict": True, "schema": schema},
        }
    }


def unforced(text: str) -> str:
    """A forced answer in the form that the parser reads; what is no such answer stays as it is."""
    try:
        said = json.loads(text)
        parts = {key: _untagged(said[key]) for key in ("rationale", "request", "category")}
        response = f"Response:{_untagged(said['response'])}\n" if "response" in said else ""
    except (ValueError, KeyError, TypeError, RecursionError):
        return text
    answer = f"Request:{parts['request']}\n{response}Category:{parts['category']}"
    return f"<think>{parts['rationale']}</think>\n<answer>\n{answer}\n</answer>"


def _untagged(value: object) -> str:
    """On one line and without brackets, so that no text within can be taken for a tag or another line."""
    if not isinstance(value, str):
        raise TypeError("not a text")
    return " ".join(value.replace("<", " ").replace(">", " ").split())


def _clean(text: str) -> str:
    """Without halves of surrogate pairs, which no UTF-8 carries."""
    return text if text.isascii() else text.encode("utf-8", errors="replace").decode("utf-8")
