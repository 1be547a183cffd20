"""A month with planted truth, at full size (benchmarks/mining.py): found, flagged in time, with ids that stay."""

import pytest

from benchmarks import mining
from benchmarks.planted.history import BURSTS, RISKS


@pytest.mark.nightly
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("wording", ["own", "reworded", "mixed"])
def test_what_was_planted_is_found(wording: str) -> None:
    found = mining.planted(wording, RISKS)
    assert float(str(found["ari"])) >= 0.8, found
    assert float(str(found["ids_kept_all"])) >= 0.95, found
    assert not found["flood_emerged"], found
    assert found["bursts_missed"] == [], found
    days = found["days_to_burst"]
    assert isinstance(days, dict)
    assert set(days) == set(BURSTS)
    assert max(days.values()) <= 1, found
    assert "fireworks" not in str(found["emerged_besides"]), found
