"""What the vllm engine takes and refuses before anything is loaded; it needs no vLLM."""

import importlib.util
from pathlib import Path
from typing import Any

import pytest

from proguard_core.guards.protocol import GuardOptions
from proguard_core.guards.vllm import create
from proguard_core.guards.vllm.settings import REFUSED, read
from proguard_core.policy.loader import load_policy


def options(**settings: Any) -> GuardOptions:
    return GuardOptions("some/model", (), settings)


def test_pictures_and_answers_are_bounded_and_greedy_whatever_the_table_says() -> None:
    arguments = read(options(engine={"quantization": "fp8", "tensor_parallel_size": 2})).arguments
    assert (arguments["quantization"], arguments["tensor_parallel_size"]) == ("fp8", 2)
    assert arguments["limit_mm_per_prompt"] == {"image": 1, "video": 0}
    assert arguments["mm_processor_kwargs"] == {"max_pixels": 1_003_520}
    assert arguments["generation_config"] == "vllm"
    assert arguments["enable_log_requests"] is False
    assert "enable_lora" not in arguments


def test_pictures_are_prepared_in_threads_or_kept_in_a_cache_that_counts_on_one_order() -> None:
    assert read(options()).arguments["mm_processor_cache_gb"] == 0
    assert read(options(picture_threads=1)).arguments["mm_processor_cache_gb"] == 0
    cached = read(options(engine={"mm_processor_cache_gb": 4}))
    assert (cached.picture_threads, cached.arguments["mm_processor_cache_gb"]) == (1, 4)
    with pytest.raises(ValueError, match=r"mm_processor_cache_gb needs guard\.settings\.picture_threads = 1"):
        read(options(engine={"mm_processor_cache_gb": 4}, picture_threads=2))


def test_a_picture_processor_of_another_kind_has_its_own_arguments() -> None:
    arguments = read(options(engine={"mm_processor_kwargs": {"size": 5}})).arguments
    assert arguments["mm_processor_kwargs"] == {"size": 5}


def test_two_adapters_fit_at_once_so_that_a_swap_delays_nothing(tmp_path: Path) -> None:
    arguments = read(options(adapters=str(tmp_path), max_adapter_rank=64)).arguments
    assert (arguments["enable_lora"], arguments["max_loras"], arguments["max_lora_rank"]) == (True, 2, 64)


@pytest.mark.parametrize("key", sorted(REFUSED))
def test_arguments_that_promises_rest_on_are_refused_with_the_reason(key: str) -> None:
    with pytest.raises(ValueError, match=rf"engine\.{key} cannot be set: \w+"):
        read(options(engine={key: 1}))


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"sizes": 1}, "no sizes for the vllm guard"),
        ({"engine": 1}, "must be a table"),
        ({"max_model_len": 0}, "max_model_len"),
        ({"picture_threads": 0}, "picture_threads"),
        ({"adapter": "first"}, r"guard\.settings\.adapters"),
        ({"structured_answer": "perhaps"}, "structured_answer"),
    ],
)
def test_wrong_settings_are_named(settings: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        read(options(**settings))


def test_numbers_of_the_environment_reach_vllm_as_numbers() -> None:
    given = {"max_num_seqs": "8", "gpu_memory_utilization": "0.5", "enforce_eager": "True", "dtype": "auto"}
    arguments = read(options(engine={**given, "revision": "12345", "hf_overrides": '{"a": 1}'})).arguments
    assert [arguments[key] for key in given] == [8, 0.5, True, "auto"]
    assert (arguments["revision"], arguments["hf_overrides"]) == ("12345", {"a": 1})
    texts = {"tokenizer": "123", "hf_token": "1234", "download_dir": "2026", "quantization": "null"}
    assert {key: read(options(engine=texts)).arguments[key] for key in texts} == texts
    assert read(options(engine='{"max_num_seqs": 4}')).arguments["max_num_seqs"] == 4
    off = read(options(engine={"mm_processor_cache_gb": "0"}, picture_threads="4"))
    assert (off.picture_threads, off.arguments["mm_processor_cache_gb"]) == (4, 0)


def test_a_model_is_needed_and_servers_are_not() -> None:
    with pytest.raises(ValueError, match=r"guard\.model"):
        read(GuardOptions())
    with pytest.raises(ValueError, match="openai"):
        read(GuardOptions("m", ("http://127.0.0.1:1/v1",)))


def test_what_an_answer_depends_on_changes_the_revision() -> None:
    lines = {
        read(options(**settings)).answer_settings
        for settings in (
            {},
            {"output_cap": 5},
            {"max_pixels": 5},
            {"window_bytes": 5},
            {"structured_retry": False},
            {"structured_answer": True},
            {"engine": {"quantization": "fp8"}},
        )
    }
    assert len(lines) == 7


def test_a_missing_package_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(ValueError, match="extra `vllm`"):
        create(options(), load_policy())
