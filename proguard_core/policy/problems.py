"""What is wrong with a policy file: every problem of the file at once, each with its line."""

import difflib
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake. line counts from 1; None where the file as a whole is meant."""

    line: int | None
    message: str


class PolicyError(ValueError):
    """A policy file that cannot be used. str() has one line a problem: `file:line: message`."""

    def __init__(self, problems: list[Problem], source: str) -> None:
        self.problems = sorted(problems, key=lambda problem: problem.line or 0)
        self.source = source
        super().__init__(str(self))

    def __str__(self) -> str:
        return "\n".join(
            f"{self.source}: {problem.message}"
            if problem.line is None
            else f"{self.source}:{problem.line}: {problem.message}"
            for problem in self.problems
        )


class Problems:
    """Collects problems while a file is read."""

    def __init__(self) -> None:
        self.found: list[Problem] = []

    def add(self, line: int | None, message: str) -> None:
        """Note one problem; the same problem of the same line counts once."""
        problem = Problem(line, message)
        if problem not in self.found:
            self.found.append(problem)

    def raise_if_any(self, source: str) -> None:
        """Raise PolicyError with everything that was found."""
        if self.found:
            raise PolicyError(self.found, source)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`; did you mean 'x'?` for the closest known word, empty where none is close."""
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.55)
    return f"; did you mean '{close[0]}'?" if close else ""
