"""The options of `proguard evaluate`. Light: it is on the way to `--help`."""

from pathlib import Path
from typing import Annotated

import typer

Benchmarks = Annotated[
    list[str] | None,
    typer.Option("--benchmark", metavar="[SET=]FILE", help="Rows, or a public set as published; may be repeated."),
]
Guards = Annotated[
    list[str] | None,
    typer.Option("--guard", metavar="ENGINE|FILE.toml", help="Default: guard.engine; may be repeated."),
]
Out = Annotated[Path, typer.Option(file_okay=False, help="Folder for report.json and report.html.")]
Cache = Annotated[
    Path | None, typer.Option(file_okay=False, help="Folder for judgements; default: `judgements` in --out.")
]
Splits = Annotated[int, typer.Option(min=0, help="How often categories are withheld, a set; 0: never.")]
Untrained = Annotated[str | None, typer.Option(metavar="C5,C7", help="Categories that the guard was never trained on.")]
Limit = Annotated[int | None, typer.Option(min=1, help="Only so many rows of each set.")]
NoTexts = Annotated[bool, typer.Option("--no-texts", help="Leave the worst errors' texts out of the page.")]
Compare = Annotated[
    tuple[str, str] | None,
    typer.Option(metavar="A B", help="Two guards of this run, or folders of earlier runs (FOLDER:GUARD)."),
]
