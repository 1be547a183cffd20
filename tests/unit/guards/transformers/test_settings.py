"""Settings of the transformers engine; nothing here needs torch."""

import pytest

from proguard_core.guards.protocol import GuardOptions
from proguard_core.guards.transformers.settings import read


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (GuardOptions(), "guard.model"),
        (GuardOptions("m", ("http://127.0.0.1:8000/v1",)), "guard.base_urls"),
        (GuardOptions("m", settings={"structured_retry": True}), "structured_retry"),
        (GuardOptions("m", settings={"dtype": "int8"}), "dtype"),
        (GuardOptions("m", settings={"batch_size": 0}), "batch_size"),
        (GuardOptions("m", settings={"adapter": "second"}), "guard.settings.adapters"),
    ],
)
def test_a_wrong_setting_is_named(options: GuardOptions, named: str) -> None:
    with pytest.raises(ValueError, match=named):
        read(options)


def test_what_an_answer_depends_on_is_in_the_revision_and_what_it_does_not_is_not() -> None:
    plain = read(GuardOptions("m")).answer_settings
    for key, value in {
        "device": "cpu",
        "dtype": "float32",
        "batch_size": 4,
        "output_cap": 9,
        "max_pixels": 784,
    }.items():
        assert read(GuardOptions("m", settings={key: value})).answer_settings != plain
    assert read(GuardOptions("m", settings={"request_timeout_s": 5})).answer_settings == plain


def test_values_from_the_environment_are_text() -> None:
    settings = read(GuardOptions("m", settings={"batch_size": "4", "request_timeout_s": "2.5", "device": ""}))
    assert (settings.batch_size, settings.request_timeout_s, settings.device) == (4, 2.5, "auto")
