"""Law 1: what was not looked at cannot be safe. Law 11: minors come before everything else."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from proguard_core.guards.protocol import NO_CATEGORY, Category, GuardLimits, GuardRequest, Judgement, Picture
from proguard_core.policy.loader import load_policy
from proguard_core.questions import OVERLAP_BYTES, Plan, Question, combine, follow_up, plan, windows
from schemas.common import CategoryKind, Outcome, Reason
from schemas.post import Post

POLICY = load_policy()
PICTURE = Picture(Image.new("RGB", (2, 2)), "0" * 64)
LIMITS = GuardLimits(window_bytes=64)
SAFE = Judgement(Outcome.SAFE)
UNSURE = Judgement(Outcome.UNDETERMINED, Reason.UNPARSEABLE)
ANY_TEXT = st.text(st.characters(codec=None, categories=None), max_size=300)


@dataclass(frozen=True)
class Seen:
    pictures: Sequence[Picture]
    frames: int
    reason: Reason | None = None


def encoded(text: str | None) -> bytes:
    return (text or "").encode("utf-8", "surrogatepass")


def unsafe(category: Category, score: float = 0.5, rationale: str = "") -> Judgement:
    return Judgement(Outcome.UNSAFE, category=category, score=score, rationale=rationale)


def known(code: str) -> Category:
    return Category(CategoryKind.KNOWN, code)


def novel(nearest: str | None) -> Category:
    return Category(CategoryKind.NOVEL, name="something new", nearest=nearest, similarity=0.4)


def post(text: str | None = None, response: str | None = None, images: int = 0) -> Post:
    # model_construct: a surrogate never gets through validation, and must not hurt if it did
    return Post.model_construct(post_id="p", text=text, response=response, images=[], language="en")


def covered(whole: bytes, pieces: list[bytes]) -> int:
    """Length of the prefix of `whole` that the pieces cover, each found where the one before it ends or earlier."""
    end = 0
    for piece in pieces:
        start = next(at for at in range(end, -1, -1) if whole.startswith(piece, at))
        end = max(end, start + len(piece))
    return end


@given(ANY_TEXT, st.integers(4, 400), st.integers(0, 1000))
def test_windows_cover_everything_up_to_the_cap_and_split_no_character(text: str, size: int, cap: int) -> None:
    pieces, seen = windows(text, size, cap)
    whole = encoded(text)
    assert all(len(encoded(piece)) <= size for piece in pieces)
    assert seen <= cap
    assert seen == len(whole) or cap - 4 < seen
    assert covered(whole, [encoded(piece) for piece in pieces]) >= seen


@given(st.text(max_size=50), st.integers(0, 3), st.integers(0, 100))
def test_a_window_smaller_than_a_character_ends_and_claims_no_more_than_it_has(text: str, size: int, cap: int) -> None:
    pieces, seen = windows(text, size, cap)
    assert seen <= sum(len(encoded(piece)) for piece in pieces)


def test_a_sentence_cut_by_one_window_stands_whole_in_the_next() -> None:
    text = "".join(f"{number:04d} " for number in range(2000))
    pieces, seen = windows(text, 4096, 65_536)
    assert seen == len(text)
    for earlier, later in pairwise(pieces):
        assert later.startswith(earlier[-OVERLAP_BYTES:])


def test_wide_characters_in_the_smallest_window() -> None:
    assert windows("😀😀😀", 4, 100) == (["😀", "😀", "😀"], 12)


def test_no_text_asks_no_window() -> None:
    assert windows("", 64, 64) == ([], 0)


@given(ANY_TEXT, st.none() | ANY_TEXT, st.integers(0, 2), st.integers(16, 100), st.integers(1, 1000))
def test_coverage_is_complete_only_if_every_byte_is_in_a_question(
    text: str, response: str | None, images: int, window: int, cap: int
) -> None:
    made = plan(post(text, response), [Seen([PICTURE], 1)] * images, GuardLimits(window_bytes=window), cap)
    texts = [encoded(question.request.text) for question in made.questions]
    responses = [encoded(question.request.response) for question in made.questions if question.request.response]
    whole = covered_all(encoded(text), texts) and covered_all(encoded(response), responses)
    complete = made.coverage.text_bytes == made.coverage.text_bytes_judged
    assert made.coverage.text_bytes == len(encoded(text)) + len(encoded(response))
    assert not complete or whole
    assert complete == (Reason.TRUNCATED not in made.reasons)
    assert complete or len(encoded(text)) > cap - 4 or len(encoded(response)) > cap - 4
    for question in made.questions:
        assert len(encoded(question.request.text)) + len(encoded(question.request.response)) <= window


def covered_all(whole: bytes, pieces: list[bytes]) -> bool:
    """Whether each byte of `whole` lies in some piece."""
    seen = bytearray(len(whole))
    for piece in filter(None, pieces):
        at = whole.find(piece)
        while at >= 0:
            seen[at : at + len(piece)] = b"\1" * len(piece)
            at = whole.find(piece, at + 1)
    return all(seen)


@given(ANY_TEXT, st.none() | ANY_TEXT)
def test_surrogates_never_raise(text: str, response: str | None) -> None:
    made = plan(post(text, response), [], GuardLimits(), 65_536)
    combine(made, made.questions, [SAFE] * len(made.questions), POLICY)


def test_text_beyond_the_cap_is_never_safe() -> None:
    made = plan(post("a" * 500), [], LIMITS, 100)
    assert made.reasons == [Reason.TRUNCATED]
    assert made.coverage.text_bytes_judged == 100
    answer = combine(made, made.questions, [SAFE] * len(made.questions), POLICY)
    assert (answer.outcome, answer.reason) == (Outcome.UNDETERMINED, Reason.TRUNCATED)
    answer = combine(made, made.questions, [SAFE] * (len(made.questions) - 1) + [unsafe(known("C3S1"))], POLICY)
    assert (answer.outcome, answer.reason) == (Outcome.UNSAFE, Reason.TRUNCATED)


@pytest.mark.parametrize(
    ("image", "reason"),
    [
        (Seen([PICTURE] * 8, 40), Reason.FRAMES_SKIPPED),
        (Seen([], 0, Reason.TOO_MANY_IMAGES), Reason.TOO_MANY_IMAGES),
        (Seen([], 0, Reason.IMAGE_MISSING), Reason.IMAGE_MISSING),
    ],
)
def test_what_of_the_pictures_was_not_seen_is_never_safe(image: Seen, reason: Reason) -> None:
    made = plan(post("hello"), [Seen([PICTURE], 1), image], LIMITS, 100)
    assert made.reasons == [reason]
    answer = combine(made, made.questions, [SAFE] * len(made.questions), POLICY)
    assert (answer.outcome, answer.reason) == (Outcome.UNDETERMINED, reason)
    assert made.coverage.images == 2
    assert made.coverage.images_judged == 1 + bool(image.pictures)
    assert made.coverage.frames == 1 + image.frames


def test_every_frame_is_asked_with_the_text_and_the_rest_of_the_text_alone() -> None:
    made = plan(post("a" * 100), [Seen([PICTURE, PICTURE], 2), Seen([PICTURE], 1)], LIMITS, 1000)
    assert [question.image for question in made.questions] == [0, 0, 1, None]
    assert all(question.request.text for question in made.questions)


def test_a_post_whose_pictures_are_lost_has_its_text_judged() -> None:
    made = plan(post("hello"), [Seen([], 0, Reason.IMAGE_MISSING)], LIMITS, 100)
    assert [question.request for question in made.questions] == [
        GuardRequest("hello", None, language="en", accompanied=True)
    ]


@pytest.mark.parametrize("reasons", [[], [Reason.IMAGE_MISSING]])
def test_nothing_asked_is_never_safe(reasons: list[Reason]) -> None:
    answer = combine(Plan(reasons=reasons), [], [], POLICY)
    assert answer.outcome is Outcome.UNDETERMINED
    assert answer.reason is (reasons[0] if reasons else Reason.NOT_JUDGEABLE)


def assess(*judgements: Judgement) -> tuple[Outcome, Category]:
    questions = [Question(GuardRequest("a"), index) for index in range(len(judgements))]
    answer = combine(Plan(questions), questions, judgements, POLICY)
    return answer.outcome, answer.category


@given(st.permutations([SAFE, UNSURE, unsafe(known("C3S1"))]), st.integers(1, 3))
def test_unsafe_beats_undetermined_beats_safe(order: list[Judgement], count: int) -> None:
    said = [judgement.outcome for judgement in order[:count]]
    worst = next(o for o in (Outcome.UNSAFE, Outcome.UNDETERMINED, Outcome.SAFE) if o in said)
    assert assess(*order[:count])[0] is worst


def test_the_verdict_says_which_picture_decided() -> None:
    """One question a picture, with the text: the worst decides, and undetermined beats safe."""
    made = plan(post("hello"), [Seen([PICTURE], 1)] * 3, LIMITS, 100)
    assert [question.image for question in made.questions] == [0, 1, 2]
    for said, decided in (
        ([SAFE, UNSURE, SAFE], 1),
        ([SAFE, UNSURE, unsafe(known("C3S1"))], 2),
        ([unsafe(known("C3S1")), UNSURE, SAFE], 0),
    ):
        assert combine(made, made.questions, said, POLICY).image == decided
    lost = plan(post("hello"), [Seen([PICTURE], 1), Seen([], 0, Reason.IMAGE_MISSING)], LIMITS, 100)
    assert combine(lost, lost.questions, [SAFE], POLICY).image == 1
    assert combine(lost, lost.questions, [unsafe(known("C3S1"))], POLICY).image == 0
    none = plan(post(), [Seen([], 0, Reason.IMAGE_MISSING)], LIMITS, 100)
    assert combine(none, [], [], POLICY).image == 0
    cut = plan(post("a" * 1000), [Seen([PICTURE], 1), Seen([], 0, Reason.IMAGE_MISSING)], LIMITS, 100)
    assert combine(cut, cut.questions, [SAFE] * len(cut.questions), POLICY).image is None


@pytest.mark.parametrize("minors", [known("C11S1"), novel("C11S1"), novel("C11")])
@pytest.mark.parametrize("other", [novel("C3"), novel(None), known("C3S1"), known("C3")])
def test_minors_are_never_hidden_by_another_risk(minors: Category, other: Category) -> None:
    """Law 11: else the picture's reference would be published with the other, nameless risk."""
    for order in ((unsafe(minors, 0.1), unsafe(other, 0.9)), (unsafe(other, 0.9), unsafe(minors, 0.1))):
        category = assess(*order)[1]
        assert (category.code, category.nearest) == (minors.code, minors.nearest)


