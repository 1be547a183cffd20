"""Importing from checkouts. We do not have the authors' repository: these are made up, in several layouts."""

import json
from pathlib import Path

import pytest

from proguard_core.guards.protocol import GuardRequest
from proguard_core.policy.loader import load_policy
from proguard_core.policy.prompts import PromptError, PromptKind, Prompts
from proguard_core.policy.prompts.importer import import_prompts
from proguard_core.policy.prompts.released import warning
from proguard_core.policy.taxonomy import CATEGORY_NAMES, SUBCATEGORY_NAMES

MODEL = "yushaohan/ProGuard-7B"
FORM = "<think>why</think>\n<answer>\nRequest:safe|unsafe\n{response}Category:None|{code}|a name\n</answer>"


def _system(kind: PromptKind) -> str:
    level = CATEGORY_NAMES if kind is PromptKind.TEXT_IMAGE else SUBCATEGORY_NAMES
    code = "C*" if kind is PromptKind.TEXT_IMAGE else "C*S*"
    response = "" if kind is PromptKind.IMAGE else "Response:safe|unsafe\n"
    listed = "\n".join(f"{key}: {name}" for key, name in level.items())
    form = FORM.format(response=response, code=code)
    return f"\nWords for {kind.value}: JSON looks like {{{{a}}}} or {{% b %}}.\n{listed}\n{form}\n"


def _python(checkout: Path) -> None:
    constants = [f"{kind.name}_SYSTEM = {_system(kind)!r}" for kind in PromptKind]
    constants.append('TURN = "Human:\\n{prompt}\\n\\nBot:\\n{response}"')
    constants.append("raise SystemExit('a checkout is never run')")
    (checkout / "src").mkdir(parents=True)
    (checkout / "src" / "prompts.py").write_text("\n".join(constants))
    (checkout / "README.md").write_text(_system(PromptKind.IMAGE))


def _text_files(checkout: Path) -> None:
    for kind in PromptKind:
        (checkout / f"{kind.value}.txt").write_text(_system(kind))


def _data(checkout: Path) -> None:
    (checkout / "prompts.json").write_text(json.dumps({"system": {kind.value: _system(kind) for kind in PromptKind}}))


def _taxonomy(checkout: Path) -> None:
    mains = []
    for code, name in CATEGORY_NAMES.items():
        children = [
            {"name": child, "description": "Words.", "synonymous-phrase": [f"About {child}"]}
            for key, child in SUBCATEGORY_NAMES.items()
            if key.startswith(f"{code}S")
        ]
        entry = {"category": name, "description": "Words.", "synonymous-phrase": [f"About {name}"]}
        mains.append({**entry, "subcategories": children})
    (checkout / "taxonomy.yaml").write_text(json.dumps(mains))


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    folder = tmp_path / "checkout"
    folder.mkdir()
    _taxonomy(folder)
    return folder


@pytest.mark.parametrize("layout", [_python, _text_files, _data])
def test_prompts_are_taken_word_for_word(layout: object, checkout: Path, tmp_path: Path) -> None:
    assert callable(layout)
    layout(checkout)
    target = tmp_path / "made"
    imported = import_prompts(checkout, target)
    assert imported.policy == "taxonomy.yaml"
    policy = load_policy(target / "policy.yaml")
    prompts = Prompts(policy, target)
    for kind in PromptKind:
        assert prompts.system(kind) == _system(kind)
    assert (target / "policy.yaml").read_bytes() == (checkout / "taxonomy.yaml").read_bytes()
    assert warning(MODEL, target, policy) is None


def test_the_turn_of_the_user_is_found_by_its_two_places(checkout: Path, tmp_path: Path) -> None:
    _python(checkout)
    imported = import_prompts(checkout, tmp_path / "made")
    prompts = Prompts(load_policy(tmp_path / "made" / "policy.yaml"), tmp_path / "made")
    assert prompts.render(GuardRequest("hi", "hello")).user == "Human:\nhi\n\nBot:\nhello"
    assert prompts.render(GuardRequest("hi")).user == "Human:\nhi\n\nBot:\n"
    assert any("the user's turn is src/prompts.py:TURN" in note for note in imported.notes)


