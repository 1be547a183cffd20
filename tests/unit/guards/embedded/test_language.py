"""Which texts the guard may trust its score of."""

import pytest
from tokenizers import Tokenizer

from proguard_core.guards.embedded.language import (
    has_english_word,
    has_signs,
    is_coded,
    is_foreign,
    is_junk,
    is_readable,
    speaks_english,
    words_of,
)
from proguard_core.guards.embedded.reader import read_tokenizer
from proguard_core.guards.embedded.text_model import FOLDER

ENGLISH = [
    "The bakery opens at eight and the bread is still warm.",
    "lol no way 😂😂",
    "#sunset @beach",
    "",
    "Buy now!!! 50% off",
    "My friend 李明 came to dinner, and we had a very good time with him",
    "I ordered a crème brûlée in the café",
    "Die Hard is on TV tonight, are you in?",
]
OTHER = [
    "Heute scheint die Sonne und ich gehe mit dir in den Park.",
    "Je vais au marché avec ma sœur pour acheter des pommes",
    "Hoy vamos a la playa con los amigos",
    "Сегодня хорошая погода",
    "今天天气很好",
    "صباح الخير يا أصدقاء",
    "आज मौसम अच्छा है",
    "Bugün hava çok güzel ve ben mutluyum",
    "Selamat pagi, hari ini saya akan pergi ke pasar",
]


@pytest.mark.parametrize("text", ENGLISH)
def test_english_and_wordless_texts_are_known(text: str) -> None:
    assert speaks_english(text)


@pytest.mark.parametrize("text", OTHER)
def test_other_languages_and_scripts_are_not_known(text: str) -> None:
    assert not speaks_english(text)


@pytest.mark.parametrize("text", ["สวัสดีครับ", "谢谢", "ສະບາຍດີ", "ሰላም", "добрый день", "OK 谢谢大家", "مرحبا"])
def test_letters_of_other_scripts_are_nothing_to_score(text: str) -> None:
    assert not is_readable(text)


@pytest.mark.parametrize(
    "text", ["", "12:30", "🎉", "Good morning", "你好 kill yourself you pig", "I will hurt you, 谢谢"]
)
def test_latin_words_between_them_are(text: str) -> None:
    assert is_readable(text)


def test_a_foreign_sentence_hidden_in_much_english_is_not_known() -> None:
    assert not speaks_english("The weather is fine and we are happy. " * 30 + "Сегодня мы пойдём гулять")


def test_a_claimed_language_counts_unless_the_words_are_english() -> None:
    assert not speaks_english("Guten Morgen zusammen", "de")
    assert speaks_english("The bread is still warm and it smells good", "de")
    assert speaks_english("Guten", "en-GB")
    assert speaks_english("🎉🎉", "de")


def test_accents_tell_where_small_words_are_shared_with_english() -> None:
    assert not speaks_english("Quelqu'un a vu un vélo bleu près de la bibliothèque ? On me l'a emprunté")
    assert speaks_english("We had a crème brûlée at the café and it was the best I have had in years.")


@pytest.mark.parametrize(
    "text", ["", "lol", "vendo armas baratas", "me voy a matar", "Moslems vergasen", "heil, so was"]
)
def test_without_a_small_word_of_english_alone_nobody_knows_the_language(text: str) -> None:
    assert not has_english_word(text)
    assert has_english_word(f"{text}, THEY said")


@pytest.mark.parametrize("text", ["🎉", "💣🔫 🔥", "‼ ⁉ ☠", "\u200d\ufe0f"])
def test_signs_that_the_encoder_does_not_know_say_nothing_to_it(text: str) -> None:
    assert not has_signs(text)


@pytest.mark.parametrize("text", ["ok 🎉", ":)", "!!!", "7", "да", "自転車"])
def test_words_figures_and_plain_signs_do(text: str) -> None:
    assert has_signs(text)


@pytest.mark.parametrize(
    "text", ["\x00\x01\x02abc", "PK\x03\x04\x00 \ufffd\ufffd", "\ufffd" * 9, "a\x1b[31mb", "\ud83d x"]
)
def test_binary_junk_is_no_post(text: str) -> None:
    assert is_junk(text)


@pytest.mark.parametrize("text", ["", "two\nlines\tand tabs\r\n", "one lost sign \ufffd in a sentence", "👩‍🚀 is fine"])
def test_a_post_with_a_lost_sign_is_no_junk(text: str) -> None:
    assert not is_junk(text)


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return read_tokenizer(FOLDER)


def cut(text: str, tokenizer: Tokenizer) -> tuple[list[str], int]:
    words = words_of(text)
    return words, len(tokenizer.encode(" ".join(words), add_special_tokens=False).ids)


UNLISTED = [
    "Huomenna sataa lunta koko Helsingin alueella",
    "Ninakwenda sokoni kununua maziwa na mayai",
    "Masaya ako dahil kasama ko ang pamilya",
    "Ngiyabonga kakhulu mngani wami omuhle",
    "aaj raat ko khana kaun banayega bhai",
    "Gaur eguraldi ederra dago eta parkera goaz",
    "The Guardian kirjoittaa: huomenna sataa lunta koko Helsingin alueella ja pohjoisessa pakastaa kovasti "
    "seuraavan viikon loppuun saakka",
]
CODED = [
    "aGVsbG8gd29ybGQgaG93IGFyZSB5b3UgdG9kYXk=",
    "h e l l o  m y  d e a r  f r i e n d s",
    "gur oernq vf fgvyy jnez naq gur pbssrr vf tbbq",
]
READ = [
    *ENGLISH,
    "Sourdough starter: flour, water, patience!",
    "RT @cat: Oreo Cheesecake http://t.co/yW299",
    "docker run -it --rm ubuntu bash",
    "@anonymous @anonymous #themoreyouknow &#9733; https://example.org/aGVsbG8gd29ybGQgaG93IGFyZSB5b3U good",
    "haha ok u are so gr8",
]


@pytest.mark.parametrize("text", UNLISTED)
def test_a_language_that_no_list_names_is_known_by_its_pieces(text: str, tokenizer: Tokenizer) -> None:
    assert is_foreign(*cut(text, tokenizer))
    assert not is_coded(*cut(text, tokenizer))


@pytest.mark.parametrize("text", CODED)
def test_code_is_no_text(text: str, tokenizer: Tokenizer) -> None:
    assert is_coded(*cut(text, tokenizer))


@pytest.mark.parametrize("text", READ)
def test_what_the_encoder_reads_is_neither(text: str, tokenizer: Tokenizer) -> None:
    assert not is_foreign(*cut(text, tokenizer))
    assert not is_coded(*cut(text, tokenizer))
