"""Every metric of `proguard retrain --schedule`, once: its instruments and a part of docs/metrics.md."""

from worker.telemetry.table import RESULT, Kind, Metric

ROUNDS = Metric(
    "proguard.retraining.rounds", Kind.COUNTER, "{round}", (RESULT,),
    "Rounds that have ended: `promoted`, `nothing to learn`, `unfit`, `refused by the gate`, `waits for a signature`, "
    "`busy` (another round elsewhere is under way), `failed` or `interrupted`.",
)  # fmt: skip
SKIPPED = Metric(
    "proguard.retraining.skipped", Kind.COUNTER, "{round}", (RESULT,),
    "Times that passed without a round: `under way` (the one before was not done) or `missed` (the machine slept).",
)  # fmt: skip
RUNNING = Metric("proguard.retraining.running", Kind.GAUGE, "1", (), "1 while a round is under way, else 0.")
NEXT = Metric("proguard.retraining.next.time", Kind.GAUGE, "s", (), "When the next round is due, as Unix time.")
LAST = Metric(
    "proguard.retraining.last.time", Kind.GAUGE, "s", (), "When the last round ended, as Unix time; 0 before."
)
LAST_DURATION = Metric("proguard.retraining.last.duration", Kind.GAUGE, "s", (), "How long that one took.")

SCHEDULE_METRICS: tuple[Metric, ...] = (ROUNDS, SKIPPED, RUNNING, NEXT, LAST, LAST_DURATION)
"""All of them, in the order of the document."""
