"""The reward of 512 answers against one HTTP call a pair of texts: `python -m benchmarks.reward [--pairs N]`.

The paper's reward asks a service for the similarity of the guessed name and one phrase, pair after pair. Here such a
service runs the same encoder on the same threads, and the calls are measured over --pairs pairs on one connection.
"""

import argparse
import json
import statistics
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

import httpx2

from proguard_core.novelty.encoder import SentenceEncoder
from proguard_core.policy.loader import load_policy
from proguard_core.policy.prompts.contract import PromptKind
from proguard_core.training.descriptions import shipped
from proguard_core.training.reward import rewards
from proguard_core.training.truth import Truth
from schemas.common import Outcome

ANSWERS, PHRASES = 512, 11
AT_LEAST = 100
_KINDS = ("cannon", "lottery", "ballot", "diet", "stunt", "organ", "exam", "casino", "cult", "drone", "ticket")
_DEEDS = ("smuggling", "forging", "hoarding", "rigging", "hijacking", "peddling", "brewing", "poaching", "touting")
_PLACES = ("backyard", "seaside", "midnight", "suburban", "wholesale", "roadside", "offshore")


class _Similarity(BaseHTTPRequestHandler):
    """One pair a request, as a small embedding service does it."""

    protocol_version = "HTTP/1.1"
    encoder: ClassVar[SentenceEncoder]

    def do_POST(self) -> None:
        pair = json.loads(self.rfile.read(int(self.headers["content-length"])))
        first, second = self.encoder.encode([pair["first"], pair["second"]])
        body = json.dumps({"similarity": float(first @ second)}).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing."""


def _names() -> list[str]:
    """512 different names of three words."""
    names = [f"{place.title()} {kind} {deed}" for place in _PLACES for kind in _KINDS for deed in _DEEDS]
    return names[:ANSWERS]


def _a_pair_ms(encoder: SentenceEncoder, names: list[str], phrases: tuple[str, ...], pairs: int) -> float:
    """Median of single calls."""
    _Similarity.encoder = encoder
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Similarity)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    took = []
    with httpx2.Client(base_url=f"http://127.0.0.1:{server.server_port}", trust_env=False) as client:
        for at in range(pairs + 5):
            pair = {"first": names[at % len(names)], "second": phrases[at % len(phrases)]}
            began = time.perf_counter()
            client.post("/similarity", json=pair).raise_for_status()
            took.append(time.perf_counter() - began)
    server.shutdown()
    server.server_close()
    return statistics.median(took[5:]) * 1000


def main() -> None:
    """Print both times and the ratio; exit code 1 where it is less than AT_LEAST."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.reward", description=__doc__)
    parser.add_argument("--pairs", type=int, default=300, help="HTTP calls that are measured")
    parser.add_argument("--threads", type=int, default=1, help="of the encoder, on both sides")
    asked = parser.parse_args()
    policy, names = load_policy(), _names()
    phrases = tuple(
        phrase for item in list(policy.subcategories.values())[:2] for phrase in (item.name, *item.synonyms)
    )
    truth = Truth(PromptKind.IMAGE, Outcome.UNSAFE, phrases=phrases[:PHRASES])
    answers = [
        f"<think>It is new.</think>\n<answer>\nRequest:unsafe\nCategory:{name}\n</answer>" for name in names
    ]  # fmt: skip
    descriptions = shipped(policy, threads=asked.threads)
    took = []
    for _ in range(5):
        began = time.perf_counter()
        scores = rewards(answers, [truth] * ANSWERS, policy, descriptions)
        took.append(time.perf_counter() - began)
    assert scores.form.all()
    assert not scores.faults
    ours = statistics.median(took)
    a_pair = _a_pair_ms(SentenceEncoder(threads=asked.threads), names, truth.phrases, asked.pairs)
    theirs = a_pair * ANSWERS * PHRASES / 1000
    print(f"{ANSWERS} answers x {PHRASES} phrases: {ours * 1000:.0f} ms (median of {len(took)})")
    print(f"one HTTP call a pair: {a_pair:.1f} ms, {theirs:.0f} s for all; ratio {theirs / ours:.0f}")
    raise SystemExit(0 if theirs >= AT_LEAST * ours else 1)


if __name__ == "__main__":
    main()
