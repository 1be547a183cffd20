"""`python -m proguard_core.training.grpo --dataset DIR --base MODEL --out RUN [--champion ADAPTER] ...`"""

import json
import logging
import sys
from pathlib import Path

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, CliApp, PydanticBaseSettingsSource, SettingsConfigDict

from proguard_core.training.grpo.settings import GrpoSettings

EXIT_USAGE, EXIT_CONFIGURATION = 2, 78


class Asked(GrpoSettings, BaseSettings):
    """Train the guard's adapter by GRPO on one machine. The same command again goes on from where it was killed.

    Ends with 0 (trained), 1 (failed, or stopped because the reward collapsed), 2 (usage), 78 (what was asked for does
    not fit together).
    """

    model_config = SettingsConfigDict(
        cli_prog_name="python -m proguard_core.training.grpo",
        cli_kebab_case=True,
        cli_implicit_flags=True,
        cli_hide_none_type=True,
        extra="forbid",
        frozen=True,
    )

    dataset: Path = Field(description="folder of a dataset for TRL")
    base: Path = Field(description="folder of the frozen base model")
    out: Path = Field(description="folder of the run: checkpoints, training.html, adapter/, result.json")
    champion: Path | None = Field(None, description="folder of the adapter to go on from")
    policy: Path | None = Field(None, description="policy file; ours without")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The command line alone: a variable called SEED must not change a run."""
        del settings_cls, env_settings, dotenv_settings, file_secret_settings
        return (init_settings,)


def main(arguments: list[str] | None = None) -> int:
    """The command; its exit code."""
    try:
        asked = CliApp.run(Asked, cli_args=arguments if arguments is not None else sys.argv[1:])
    except ValidationError as error:
        for each in error.errors():
            option = "--" + "-".join(map(str, each["loc"])).replace("_", "-") + ": " if each["loc"] else ""
            print(f"{option}{each['msg']}", file=sys.stderr)
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
