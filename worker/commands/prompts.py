"""`proguard prompts import`: prompts and category text from the user's own checkout of the authors' repository."""

import sys
from pathlib import Path

from proguard_core.policy.prompts.contract import PromptKind
from proguard_core.policy.prompts.importer import import_prompts
from proguard_core.policy.prompts.released import POLICY_FILE
from proguard_core.policy.prompts.renderer import PromptError
from worker.errors import WorkerError


def import_from(
    checkout: Path, folder: Path, text: str | None = None, text_image: str | None = None, image: str | None = None
) -> int:
    """Write the folder of prompts; say where each came from, what is to be compared, and the settings to make."""
    places = {PromptKind.TEXT: text, PromptKind.TEXT_IMAGE: text_image, PromptKind.IMAGE: image}
    choices = {kind: place for kind, place in places.items() if place is not None}
    try:
        imported = import_prompts(checkout, folder, choices)
    except PromptError as error:
        raise WorkerError(str(error)) from error
    for kind, place in imported.sources.items():
        print(f"{kind}: {place}")
    for note in imported.notes:
        print(f"note: {note}", file=sys.stderr)
    print(f'\n[guard.settings]\nprompts = "{folder}"')
    if imported.policy is not None:
        print(f'\n[policy]\npath = "{folder / POLICY_FILE}"')
    return 0