@pytest.mark.parametrize("minors", [known("C11S1"), novel("C11S1"), novel("C11")])
@pytest.mark.parametrize("other", [novel("C3"), known("C3S1")])
def test_law_11_holds_for_a_judgement_that_is_not_sure(minors: Category, other: Category) -> None:
    """The post is as unsafe as the other says, and its category is the one under which nothing is published."""
    doubt = Judgement(Outcome.UNDETERMINED, Reason.UNPARSEABLE, category=minors)
    for order in ((doubt, unsafe(other, 0.9)), (unsafe(other, 0.9), doubt)):
        outcome, category = assess(*order)
        assert outcome is Outcome.UNSAFE
        assert (category.code, category.nearest) == (minors.code, minors.nearest)
    assert assess(doubt, SAFE) == (Outcome.UNDETERMINED, assess(unsafe(minors))[1])
    assert assess(unsafe(minors, 0.1), doubt)[0] is Outcome.UNSAFE
    assert assess(Judgement(Outcome.UNDETERMINED, Reason.UNPARSEABLE, category=other))[1] == NO_CATEGORY


@pytest.mark.parametrize(
    ("code", "nearest", "checked"),
    [
        (None, "C3S1", "C3S1"),
        (None, "C3S77", "C3"),
        (None, "C99", None),
        (None, "nonsense", None),
        (None, "C11S77", "C11"),
        (None, "c11s1", "C11S1"),
        ("C11S1", "C3S1", "C11S1"),
        ("C3S1", "C11", "C11"),
        ("C3S1", None, "C3S1"),
    ],
)
def test_what_a_novel_risk_is_near_to_is_checked(code: str | None, nearest: str | None, checked: str | None) -> None:
    """A guard's code that nobody listed must neither be published nor lead around the law on minors."""
    said = Category(CategoryKind.NOVEL, code, "something new", nearest, 0.4)
    category = assess(unsafe(said))[1]
    assert (category.code, category.nearest, category.similarity) == (None, checked, 0.4 if checked else None)


