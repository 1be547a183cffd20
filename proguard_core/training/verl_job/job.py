"""One job from dataset to adapter. Each step is skipped where what it makes is there, so the same call goes on."""

import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from proguard_core.training.grpo.files import RunRefused, alone_in, base_digest, checkpoint_files, read_json, write_json
from proguard_core.training.grpo.model import load_processor, read_champion
from proguard_core.training.verl_job.checkpoint import bring_back
from proguard_core.training.verl_job.compose import Places, entrypoint, overrides, submission_id
from proguard_core.training.verl_job.rows import TRAIN, dataset_files, lay_out
from proguard_core.training.verl_job.settings import Cluster, VerlRecipe
from proguard_core.training.verl_job.submit import RayJob, run
from proguard_core.training.verl_job.validate import can_validate, composed, read_rows, unchecked

ASKED, RESULT = "asked.json", "result.json"


@dataclass(frozen=True, slots=True)
class Folders:
    """Here. out lies on what the cluster shares; `Mounts` says under which names it sees these."""

    dataset: Path
    base: Path
    out: Path
    champion: Path | None = None


@dataclass(frozen=True, slots=True)
class Mounts:
    """The same folders as the cluster names them; None where it names them as this machine does."""

    out: PurePosixPath | None = None
    base: PurePosixPath | None = None
    champion: PurePosixPath | None = None

    def places(self, folders: Folders) -> Places:
        """What verl is told."""
        champion = self.champion
        if champion is None and folders.champion is not None:
            champion = PurePosixPath(folders.champion.absolute())
        return Places(
            self.out or PurePosixPath(folders.out.absolute()),
            self.base or PurePosixPath(folders.base.absolute()),
            champion,
        )


def plan(
    folders: Folders, mounts: Mounts, recipe: VerlRecipe, cluster: Cluster, say: Callable[[str], None]
) -> dict[str, Any]:
    """What would run, in words: nothing is written or sent.

    Raises RunRefused where an input is missing or does not fit, and where verl is here and refuses the command.
    """
    dataset_files(folders.dataset)
    checkpoint_files(folders.base)
    if folders.champion is not None:
        read_champion(folders.champion, base_digest(folders.base), recipe)
    places = mounts.places(folders)
    command = entrypoint(recipe, cluster, places)
    is_checked = can_validate()
    if is_checked:
        composed(overrides(recipe, cluster, places))
    checked = ", ".join(("validated by verl", *filter(None, [unchecked()])))
    say(checked if is_checked else "NOT VALIDATED: verl is not in this environment")
    job = RayJob(cluster.address, "proguard-<digest of command and inputs>", tuple(command))
    say(shlex.join(job.submission()))
    return {"validated": is_checked, "command": command}


def train(folders: Folders, mounts: Mounts, recipe: VerlRecipe, cluster: Cluster) -> dict[str, Any]:
    """Lay out the rows, submit, follow, bring back; the content of result.json. Blocks for as long as the job takes.

    Raises RunRefused and RunError; the same call then follows the job that was submitted, or goes on behind it.
    """
    with alone_in(folders.out):
        if (folders.out / RESULT).is_file():
            return read_json(folders.out / RESULT)
        base = base_digest(folders.base)
        champion = None if folders.champion is None else read_champion(folders.champion, base, recipe)
        places = mounts.places(folders)
        config = composed(overrides(recipe, cluster, places)) if can_validate() else None
        processor = load_processor(folders.base, recipe)
        rows = lay_out(folders.dataset, folders.out, recipe, processor)
        if config is not None:
            read_rows(config, folders.out / TRAIN, processor, rows["rows"])
        asked = {
            "base": base,
            "base_name": folders.base.name,
            "dataset": rows,
            "champion": None if champion is None else champion.digest,
            "settings": recipe.model_dump(mode="json"),
            "engine": "verl",
        }
        _same(folders.out / ASKED, asked)
        command = entrypoint(recipe, cluster, places)
        inputs = f"{base} {rows['files']} {asked['champion']}"
        run(RayJob(cluster.address, submission_id(command, inputs), tuple(command)))
        return bring_back(folders.out / "checkpoints", folders.out, recipe, base, champion, asked)


def _same(path: Path, asked: dict[str, Any]) -> None:
    if not path.is_file():
        write_json(path, asked)
    elif (before := read_json(path)) != asked:
        changed = [key for key in asked if asked[key] != before.get(key)]
        raise RunRefused(f"{path.parent} is the folder of another run: {', '.join(changed)} differ")
