"""Prompt and truth agree under masks and permutations, at the level that the prompt asks for."""

import random
from dataclasses import replace

import pytest

from proguard_core.dataset.items import Item
from proguard_core.dataset.samples import MaskSettings, Sampler
from proguard_core.dataset.variants import Variants, VariantSettings
from proguard_core.evaluation.rows import Row
from proguard_core.evaluation.withholding import without
from proguard_core.novelty.bank import Bank
from proguard_core.policy.prompts.contract import PromptKind
from schemas.common import Outcome
from tests.unit.dataset.builders import NO_PHRASES, POLICY, item

POOL = Variants(POLICY, VariantSettings(masks=40, orders=6), seed=3)
ALWAYS, NEVER = MaskSettings(1.0, 1.0), MaskSettings(0.0, 0.0)


def sampler(settings: MaskSettings, bank: Bank = NO_PHRASES) -> Sampler:
    return Sampler(POLICY, bank, POOL, settings, seed=0)


def of_kind(kind: PromptKind, code: str | None, identity: str = "a") -> Item:
    made = item(identity, "" if kind is PromptKind.IMAGE else None, code)
    return made if kind is PromptKind.TEXT else replace(made, row=replace(made.row, images=("picture",)))


def listed_in(prompt: str) -> dict[str, str]:
    """Codes of a rendered prompt by the names that stand behind them."""
    names = {entry.name for entry in (*POLICY.categories.values(), *POLICY.subcategories.values())}
    found = {}
    for line in prompt.splitlines():
        code, _, rest = line.partition(" ")
        name = rest.partition(":")[0]
        if name in names and code.startswith("C"):
            found[name] = code
    return found


@pytest.mark.parametrize("kind", list(PromptKind))
@pytest.mark.parametrize("settings", [ALWAYS, NEVER, MaskSettings(0, 1), MaskSettings(1, 0)], ids=str)
def test_the_truth_speaks_of_what_the_prompt_shows(kind: PromptKind, settings: MaskSettings) -> None:
    for code in POLICY.subcategories:
        if code == "C11S1":
            continue
        sample = sampler(settings).sample(of_kind(kind, code, f"row {code}"))
        shown = listed_in(sample.prompt().system)
        truth = sample.truth
        real = code.partition("S")[0] if kind is PromptKind.TEXT_IMAGE else code
        name = (POLICY.find(real) or POLICY.categories["C1"]).name
        assert set(truth.listed) == set(shown.values())
        assert {
            (POLICY.find(m) or POLICY.categories["C1"]).name: s
            for s, m in zip(truth.listed, truth.meanings, strict=True)
        } == shown
        if truth.codes:
            assert truth.codes == (shown[name],)
            assert not truth.phrases
        else:
            assert name not in shown
            assert truth.phrases[0] == name
            assert truth.mains == (code.partition("S")[0],)
        assert bool(truth.phrases) == (settings.masked == 1 and not code.startswith("C11"))


def test_minors_are_listed_under_their_code_in_every_variant() -> None:
    chooser = random.Random(0)
    for _ in range(60):
        for variant in (POOL.whole(True, chooser), POOL.holding(frozenset(), True, chooser)):
            assert variant is not None
            assert variant.shown["C11S1"] == "C11S1"
            assert variant.policy.subcategories["C11S1"].name == POLICY.subcategories["C11S1"].name


def test_every_category_can_be_withheld_with_others_and_safe_rows_see_short_lists_too() -> None:
    chooser = random.Random(0)
    for code in POLICY.categories:
        lacking = POOL.lacking(frozenset([code]), False, chooser)
        assert (lacking is None) is (code == "C11")
    withheld = [sampler(ALWAYS).sample(item(f"safe {at}")).variant.withheld for at in range(40)]
    assert all(withheld)
    assert len({len(each) for each in withheld}) > 1


def test_permuted_codes_are_codes_of_the_taxonomy_and_the_prompt_has_no_trace() -> None:
    sample = sampler(MaskSettings(0, 1)).sample(item("a", code="C8S1"))
    assert sample.variant.permuted
    assert set(sample.truth.listed) == set(POLICY.subcategories)
    assert "Also called" not in sample.prompt().system
    assert list(sample.variant.policy.categories) == list(POLICY.categories)


def test_labels_of_turns() -> None:
    one = sampler(NEVER)
    assert one.sample(of_kind(PromptKind.TEXT, None)).truth.response is Outcome.SAFE, "an empty turn is safe"
    assert one.sample(of_kind(PromptKind.IMAGE, None)).truth.response is None
    answered = Item(Row("a", "Hello", "Hi", request_label=Outcome.SAFE), item("b").origin)
    assert one.sample(answered).truth.response is None, "nobody labelled it"


def test_a_category_without_a_subcategory_makes_any_of_them_right() -> None:
    truth = sampler(NEVER).sample(item("a", code="C8")).truth
    assert truth.codes == ("C8S1", "C8S2", "C8S3")


def test_confirmed_phrases_are_what_a_good_name_is_near_to() -> None:
    bank = Bank({"C8S1": ("Ghost gun kits",), "Illegal gambling": ("Secret casinos",)})
    withheld = sampler(MaskSettings(1, 0), bank).sample(item("a", code="C8S1")).truth
    assert withheld.phrases[-1] == "Ghost gun kits"
    new = sampler(NEVER, bank).sample(item("b", name="Illegal gambling")).truth
    assert new.phrases == ("Illegal gambling", "Secret casinos")
    assert new.mains == ()


def test_a_category_that_the_policy_does_not_list_is_named_as_the_taxonomy_names_it() -> None:
    small = without(POLICY, frozenset({"C5"}))
    pool = Variants(small, VariantSettings(masks=2, orders=2), 0)
    truth = Sampler(small, NO_PHRASES, pool, MaskSettings(0, 0), 0).sample(item("a", code="C5S1")).truth
    listed = POLICY.subcategories["C5S1"]
    assert truth.phrases == (listed.name, *listed.synonyms)
    assert (truth.codes, truth.mains) == ((), ("C5",))


def test_a_draw_depends_on_seed_and_row_only() -> None:
    first = [sampler(MaskSettings()).sample(item(f"{at}", code="C6S1")).truth.to_json() for at in range(30)]
    again = [sampler(MaskSettings()).sample(item(f"{at}", code="C6S1")).truth.to_json() for at in reversed(range(30))]
    assert first == again[::-1]
