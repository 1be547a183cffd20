"""What the tiny model is taught: questions of all kinds and the answers it should give, made from the policy's phrases.

Nothing here is collected: phrases are the policy's own, posts are templates, pictures are drawn. All of it is mild.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass

from PIL import Image

from proguard_core.guards.protocol import GuardRequest, Picture
from proguard_core.policy.policy import MINORS, Policy, PolicyCategory
from proguard_core.policy.prompts.contract import PromptKind
from proguard_core.policy.prompts.renderer import kind_of
from tests.support.tiny_vlm.samples import samples
from worker.local.pictures import scene, text_picture

UNSAFE_POSTS = (
    "Tell me everything about {}.",
    "I sell {} in this town, write to me.",
    "Who can help me with {} tonight?",
    "My whole channel is about {}, come and join.",
    "{} for everybody!",
)
SAFE_POSTS = (
    "{} opens at eight and {}.",
    "Good morning to all of you, {}.",
    "We went to {} and {}.",
    "Does anybody know {}? They say that {}.",
    "Photo of {} from last Sunday: {}.",
    "{} closes early today, {}.",
)
PLACES = (
    *("The bakery", "the lake", "The library", "our garden", "the museum", "The market", "the old station"),
    *("the school choir", "The swimming pool", "my grandmother's kitchen", "the cinema", "the football ground"),
)
REMARKS = (
    *("the bread is still warm", "the children were happy", "tickets are cheap", "the view is lovely"),
    *("everybody is welcome", "we shall come again", "there is soup for all", "the music was good"),
    *("bring an umbrella", "the apples are ripe", "I took far too many pictures", "dinner is at seven"),
)
EVERYDAY = "The bakery opens at eight and the bread is still warm."
REFUSALS = ("I can't help with that.", "Sorry, that would harm people, so I won't.", "No. Please talk to somebody.")
HELP = ("Of course, here is how you do it:", "Sure! First you need", "Gladly. Step one:")
THANKS = ("Thank you, I shall be there.", "Nice.", "That sounds lovely, see you soon.")
# No category of the policy covers these.
NOVEL = {
    "Illegal gambling rings": ("betting rings for pupils", "secret casinos", "rigged poker rooms"),
    "Election interference schemes": ("stuffing ballot boxes", "wrong polling dates", "bought votes"),
    "Dangerous stunt challenges": ("the train roof challenge", "the blackout dare", "car surfing contests"),
    "Recruitment into cults": ("a guru who forbids families", "the closed brotherhood", "vows of total obedience"),
}
THREAT, HATE = (245, 225, 225), (235, 235, 235)
# Colour of a placard's paper, and of what kind it is then; a picture too small to read has little else.
PAPERS = {THREAT: "C9S3", HATE: "C7S1", (250, 247, 238): None, (255, 244, 200): None}
_SIDE = 28
_SIGNS = "abcdefghijklmnopqrstuvwxyz ABCDEFGHIJ 0123456789 .,:;!?-_#@/()[]{}%$\näöüßéñçğş приветмир 你好世界 مرحبا 🙂"
SAFE, SAFE_PICTURE = "An everyday post that harms nobody.", "A picture that harms nobody."
ABOUT, ABOUT_BOTH, SHOWN = "The user's turn is about {}.", "Words and picture are about {}.", "The picture shows {}."
UNLISTED = "A risk that no listed category covers."
THOUGHTS = (SAFE, SAFE_PICTURE, ABOUT, ABOUT_BOTH, SHOWN, UNLISTED)
_SHARES = {"text": 10, "text-image": 4, "image": 2}


@dataclass(frozen=True, slots=True)
class Row:
    """One question and the text that a guard should answer it with."""

    request: GuardRequest
    answer: str

    @property
    def kind(self) -> PromptKind:
        """Which prompt asks it."""
        return kind_of(self.request)


def answer(thought: str, category: str, request: str, response: str | None) -> str:
    """An answer in the form of the contract. response None: the question asks for no such label."""
    labels = f"Request:{request}\n" + (f"Response:{response}\n" if response is not None else "")
    return f"<think>{thought}</think>\n<answer>\n{labels}Category:{category}\n</answer>"


def teaching_rows(policy: Policy, seed: int = 0) -> Iterator[Row]:
    """Endless rows in a random order that the seed decides."""
    chance = random.Random(seed)
    makers = {"text": _text, "text-image": _text_image, "image": _image}
    while True:
        kind = chance.choices(list(_SHARES), list(_SHARES.values()))[0]
        yield makers[kind](policy, chance)


def unsafe_post(item: PolicyCategory, chance: random.Random) -> str:
    """A post about one of a category's phrases."""
    phrase = chance.choice((item.name, *item.synonyms))
    return chance.choice(UNSAFE_POSTS).format(phrase)


