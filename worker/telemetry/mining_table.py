"""Every metric of `proguard console mine`, once: its instruments and a part of docs/metrics.md."""

from worker.telemetry.table import DESTINATION, ERROR, RESULT, Kind, Metric

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_LONG_SECONDS = (0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 900.0)

RECORDS = Metric(
    "proguard.mining.records", Kind.COUNTER, "{record}", (DESTINATION,),
    "Records read whose transaction is in the store: null values, and those that were left out, too.",
)  # fmt: skip
LEFT_OUT = Metric(
    "proguard.mining.left_out", Kind.COUNTER, "{record}", (RESULT,),
    "Of these, left out: `unreadable` (none of our records) or `minors` (law 11).",
)  # fmt: skip
RISKS = Metric(
    "proguard.mining.risks", Kind.COUNTER, "{risk}", (),
    "Risks put into the store; one counts again where its hit comes in a later batch, or its post was edited.",
)  # fmt: skip
BATCH_DURATION = Metric(
    "proguard.mining.batch.duration", Kind.HISTOGRAM, "s", (),
    "One batch from the last record read to the end of its transaction, encoding included.", _SECONDS,
)  # fmt: skip
ENCODE_DURATION = Metric(
    "proguard.mining.encode.duration", Kind.HISTOGRAM, "s", (),
    "Encoding of the texts, or of the names, of one batch; what was encoded lately is remembered.", _SECONDS,
)  # fmt: skip
CLUSTERING_DURATION = Metric(
    "proguard.mining.clustering.duration", Kind.HISTOGRAM, "s", (),
    "One clustering of all risks, from reading them to the end of its transaction.", _LONG_SECONDS,
)  # fmt: skip
CLUSTERED = Metric(
    "proguard.mining.clustering.risks", Kind.GAUGE, "{risk}", (), "Risks that took part in the last one; 0 before."
)
CLUSTERED_TIME = Metric(
    "proguard.mining.clustering.time", Kind.GAUGE, "s", (), "When the last one ended, as Unix time; 0 before."
)
MOVED = Metric(
    "proguard.mining.clustering.moved", Kind.COUNTER, "{risk}", (RESULT,),
    "Risks that were in a cluster, by where a clustering left them: `kept` or `moved`.",
)  # fmt: skip
CHANGES = Metric(
    "proguard.mining.clustering.changes", Kind.COUNTER, "{cluster}", (RESULT,),
    "Clusters that clusterings have `created`, `split` or `merged` into another one.",
)  # fmt: skip
OPEN = Metric(
    "proguard.mining.clusters.open", Kind.GAUGE, "{cluster}", (), "Clusters with members that nobody has decided on."
)
EMERGING = Metric("proguard.mining.clusters.emerging", Kind.GAUGE, "{cluster}", (), "Clusters that are emerging.")
HELD = Metric(
    "proguard.mining.clusters.held", Kind.GAUGE, "{cluster}", (),
    "Clusters whose burst is held, because a new guard revision may simply see more.",
)  # fmt: skip
LAG = Metric(
    "proguard.mining.lag", Kind.GAUGE, "{record}", (DESTINATION,),
    "Records not read yet, up to the end that the last fetches heard of. It stands still while the broker is away.",
)  # fmt: skip
EXPIRED = Metric(
    "proguard.mining.expired", Kind.COUNTER, "{record}", (DESTINATION,), "Records that expired before they were mined."
)
STORE_FAILURES = Metric(
    "proguard.mining.store.failures", Kind.COUNTER, "{attempt}", (ERROR,),
    "Attempts at the store that failed, by the kind of error; each is made again, and nothing is lost.",
)  # fmt: skip
REVIEWS_PUBLISHED = Metric(
    "proguard.mining.reviews.published", Kind.COUNTER, "{review}", (), "Reviews that the broker has confirmed."
)
REVIEWS_WAITING = Metric(
    "proguard.mining.reviews.waiting",
    Kind.GAUGE,
    "{review}",
    (),
    "Decisions that are not on the topic yet.",
)

MINING_METRICS: tuple[Metric, ...] = (
    *(RECORDS, LEFT_OUT, RISKS, LAG, EXPIRED, BATCH_DURATION, ENCODE_DURATION, STORE_FAILURES),
    *(CLUSTERING_DURATION, CLUSTERED, CLUSTERED_TIME, MOVED, CHANGES, OPEN, EMERGING, HELD),
    *(REVIEWS_PUBLISHED, REVIEWS_WAITING),
)
"""All of them, in the order of the document."""
