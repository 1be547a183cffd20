"""A person's word belongs to one report."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from proguard_core.training.registry.sign_offs import sign_off, signed
from tests.unit.training.registry.builders import registry_in, run_record


def test_people_count_once_and_for_one_report(tmp_path: Path) -> None:
    run = registry_in(tmp_path).begin(run_record("one"))
    assert signed(run, "a" * 64) == ()
    for by in ("Ada", "ada ", "Grace / ../x"):
        sign_off(run, "a" * 64, by, "read it")
    sign_off(run, "b" * 64, "Edsger")
    assert signed(run, "a" * 64) == ("Ada", "Grace / ../x")
    assert signed(run, "b" * 64) == ("Edsger",)


@pytest.mark.parametrize("by", ["", "  ", "x" * 201])
def test_somebody_must_sign(tmp_path: Path, by: str) -> None:
    run = registry_in(tmp_path).begin(run_record("one"))
    with pytest.raises(ValidationError):
        sign_off(run, "a" * 64, by)
