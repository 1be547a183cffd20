"""Examples of our own making: questions and posts from templates, and public rows dressed up in other ways.

Every generator takes the public examples that are taught (so that nothing of a source that is left out comes back) and
a seeded chooser, and returns examples. Answers of assistants are in answers.py.
"""

import random
from collections.abc import Callable, Iterator

from proguard_core.training.embedded import answers, disguise
from proguard_core.training.embedded.parts import fill, load, varied
from proguard_core.training.embedded.rows import CODES, Example

ACTS_EACH, QUESTIONS_EACH, GROUPS_EACH, POSTS_EACH = 9, 9, 20, 8
LONG_SAFE, LONG_UNSAFE, WRAPPED, DISGUISED = 900, 600, 700, 800
BODY_CHARACTERS, STORIES_ONE_IN = 520, 4
SHORT_CHARACTERS = 240
NO_CODE = "any"
ASKED = ("harmless-instructions", "mlcommons", "aart", "catqa", "do-not-answer", "medsafetybench")
WRITTEN = (
    "vader-amazonreview",
    "vader-moviereview",
    "vader-nyteditorial",
    "vader-tweets",
    "open-assistant",
    "arena-hard",
)

Examples = list[Example]
Generator = Callable[[Examples, random.Random], Examples]


def labelled(name: str, each: int, chooser: random.Random) -> Iterator[tuple[str, str | None, bool]]:
    """Text, code of the taxonomy and whether it is unsafe, for every template of one file of parts/.

    A file with `frames` holds acts: every act is put into some of them, the more the fewer slots it has.
    """
    loaded = load(name)
    for code, templates in [(None, loaded["safe"]), *loaded["unsafe"].items()]:
        for template in templates:
            texts = list(varied([template], loaded["slots"], each, chooser))
            if "frames" in loaded:
                texts = [framed(act, loaded["frames"], chooser) for act in texts * -(-each // len(texts))]
            for text in dict.fromkeys(texts):
                yield text, None if code == NO_CODE else code, code is not None


def framed(act: str, frames: list[str], chooser: random.Random) -> str:
    """A question or command for an act."""
    return chooser.choice(frames).replace("{}", act[0].lower() + act[1:])


def _from_file(name: str, each: int) -> Generator:
    def generate(public: Examples, chooser: random.Random) -> Examples:
        return [
            Example(f"generated-{name}", text, None, unsafe, CODES.index(code) if code else None)
            for text, code, unsafe in labelled(name, each, chooser)
        ]

    return generate


def labelled_requests(public: Examples, unsafe: bool) -> Examples:
    """Public requests of at most SHORT_CHARACTERS with that label, posts included."""
    return [
        row for row in public if row.response is None and row.unsafe is unsafe and len(row.request) <= SHORT_CHARACTERS
    ]


def short_requests(public: Examples, unsafe: bool) -> Examples:
    """The same, only questions and commands where there are any."""
    short = labelled_requests(public, unsafe)
    return [row for row in short if row.source in ASKED] or short


def _body(texts: list[str], room: int, chooser: random.Random) -> list[str]:
    """Ordinary texts of together at most `room` characters, at least one."""
    body: list[str] = []
    while not body or sum(map(len, body)) < room * chooser.uniform(0.3, 0.9):
        body.append(chooser.choice(texts)[:room])
    return body


def long_posts(public: Examples, chooser: random.Random) -> Examples:
    """Long ordinary prompts are safe; with a harmful request somewhere between the sentences they are unsafe."""
    loaded = load("ordinary")
    slots = {name: loaded[name] for name in ("role", "tone", "code")}
    texts = [row.request for row in public if row.source in WRITTEN and row.response is None and row.unsafe is False]
    texts += loaded["stories"] * max(1, len(texts) // (STORIES_ONE_IN * len(loaded["stories"])))
    harmful = short_requests(public, True)
    made = []
    for number in range(LONG_SAFE + LONG_UNSAFE):
        unsafe, category = number >= LONG_SAFE, None
        head, joint = fill(chooser.choice(loaded["heads"]), slots, chooser), chooser.choice(loaded["joints"])
        body = _body(texts, BODY_CHARACTERS - len(head), chooser)
        if unsafe:
            hidden = chooser.choice(harmful)
            body.insert(chooser.randint(0, len(body)), hidden.request)
            category = hidden.category
        made.append(Example("generated-long", head.replace("{body}", joint.join(body)), None, unsafe, category))
    return made


def wrapped(public: Examples, chooser: random.Random) -> Examples:
    """A jailbreak around a request changes nothing about it, harmless ones included."""
    loaded = load("answers")
    slots = {"bot": loaded["bots"], "role": loaded["roles"]}
    made = []
    for unsafe in (False, True):
        for row in _sample(short_requests(public, unsafe), WRAPPED, chooser):
            text = fill(chooser.choice(loaded["wrappers"]), slots, chooser).replace("{row}", row.request)
            made.append(Example("generated-wrapped", text, None, unsafe, row.category))
    return made


def disguised(public: Examples, chooser: random.Random) -> Examples:
    """Requests with typos, other letters, spaces, emoji or casing keep their label."""
    made = []
    for unsafe in (False, True):
        for row in _sample(labelled_requests(public, unsafe), DISGUISED, chooser):
            text = disguise.disguised(row.request, chooser)
            made.append(Example("generated-disguised", text, None, unsafe, row.category))
    return made


def _sample(rows: Examples, number: int, chooser: random.Random) -> Examples:
    return chooser.sample(rows, min(number, len(rows)))


GENERATORS: dict[str, Generator] = {
    "acts": _from_file("acts", ACTS_EACH),
    "questions": _from_file("questions", QUESTIONS_EACH),
    "groups": _from_file("groups", GROUPS_EACH),
    "posts": _from_file("posts", POSTS_EACH),
    "long": long_posts,
    "wrapped": wrapped,
    "disguised": disguised,
    "answers": answers.answer_examples,
}
EVERYTHING = "all"


def generated_examples(public: Examples, seed: int, without: frozenset[str] = frozenset()) -> Examples:
    """What every generator makes that `without` does not name. Each has its own chooser: one more changes no other."""
    if EVERYTHING in without:
        return []
    unknown = without - GENERATORS.keys()
    if unknown:
        raise ValueError(f"no generator is called {', '.join(sorted(unknown))}; there are {', '.join(GENERATORS)}")
    made = []
    for name, generate in GENERATORS.items():
        if name not in without:
            made += generate(public, random.Random(f"{seed} {name}"))
    return made