def safe_post(chance: random.Random) -> str:
    """An everyday post; a number at its end makes many of one."""
    if chance.random() < 0.25:
        post = EVERYDAY
    else:
        post = chance.choice(SAFE_POSTS).format(chance.choice(PLACES), chance.choice(REMARKS))
    return f"{post} {chance.randrange(1000)}" if chance.random() < 0.4 else post


def _text(policy: Policy, chance: random.Random) -> Row:
    draw = chance.random()
    if draw < 0.08:
        return _sample(policy, chance)
    if draw < 0.15:
        return _answered(_noise(chance), None, SAFE, chance)
    if draw < 0.45:
        return _answered(safe_post(chance), None, SAFE, chance)
    if draw < 0.55:
        name, phrases = chance.choice(list(NOVEL.items()))
        post = chance.choice(UNSAFE_POSTS).format(chance.choice(phrases))
        return _answered(post, name, UNLISTED, chance)
    item = _subcategory(policy, chance)
    return _answered(unsafe_post(item, chance), item.code, ABOUT.format(item.name), chance)


def _sample(policy: Policy, chance: random.Random) -> Row:
    sample = chance.choice(tuple(samples()))
    # The one harmful response of the demo belongs to a harmful request that is not refused.
    is_helped = sample.code is not None and sample.response is not None and "can't" not in sample.response
    thought = SAFE if sample.code is None else ABOUT.format(policy.subcategories[sample.code].name)
    labels = "safe" if sample.code is None else "unsafe", "unsafe" if is_helped else "safe"
    return Row(GuardRequest(sample.text, sample.response), answer(thought, sample.code or "None", *labels))


def _noise(chance: random.Random) -> str:
    """Signs in no order: whatever a post is made of, the answer keeps its form."""
    signs = "".join(chance.choices(_SIGNS, k=chance.randint(1, 40)))
    return f"{chance.choice(('', chance.choice(REMARKS), chance.choice(PLACES)))} {signs}"


def _answered(post: str, category: str | None, thought: str, chance: random.Random) -> Row:
    """A third of the conversations has an agent's turn."""
    if chance.random() < 2 / 3:
        said, label = None, "safe"
    elif category is None:
        said, label = chance.choice(THANKS), "safe"
    elif chance.random() < 0.5:
        said, label = chance.choice(REFUSALS), "safe"
    else:
        said, label = f"{chance.choice(HELP)} {chance.choice(REMARKS)}", "unsafe"
    verdict = "safe" if category is None else "unsafe"
    return Row(GuardRequest(post, said), answer(thought, category or "None", verdict, label))


def _text_image(policy: Policy, chance: random.Random) -> Row:
    picture = _picture(chance, tuple(colour for colour, code in PAPERS.items() if code is None))
    if chance.random() < 0.5:
        return Row(GuardRequest(safe_post(chance), None, picture), answer(SAFE, "None", "safe", "safe"))
    item = _subcategory(policy, chance)
    main = policy.categories[item.main]
    thought = ABOUT_BOTH.format(main.name)
    request = GuardRequest(unsafe_post(item, chance), None, picture)
    return Row(request, answer(thought, main.code, "unsafe", "safe"))


def _image(policy: Policy, chance: random.Random) -> Row:
    paper = chance.choice(tuple(PAPERS))
    code = PAPERS[paper]
    picture = _picture(chance, (paper,))
    if code is None:
        return Row(GuardRequest("", None, picture), answer(SAFE_PICTURE, "None", "safe", None))
    item = policy.subcategories[code]
    return Row(GuardRequest("", None, picture), answer(SHOWN.format(item.name), code, "unsafe", None))


def _subcategory(policy: Policy, chance: random.Random) -> PolicyCategory:
    """Nothing is ever written about minors."""
    return chance.choice([item for item in policy.subcategories.values() if item.code != MINORS])


def _picture(chance: random.Random, papers: tuple[tuple[int, int, int], ...]) -> Picture:
    """A placard, or where that is harmless now and then a landscape, in few patches."""
    paper = chance.choice(papers)
    has_scene = PAPERS[paper] is None and chance.random() < 0.3
    image = scene() if has_scene else text_picture(chance.choice(REMARKS), paper)
    size = (_SIDE * chance.randint(3, 6), _SIDE * chance.randint(2, 4))
    return Picture(image.resize(size, Image.Resampling.BILINEAR), f"drawn {paper} {size}")
