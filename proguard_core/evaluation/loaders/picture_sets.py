"""Sets with pictures, ProGuard's own splits, and the labelled rows that the embedded guard learns from."""

from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from proguard_core.evaluation.loaders.category_map import CategoryMap
from proguard_core.evaluation.loaders.text_sets import flag, optional, text
from proguard_core.evaluation.rows import Row, RowError, label
from proguard_core.policy.taxonomy import CATEGORY_NAMES, SUBCATEGORY_NAMES
from schemas.common import Outcome

if TYPE_CHECKING:
    from proguard_core.training.embedded.rows import CategoryMap as SourceCategories

Record = Mapping[str, Any]


def beavertails_v(record: Record, place: str, categories: CategoryMap) -> list[Row]:
    """BeaverTails-V: two answers to one question about a picture make two rows, each with its own answer's label."""
    image = record.get("image")
    if not isinstance(image, str) or not image:
        raise RowError("image is no path: save the pictures beside the file")
    own = text(record, "category")
    identity = optional(record, "id", "index") or place
    rows = []
    for number in (1, 2):
        safe = flag(record, f"is_response_{number}_safe")
        response = optional(record, f"response_{number}")
        if response is None or safe is None:
            continue
        rows.append(
            Row(
                id=f"{identity}/{number}",
                request=text(record, "question"),
                response=response,
                images=(image,),
                request_label=Outcome.UNSAFE,
                response_label=Outcome.SAFE if safe else Outcome.UNSAFE,
                categories=categories.codes([own]),
                source=own,
            )
        )
    if not rows:
        raise RowError("no answer with a label")
    return rows


def llavaguard(record: Record, place: str, categories: CategoryMap) -> list[Row]:
    """LlavaGuard: pictures lie in `images/` beside the file, under the last part of their address."""
    rating = text(record, "rating").strip().casefold()
    if rating not in {"safe", "unsafe"}:
        raise RowError("rating is neither Safe nor Unsafe")
    name = PurePosixPath(urlsplit(text(record, "url")).path).name
    if not name:
        raise RowError("url has no file name")
    return [
        Row(
            id=optional(record, "id") or place,
            images=(f"images/{name}",),
            request_label=Outcome(rating),
            categories=categories.codes([optional(record, "category") or ""]) if rating == "unsafe" else (),
        )
    ]


def proguard(record: Record, place: str, _categories: CategoryMap) -> list[Row]:
    """ProGuard's test splits, by the fields that the authors' reward reads. An empty category is one to be named."""
    extra = record.get("extra_info")
    flat = {**record, **(extra if isinstance(extra, Mapping) else {})}
    images = flat.get("images") or ([flat["image"]] if flat.get("image") else [])
    if not isinstance(images, list) or not all(isinstance(image, str) for image in images):
        raise RowError("images is no list of paths: save the pictures beside the file")
    code = (optional(flat, "category") or "").strip().upper()
    if code and code not in CATEGORY_NAMES and code not in SUBCATEGORY_NAMES:
        raise RowError(f"category {code[:12]!r} is not in the taxonomy")
    labels = {key: optional(flat, key) for key in ("query_label", "response_label")}
    unsafe = "unsafe" in labels.values()
    return [
        Row(
            id=optional(flat, "id", "index") or place,
            request=optional(flat, "query", "request") or "",
            response=optional(flat, "response"),
            images=tuple(images),
            request_label=label(labels, "query_label"),
            response_label=label(labels, "response_label"),
            categories=(code,) if code and unsafe else (),
            ood_name=optional(flat, "original_category") if unsafe and not code else None,
        )
    ]


def labelled(record: Record, place: str, _categories: CategoryMap) -> list[Row]:
    """Rows of the embedded guard's data folder; `other` (a risk outside the taxonomy) has no category here."""
    row = {"source_category": None, **record}
    source = text(row, "source")
    keeps, code = _source_categories().keeps_request_label(row), _source_categories().code(row)
    made = Row(
        id=optional(row, "id") or place,
        request=optional(row, "request") or "",
        response=optional(row, "response"),
        request_label=label(row, "request_label") if keeps else None,
        response_label=label(row, "response_label"),
        source=source,
    )
    if made.unsafe and code in SUBCATEGORY_NAMES:
        return [replace(made, categories=(code,))]
    return [made]


@cache
def _source_categories() -> "SourceCategories":
    from proguard_core.training.embedded.rows import CategoryMap as SourceCategories

    return SourceCategories()