def test_the_sexual_category_without_its_subcategory_comes_before_a_nameless_risk() -> None:
    """Law 11: while the subcategory is not known, nothing of the post may be published."""
    assert assess(unsafe(novel("C3"), 0.9), unsafe(known("C11"), 0.1))[1].code == "C11"


def test_a_subcategory_says_more_than_its_category() -> None:
    assert assess(unsafe(known("C11"), 0.9), unsafe(known("C11S2"), 0.1))[1].code == "C11S2"


@pytest.mark.parametrize("code", ["C99", "C11S77", None])
def test_a_code_that_nobody_listed_is_hallucinated(code: str | None) -> None:
    category = assess(unsafe(Category(CategoryKind.KNOWN, code)))[1]
    assert category == Category(CategoryKind.HALLUCINATED, name=code)


def test_a_listed_code_gets_its_name() -> None:
    assert assess(unsafe(known("C11S1")))[1].name == POLICY.subcategories["C11S1"].name


@pytest.mark.parametrize(("text", "response"), [("look", None), ("", "here you are"), ("a", "b")])
def test_a_text_image_question_judged_sexual_has_its_picture_judged_alone(text: str, response: str | None) -> None:
    """Law 11: text-image prompts list main categories only."""
    asked = Question(GuardRequest(text, response, PICTURE, "en"), 3)
    further = follow_up(asked, unsafe(known("C11")))
    assert further == Question(GuardRequest("", None, PICTURE, "en"), 3)
    assert follow_up(further, unsafe(known("C11"))) is None
    assert follow_up(asked, unsafe(known("C3"))) is None
    assert follow_up(Question(GuardRequest(text, response)), unsafe(known("C11"))) is None
