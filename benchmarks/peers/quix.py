"""quix-streams, exactly-once."""

import sys

from quixstreams import Application
from quixstreams.context import message_context

sys.path.insert(0, __file__.rpartition("/")[0])
from stage import SETTINGS, Headers, answer

app = Application(
    SETTINGS["bootstrap_servers"],
    consumer_group=SETTINGS["group"],
    auto_offset_reset="earliest",
    processing_guarantee="exactly-once",
    commit_interval=SETTINGS["commit_interval_s"],
    producer_extra_config={"linger.ms": 50, "compression.type": SETTINGS["compression"]},
    auto_create_topics=False,
    use_changelog_topics=False,
)
posts = app.topic(SETTINGS["posts"], value_deserializer="bytes", key_deserializer="bytes")
verdicts = app.topic(SETTINGS["verdicts"], value_serializer="bytes", key_serializer="bytes")


def judge(value: bytes) -> bytes:
    """The verdict of the current message; its key stays the post's, which is the post_id already."""
    global headers
    at = message_context()
    _key, verdict, headers = answer(value, at.topic, at.partition, at.offset)
    return verdict


headers: Headers = []
frame = app.dataframe(posts).apply(judge)
frame = frame.set_headers(lambda _value, _key, _timestamp, _headers: headers)
frame.to_topic(verdicts)
app.run()
