"""Command lines of the trainings, made from their settings: one option a field, nothing from the environment."""

import importlib.util
import sys
from typing import TypeVar

from pydantic import ValidationError
from pydantic_settings import BaseSettings, CliApp, PydanticBaseSettingsSource, SettingsConfigDict

EXIT_USAGE, EXIT_CONFIGURATION = 2, 78


class Asked(BaseSettings):
    """What a command line says. Subclasses name their program (cli_prog_name) and add fields."""

    model_config = SettingsConfigDict(
        cli_kebab_case=True, cli_implicit_flags=True, cli_hide_none_type=True, extra="forbid", frozen=True
    )

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


A = TypeVar("A", bound=Asked)


def need(*packages: str) -> None:
    """Ends the process with 78 and a sentence where a package of the `train` extra is missing."""
    if missing := [package for package in packages if not _is_there(package)]:
        print(f"this needs {' and '.join(missing)}: install the `train` extra (make engines)", file=sys.stderr)
        raise SystemExit(EXIT_CONFIGURATION)


def _is_there(package: str) -> bool:
    try:
        return importlib.util.find_spec(package) is not None
    except ImportError:
        return False


def parsed(asked: type[A], arguments: list[str] | None) -> A | None:
    """The arguments (the process's own without), or None after it was said which option is wrong."""
    try:
        return CliApp.run(asked, cli_args=arguments if arguments is not None else sys.argv[1:])
    except ValidationError as error:
        for each in error.errors():
            option = "--" + "-".join(map(str, each["loc"])).replace("_", "-") + ": " if each["loc"] else ""
            print(f"{option}{each['msg']}", file=sys.stderr)
        return None
