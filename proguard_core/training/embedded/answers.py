"""Conversations for the response head: what the answer does counts, not what was asked."""

import random
from typing import Any

from proguard_core.training.embedded.parts import fill, load
from proguard_core.training.embedded.rows import CODES, Example

Examples = list[Example]
SHORT_CHARACTERS = 240
EACH = 450
REAL_ANSWERS = ("arena-hard-answers", "open-assistant")
SOURCE = "generated-answers"


class Conversations:
    """Draws requests and answers of each sort from parts/ and from public examples."""

    def __init__(self, public: Examples, chooser: random.Random) -> None:
        self.chooser = chooser
        self.words: dict[str, Any] = load("answers")
        self._acts, self._groups, self._posts = load("acts"), load("groups"), load("posts")
        short = [row for row in public if row.response is None and len(row.request) <= SHORT_CHARACTERS]
        self.harmful = [row for row in short if row.unsafe]
        self.harmless = [row for row in short if row.unsafe is False]
        self.done = [
            row for row in public if row.response is not None and row.unsafe and row.source == "jailbreakbench"
        ]
        self.real = [row for row in public if row.response is not None and row.source in REAL_ANSWERS]

    def act(self, unsafe: bool) -> tuple[str, int | None]:
        """An act of parts/acts.yaml with its category."""
        code = self.chooser.choice(list(self._acts["unsafe"])) if unsafe else None
        templates = self._acts["unsafe"][code] if code else self._acts["safe"]
        return self._filled(templates, self._acts), CODES.index(code) if code else None

    def asked(self, act: str) -> str:
        """A question for an act."""
        return str(self.chooser.choice(self._acts["frames"])).replace("{}", act)

    def said_of_groups(self, unsafe: bool) -> str:
        """A statement of parts/groups.yaml."""
        return self._filled(self._groups["unsafe"]["C7S1"] if unsafe else self._groups["safe"], self._groups)

    def posted(self, unsafe: bool) -> tuple[str, int | None]:
        """A statement of parts/posts.yaml with its category."""
        code = self.chooser.choice(list(self._posts["unsafe"])) if unsafe else None
        templates = self._posts["unsafe"][code] if code else self._posts["safe"]
        return self._filled(templates, self._posts), CODES.index(code) if code else None

    def group_question(self) -> str:
        """A harmless question about a group."""
        asked = ["What do you think of {group}?", "Tell me about {group}.", "Do you know any {group}?", "{group}?"]
        return self._filled([*asked, "What are {group} like?", "Say something about {group}."], self._groups)

    def refusal(self, act: str | None) -> str:
        """Opening, reason and offer."""
        return self._joined(self.words["refusals"], ("opening", "reason", "offer"), act)

    def compliance(self, act: str | None) -> str:
        """Opening, one to three steps and an end."""
        steps = ("steps",) * self.chooser.randint(1, 3)
        return self._joined(self.words["compliances"], ("opening", *steps, "end"), act)

    def harmless_compliance(self, act: str) -> str:
        """The same opening before harmless steps."""
        parts = {
            **self.words["compliances"],
            "steps": self.words["harmless_steps"],
            "end": ["", "Good luck!", "Have fun."],
        }
        return self._joined(parts, ("opening", "steps", "steps", "end"), act)

    def _joined(self, parts: dict[str, list[str]], names: tuple[str, ...], act: str | None) -> str:
        chosen = [
            self.chooser.choice([part for part in parts[name] if act is not None or "{act}" not in part])
            for name in names
        ]
        return " ".join(part.replace("{act}", act or "") for part in dict.fromkeys(chosen) if part)

    def _filled(self, templates: list[str], loaded: dict[str, Any]) -> str:
        return fill(self.chooser.choice(templates), loaded["slots"], self.chooser)


def _about_harmful_requests(with_: Conversations) -> Examples:
    """Refusals, redirects and evasions are safe, compliances are unsafe, to acts of ours and to public requests."""
    made, choose = [], with_.chooser.choice
    for _ in range(EACH):
        act, category = with_.act(unsafe=True)
        asked = with_.asked(act)
        made.append(Example(SOURCE, asked, with_.refusal(act), False, None))
        made.append(Example(SOURCE, with_.asked(act), with_.compliance(act), True, category))
        made.append(Example(SOURCE, asked, choose(with_.words["redirects"]), False, None))
        if with_.harmful:
            row, other = choose(with_.harmful), choose(with_.harmful)
            made.append(Example(SOURCE, row.request, with_.refusal(None), False, None))
            made.append(Example(SOURCE, other.request, with_.compliance(None), True, other.category))
            made.append(Example(SOURCE, row.request, choose(with_.words["harmless_answers"]), False, None))
    return made


def _about_harmless_requests(with_: Conversations) -> Examples:
    """A harmful answer is unsafe whatever was asked; look-alikes may be answered."""
    made, choose = [], with_.chooser.choice
    for _ in range(EACH):
        harmless = choose(with_.words["harmless_questions"])
        asked = choose(with_.harmless).request if with_.harmless and with_.chooser.random() < 0.5 else harmless
        act, category = with_.act(unsafe=True)
        made.append(Example(SOURCE, asked, choose(with_.words["harmful_answers"]).replace("{act}", act), True, None))
        made.append(Example(SOURCE, harmless, with_.compliance(act), True, category))
        made.append(Example(SOURCE, asked, choose(with_.words["harmless_answers"]), False, None))
        act, _ = with_.act(unsafe=False)
        made.append(Example(SOURCE, with_.asked(act), with_.harmless_compliance(act), False, None))
        made.append(Example(SOURCE, with_.group_question(), with_.said_of_groups(True), True, CODES.index("C7S1")))
        made.append(Example(SOURCE, with_.group_question(), with_.said_of_groups(False), False, None))
        post, category = with_.posted(unsafe=True)
        made.append(Example(SOURCE, asked, post, True, category))
        made.append(Example(SOURCE, with_.posted(unsafe=False)[0], with_.posted(unsafe=False)[0], False, None))
    return made


def _with_real_answers(with_: Conversations) -> Examples:
    """Real answers under other requests: the harm stays with the answer."""
    made, choose = [], with_.chooser.choice
    for _ in range(EACH // 2):
        if with_.done and with_.harmless:
            done = choose(with_.done)
            made.append(Example(SOURCE, choose(with_.harmless).request, done.response, True, done.category))
        if with_.real and with_.harmful:
            made.append(Example(SOURCE, choose(with_.harmful).request, choose(with_.real).response, False, None))
    return made


def answer_examples(public: Examples, chooser: random.Random) -> Examples:
    """All of them."""
    with_ = Conversations(public, chooser)
    return _about_harmful_requests(with_) + _about_harmless_requests(with_) + _with_real_answers(with_)
