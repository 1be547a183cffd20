"""`proguard prompts import`, and the warning about a released checkpoint with other prompts."""

from pathlib import Path

import pytest

from proguard_core.policy.prompts import PromptKind
from proguard_core.policy.taxonomy import CATEGORY_NAMES, SUBCATEGORY_NAMES
from worker.commands import prompts
from worker.commands.config_check import check
from worker.errors import WorkerError
from worker.settings import read

MODEL = "yushaohan/ProGuard-7B"


def _checkout(folder: Path) -> Path:
    folder.mkdir()
    for kind in PromptKind:
        codes = " ".join(CATEGORY_NAMES if kind is PromptKind.TEXT_IMAGE else SUBCATEGORY_NAMES)
        response = "" if kind is PromptKind.IMAGE else "Response:safe\n"
        form = f"<think>why</think>\n<answer>\nRequest:safe\n{response}Category:None\n</answer>"
        (folder / f"{kind.value}.txt").write_text(f"{codes}\n{'Words. ' * 30}\n{form}")
    return folder


def test_an_import_says_where_from_and_what_to_set(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "made"
    assert prompts.import_from(_checkout(tmp_path / "checkout"), target) == 0
    said = capsys.readouterr()
    assert "text-image: text-image.txt" in said.out
    assert f'[guard.settings]\nprompts = "{target}"' in said.out
    assert "[policy]" not in said.out
    assert "note: no file of category text was found" in said.err
    assert (target / "image.system.jinja").is_file()


def test_a_folder_without_prompts_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(WorkerError, match="is it the repository"):
        prompts.import_from(tmp_path, tmp_path / "made")


@pytest.mark.parametrize("model", [MODEL, "some/other-model"])
def test_config_check_warns_of_a_released_checkpoint_with_our_prompts(
    model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    guard = {"engine": "tests.support.guards:scripted", "model": model}
    assert check(read(None, {"guard": guard}), online=False, wait_s=0) == 0
    said = capsys.readouterr().err
    assert ("was trained on the authors' prompts" in said) == (model == MODEL)


def test_config_check_names_what_a_follower_lacks(capsys: pytest.CaptureFixture[str]) -> None:
    guard = {"engine": "tests.support.guards:scripted"}
    settings = read(None, {"guard": guard, "retraining": {"follow": True, "registry": "registry"}})
    assert check(settings, online=False, wait_s=0) == 78
    said = capsys.readouterr().err
    assert "retraining.follow needs guard.revision_file, guard.settings.adapters" in said
