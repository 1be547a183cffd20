"""`python -m proguard_core.training.verl_job --dataset DIR --base MODEL --out RUN [--dry-run] ...`"""

import json
import sys
from pathlib import Path, PurePosixPath

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from proguard_core.training import command_line
from proguard_core.training.command_line import EXIT_CONFIGURATION, EXIT_USAGE, parsed
from proguard_core.training.verl_job.settings import Cluster, VerlRecipe


class Asked(VerlRecipe, Cluster, command_line.Asked):
    """Train the guard's adapter by GRPO on a Ray cluster with verl. The same command again follows the job it sent.

    Ends with 0 (trained, or --dry-run), 1 (failed), 2 (usage), 78 (what was asked for does not fit together).
    """

    model_config = SettingsConfigDict(cli_prog_name="python -m proguard_core.training.verl_job")

    dataset: Path = Field(description="folder of a dataset for verl")
    base: Path = Field(description="folder of the frozen base model")
    out: Path = Field(description="folder of the run, on what the cluster shares")
    champion: Path | None = Field(None, description="folder of the adapter to go on from")
    cluster_out: PurePosixPath | None = Field(None, description="--out as the cluster names it; the same without")
    cluster_base: PurePosixPath | None = Field(None, description="--base as the cluster names it; the same without")
    cluster_champion: PurePosixPath | None = Field(None, description="--champion as the cluster names it")
    dry_run: bool = Field(False, description="print what would run, write and send nothing")


def main(arguments: list[str] | None = None) -> int:
    """The command; its exit code."""
    asked = parsed(Asked, arguments)
    if asked is None:
        return EXIT_USAGE
    from proguard_core.training.grpo.files import RunError, RunRefused
    from proguard_core.training.verl_job.job import Folders, Mounts, plan, train

    recipe = VerlRecipe(**asked.model_dump(include=set(VerlRecipe.model_fields)))
    cluster = Cluster(**asked.model_dump(include=set(Cluster.model_fields)))
    folders = Folders(asked.dataset, asked.base, asked.out, asked.champion)
    mounts = Mounts(asked.cluster_out, asked.cluster_base, asked.cluster_champion)
    try:
        if asked.dry_run:
            plan(folders, mounts, recipe, cluster, print)
            return 0
        print(json.dumps(train(folders, mounts, recipe, cluster), indent=2, ensure_ascii=False))
    except RunRefused as error:
        print(error, file=sys.stderr)
        return EXIT_CONFIGURATION
    except (RunError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