def test_a_turn_that_is_not_found_is_ours_and_said(checkout: Path, tmp_path: Path) -> None:
    _text_files(checkout)
    imported = import_prompts(checkout, tmp_path / "made")
    assert sum("is ours, compare it" in note for note in imported.notes) == 3


def test_placeholders_and_f_strings_become_places(checkout: Path, tmp_path: Path) -> None:
    lines = []
    for kind in PromptKind:
        text = _system(kind).replace("{{a}}", "").replace("{% b %}", "")
        body = text.replace("{", "{{").replace("}", "}}") + "\n{category_text}\nUser: {user_prompt}\n"
        lines.append(f"{kind.name} = f{body!r}")
    (checkout / "build.py").write_text("\n".join(lines))
    imported = import_prompts(checkout, tmp_path / "made")
    prompt = Prompts(load_policy(tmp_path / "made" / "policy.yaml"), tmp_path / "made").render(GuardRequest("hi"))
    assert prompt.system == ""
    assert prompt.user.endswith("User: hi\n")
    assert "C11S1: Inappropriate Exposure of Minors. Words.\n" in prompt.user
    assert any("layout of the category list is ours" in note for note in imported.notes)
    assert any("became the user's turn" in note for note in imported.notes)


def test_several_that_fit_are_an_error_until_one_is_chosen(checkout: Path, tmp_path: Path) -> None:
    _text_files(checkout)
    (checkout / "image-old.txt").write_text(_system(PromptKind.IMAGE) + "Older.")
    with pytest.raises(PromptError, match="several texts look like the image prompt; say which with --image PLACE"):
        import_prompts(checkout, tmp_path / "made")
    imported = import_prompts(checkout, tmp_path / "made", {PromptKind.IMAGE: "image.txt"})
    assert imported.sources[PromptKind.IMAGE] == "image.txt"
    with pytest.raises(PromptError, match=r"nowhere\.txt is not the place of one prompt"):
        import_prompts(checkout, tmp_path / "other", {PromptKind.IMAGE: "nowhere.txt"})


def test_what_is_no_checkout_or_no_new_folder(checkout: Path, tmp_path: Path) -> None:
    with pytest.raises(PromptError, match="is it the repository"):
        import_prompts(checkout, tmp_path / "made")
    with pytest.raises(PromptError, match="no such folder"):
        import_prompts(tmp_path / "nowhere", tmp_path / "made")
    with pytest.raises(PromptError, match="not empty"):
        import_prompts(checkout, checkout)


def test_files_that_cannot_be_read_are_passed_over(checkout: Path, tmp_path: Path) -> None:
    _text_files(checkout)
    (checkout / "broken.py").write_text("def (")
    (checkout / "broken.json").write_text("{")
    (checkout / "broken.yaml").write_text("a: [")
    (checkout / "latin.txt").write_bytes(b"\xff\xfe")
    (checkout / "loop").symlink_to(checkout)
    assert import_prompts(checkout, tmp_path / "made").sources[PromptKind.TEXT] == "text.txt"


def test_a_released_checkpoint_with_other_prompts_is_warned_of(checkout: Path, tmp_path: Path) -> None:
    _text_files(checkout)
    made = tmp_path / "made"
    import_prompts(checkout, made)
    policy = load_policy(made / "policy.yaml")
    assert warning("some/other-model", None, policy) is None
    assert warning(None, None, policy) is None
    assert "not on the shipped ones" in (warning(MODEL, None, policy) or "")
    assert "not on the shipped ones" in (warning("/models/proguard-3b/", None, policy) or "")
    assert "was not made by an import" in (warning(MODEL, tmp_path, policy) or "")
    assert "the policy in force (proguard-default) differs" in (warning(MODEL, made, load_policy()) or "")
    (made / "text.user.jinja").write_text("mine")
    assert "text.user.jinja changed since the import" in (warning(MODEL, made, policy) or "")
