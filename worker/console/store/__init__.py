"""The risk store: what the mining process writes and the pages read. SQLite by default, PostgreSQL in production.

How it is used (docs/risks.md says what the figures mean):

    store = Store(settings.console.url)               # engine.py; StoreVersionError: `proguard console migrate`
    with store.reading() as session:                  # one state, nothing is written
        shown = reading.overview(session, now)
    with store.writing() as session:                  # one transaction: all, or, where anything is raised, nothing
        reviewing.decide(session, "R12", Decided(Decision.CONFIRM, "ada", name="...", version=3), now)

- `reading`: overview, clusters (ClusterFilter, Page), cluster, exemplars, members, timeline, trends, spread, history,
  risk, risk_of_post, revisions, rates (RateFilter: verdict counts by day, hour, revision, modality, outcome, category,
  stratum), every_member and every_cluster (for exports, streamed).
- `search.search`: names and rationales, with a RiskFilter; the same for both databases.
- `reviewing`: decide, decide_post, undo, snooze, plan, reviews_of; ConflictError.now is the cluster as it is. Every
  decision takes the `version` that the reviewer saw.
- `outbox`: due, published. The mining process carries records to the topic; a page has nothing to do for it.
- `audit`: next_post (claims), label, relabel, waiting, prevalence. Pages never show
  `stratum`, or that a post is sampled.
- `erasing`: erase_author, was_erased (for links to what is gone), sweep, withhold.
- `notices`: clusters that began to emerge, for the webhook: due, sent, failed.
- `log.note`, `log.entries`: who did what in the console.
- `arrivals`: what mining takes in, offsets in the same transaction; `models`: tables, and what their columns mean.

Every time is an aware UTC datetime, `now` comes from the caller. Errors: StoreError and its kinds (engine.py) are said
to people as they are; ReviewError is for the person who decided.
"""

from worker.console.store.engine import (
    Store,
    StoreAwayError,
    StoreError,
    StoreFullError,
    StoreReadOnlyError,
    StoreVersionError,
)

__all__ = ["Store", "StoreAwayError", "StoreError", "StoreFullError", "StoreReadOnlyError", "StoreVersionError"]
