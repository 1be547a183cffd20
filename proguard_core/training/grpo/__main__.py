"""`python -m proguard_core.training.grpo --dataset DIR --base MODEL --out RUN [--champion ADAPTER] ...`"""

import json
import logging
import sys
from pathlib import Path

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from proguard_core.training import command_line
from proguard_core.training.command_line import EXIT_CONFIGURATION, EXIT_USAGE, parsed
from proguard_core.training.grpo.settings import GrpoSettings


class Asked(GrpoSettings, command_line.Asked):
    """Train the guard's adapter by GRPO on one machine. The same command again goes on from where it was killed.

    Ends with 0 (trained), 1 (failed, or stopped because the reward collapsed), 2 (usage), 78 (what was asked for does
    not fit together).
    """

    model_config = SettingsConfigDict(cli_prog_name="python -m proguard_core.training.grpo")

    dataset: Path = Field(description="folder of a dataset for TRL")
    base: Path = Field(description="folder of the frozen base model")
    out: Path = Field(description="folder of the run: checkpoints, training.html, adapter/, result.json")
    champion: Path | None = Field(None, description="folder of the adapter to go on from")
    policy: Path | None = Field(None, description="policy file; ours without")


def main(arguments: list[str] | None = None) -> int:
    """The command; its exit code."""
    asked = parsed(Asked, arguments)
    if asked is None:
        return EXIT_USAGE
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    from proguard_core.policy.loader import load_policy
    from proguard_core.training.descriptions import RewardError, shipped
    from proguard_core.training.grpo.files import RunError, RunRefused
    from proguard_core.training.grpo.metrics import exported
    from proguard_core.training.grpo.run import COLLAPSED, Job, Reward, train

    settings = GrpoSettings(**asked.model_dump(include=set(GrpoSettings.model_fields)))
    try:
        policy = load_policy(asked.policy)
    except ValueError as error:
        print(error, file=sys.stderr)
        return EXIT_CONFIGURATION
    try:
        with exported() as gauges:
            job = Job(asked.dataset, asked.base, asked.out, asked.champion)
            result = train(job, settings, Reward(policy, shipped(policy)), gauges)
    except RunRefused as error:
        print(error, file=sys.stderr)
        return EXIT_CONFIGURATION
    except (RunError, RewardError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    print(json.dumps(result, indent=2, ensure_ascii=False))
    return 1 if result["status"] == COLLAPSED else 0


if __name__ == "__main__":
    sys.exit(main())
