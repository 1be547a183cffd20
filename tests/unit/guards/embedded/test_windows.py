"""Windows cover everything that a post says."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer

from proguard_core.guards.embedded.text_model import FOLDER, TOKENIZER
from proguard_core.guards.embedded.windows import LONGEST_WORD, OVERLAP, Windows, normalise, pieces

TOKENS = 128


@pytest.fixture(scope="module")
def windows() -> Windows:
    tokenizer = Tokenizer.from_file(str(FOLDER / TOKENIZER))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return Windows(tokenizer, TOKENS)


@given(st.integers(0, 500), st.integers(40, 200))
def test_pieces_cover_every_id_in_order(length: int, room: int) -> None:
    ids = list(range(length))
    cut = list(pieces(ids, room))
    made = [piece for _, piece in cut]
    assert all(piece == ids[start : start + len(piece)] for start, piece in cut)
    assert all(len(piece) <= room for piece in made)
    assert sorted({one for piece in made for one in piece}) == ids
    assert all(first[-OVERLAP:] == second[:OVERLAP] for first, second in pairwise(made))


def test_overlap_as_wide_as_the_window_is_refused() -> None:
    with pytest.raises(ValueError, match="overlap"):
        list(pieces([1, 2, 3], 8, 8))


def test_short_text_is_one_window(windows: Windows) -> None:
    assert len(windows.of_request("The bread is still warm.")) == 1


def test_an_excerpt_is_the_whole_words_of_a_window(windows: Windows) -> None:
    text = " ".join(f"Antidisestablishment{number}, ÄÖ!" for number in range(60))
    shown = [windows.excerpt(text, window) for window in windows.of_request(text)]
    assert len(shown) > 3
    assert set(" ".join(shown).split()) == set(text.split())
    assert shown[0].split()[0] == text.split()[0]
    assert shown[-1].endswith(text.split()[-1])
    for response in ("short answer", text):
        windows_of = windows.of_response("what did they say?", response)
        assert all(set(windows.excerpt(response, each).split()) <= set(response.split()) for each in windows_of)
    assert windows.excerpt("", windows.of_request("")[0]) == ""


def test_long_request_loses_no_token(windows: Windows) -> None:
    text = " ".join(f"word{number}" for number in range(400))
    made = windows.of_request(text)
    assert len(made) > 10
    assert all(len(window.ids) <= TOKENS for window in made)
    assert set(windows.ids(text)) <= {one for window in made for one in window.ids}


def test_long_response_stands_behind_its_request_in_every_window(windows: Windows) -> None:
    request, response = "What is in the pot?", " ".join(f"spice{number}" for number in range(300))
    made = windows.of_response(request, response)
    start = windows.ids(request)
    assert len(made) > 5
    assert all(window.ids[1 : 1 + len(start)] == start for window in made)
    seen = {one for window in made for one, kind in zip(window.ids, window.type_ids, strict=True) if kind == 1}
    assert set(windows.ids(response)) <= seen
    assert all(len(window.ids) == len(window.type_ids) <= TOKENS for window in made)


def test_a_very_long_request_leaves_room_for_the_response(windows: Windows) -> None:
    made = windows.of_response("many words " * 200, "an answer " * 50)
    assert all(len(window.ids) <= TOKENS and 1 in window.type_ids for window in made)


def test_endless_word_is_broken_so_that_it_is_not_one_unknown_token(windows: Windows) -> None:
    text = "howtobuildabomb" * 40
    assert windows.ids(text) == windows.ids("[UNK]")
    broken = normalise(text)
    assert max(len(word) for word in broken.split()) <= LONGEST_WORD
    assert windows.ids("[UNK]")[0] not in windows.ids(broken)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("kill\U0001f525all\U0001f525", "kill \U0001f525 all \U0001f525 "),
        ("a\U0001f4a3bomb\u2620\ufe0fat home", "a \U0001f4a3 bomb \u2620 at home"),
        ("k\U0001f178\U0001f17b\ufe0f\U0001f15bs", "kills"),
        ("ki\U000e0061ll 5\u20ac 20\u00b0C", "ki\U000e0061ll 5\u20ac 20\u00b0C"),
        ("\u304b\u3099\u3042 \ua8e0x", "\u304c\u3042 \ua8e0x"),
        ("plain + text ~ ^ | `", "plain + text ~ ^ | `"),
        ("\ud83d x", "\ud83d x"),
    ],
)
def test_no_emoji_hides_a_word(windows: Windows, text: str, said: str) -> None:
    made = normalise(text)
    assert made == said
    assert normalise(made).split() == made.split()


@pytest.mark.parametrize("sign", ["\U0001f525", "\u2620\ufe0f", "\U0001f469\u200d\U0001f680", "\U0001fae8", "\u2a01"])
def test_a_word_is_read_whatever_hangs_on_it(windows: Windows, sign: str) -> None:
    unknown = windows.ids("[UNK]")[0]
    read = [one for one in windows.ids(normalise(f"a{sign}bomb{sign}at home{sign}")) if one != unknown]
    assert read == windows.ids("a bomb at home")


def test_invisible_characters_and_styled_letters_are_folded() -> None:
    assert normalise("b\u200bo\u00admb") == "bomb"
    assert normalise("\U0001d4d7\U0001d4ee\U0001d4f5\U0001d4f5\U0001d4f8") == "Hello"
