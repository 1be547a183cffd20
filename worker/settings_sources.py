"""Where settings come from, and what is right of them where others are wrong."""

from pathlib import Path
from typing import Any, Self, TypeVar

from pydantic import ValidationError, ValidationInfo, ValidatorFunctionWrapHandler, field_validator, model_validator
from pydantic.fields import FieldInfo
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    NestedSecretsSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

Model = TypeVar("Model", bound=BaseSettings)


class _Environment(EnvSettingsSource):
    """What is no JSON stays text: then the key that it is of is told, and what else is wrong too."""

    def decode_complex_value(self, field_name: str, field: FieldInfo, value: Any) -> Any:
        try:
            return super().decode_complex_value(field_name, field, value)
        except ValueError:
            return value


def reading(settings: type[Model], path: Path | None, secrets: Path | None) -> type[Model]:
    """The settings' class as it reads the environment, over secrets by file, over a TOML file."""

    class FromFile(settings):  # type: ignore[misc,valid-type]
        @classmethod
        def settings_customise_sources(
            cls,
            settings_cls: type[BaseSettings],
            init_settings: PydanticBaseSettingsSource,
            env_settings: PydanticBaseSettingsSource,
            dotenv_settings: PydanticBaseSettingsSource,
            file_secret_settings: PydanticBaseSettingsSource,
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            sources = [init_settings, _Environment(settings_cls)]
            if secrets is not None:
                by_file = NestedSecretsSettingsSource(file_secret_settings, secrets_dir=secrets, secrets_prefix="")
                sources.append(by_file)
            if path is not None:
                sources.append(TomlConfigSettingsSource(settings_cls, toml_file=path))
            return tuple(sources)

    return FromFile


def without_wrong(settings: type[Model]) -> type[Model]:
    """The settings' class with the defaults of a section in the place of one that is wrong."""

    class Right(settings):  # type: ignore[misc,valid-type]
        model_config = SettingsConfigDict(extra="ignore")

        @field_validator("*", mode="wrap")
        @classmethod
        def _or_default(cls, value: Any, handler: ValidatorFunctionWrapHandler, info: ValidationInfo) -> Any:
            try:
                return handler(value)
            except ValidationError:
                return cls.model_fields[str(info.field_name)].get_default(call_default_factory=True)

        @model_validator(mode="after")
        def _drained_before_killed(self) -> Self:
            # In the place of the one validator of several sections: what it says was said.
            return self

    return Right
