"""CSV and JSON of clusters and of a cluster's members. In CSV no cell can become a formula of a spreadsheet."""

import csv
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict
from datetime import datetime
from io import StringIO
from typing import Any, Literal

from fastapi import APIRouter
from starlette.responses import StreamingResponse

from worker.console.store import reading
from worker.console.web import shown
from worker.console.web.inputs import ClusterId, Clusters
from worker.console.web.parts import Console, Here, Refused, Viewer

router = APIRouter(include_in_schema=False)
Kind = Literal["csv", "json"]
# What spreadsheets take for the begin of a formula, also in full width and behind what they strip.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "|", "%", "＝", "＋", "－", "＠")
_TYPES: dict[str, str] = {"csv": "text/csv; charset=utf-8", "json": "application/x-ndjson"}
_MEMBER = (
    *("risk_id", "post_id", "author_id", "observed_at", "name", "rationale", "nearest_code", "nearest_similarity"),
    *("revision", "policy_version", "source", "modality", "language", "text", "response", "truncated", "similarity"),
    "cluster_id",
)


@router.get("/export/clusters.{kind}")
def clusters(console: Here, person: Viewer, wanted: Clusters, kind: Kind) -> StreamingResponse:
    """All clusters of a filter."""
    console.note(person, "export", "clusters", kind=kind, **{k: str(v) for k, v in wanted.given.items()})

    def rows() -> Iterator[Mapping[str, Any]]:
        with console.store.reading() as session:
            for row in reading.every_cluster(session, wanted.filter(console.clock())):
                if not shown.is_withheld(row):
                    yield shown.cluster_facts(row)

    return _answer(kind, "clusters", rows)


@router.get("/export/clusters/{cluster_id}.{kind}")
def members(console: Here, person: Viewer, cluster_id: ClusterId, kind: Kind) -> StreamingResponse:
    """All members of a cluster with their texts; of pictures nothing."""
    with console.store.reading() as session:
        cluster = reading.cluster(session, cluster_id)
    if cluster is None:
        raise Refused(404, f"There is no cluster {cluster_id}")
    console.note(person, "export", cluster_id, kind=kind)
    return _answer(kind, cluster_id, lambda: _members(console, cluster_id))


def _members(console: Console, cluster_id: str) -> Iterator[Mapping[str, Any]]:
    with console.store.reading() as session:
        cluster = reading.cluster(session, cluster_id)
        for row in reading.every_member(session, cluster_id):
            if (one := shown.shown_risk(row, (), cluster)) is not None:
                facts = asdict(one)
                yield {name: facts[name] for name in _MEMBER}


def _answer(kind: Kind, name: str, rows: Callable[[], Iterable[Mapping[str, Any]]]) -> StreamingResponse:
    headers = {"content-disposition": f'attachment; filename="{name}.{"csv" if kind == "csv" else "jsonl"}"'}
    lines = csv_lines(rows()) if kind == "csv" else json_lines(rows())
    return StreamingResponse(lines, media_type=_TYPES[kind], headers=headers)


def csv_lines(rows: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """RFC 4180, every cell quoted, the first line with the names. Nothing at all for no row."""
    names: list[str] | None = None
    for row in rows:
        if names is None:
            names = list(row)
            yield _line(names)
        yield _line([cell(row[name]) for name in names])


def json_lines(rows: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """One object a line."""
    for row in rows:
        yield json.dumps({name: plain(value) for name, value in row.items()}, ensure_ascii=False) + "\n"


def cell(value: Any) -> str:
    """A value as a cell: a text that a spreadsheet would reckon with gets an apostrophe in front."""
    if value is None:
        return ""
    if isinstance(value, dict | list):
        return cell(json.dumps(value, ensure_ascii=False))
    if isinstance(value, str):
        return f"'{value}" if value.startswith(_FORMULA) or value.lstrip().startswith(_FORMULA) else value
    return str(plain(value))


def plain(value: Any) -> Any:
    """A time as RFC 3339, all else as it is."""
    return value.isoformat().replace("+00:00", "Z") if isinstance(value, datetime) else value


def _line(cells: Iterable[str]) -> str:
    out = StringIO()
    csv.writer(out, quoting=csv.QUOTE_ALL, lineterminator="\r\n").writerow(cells)
    return out.getvalue()
