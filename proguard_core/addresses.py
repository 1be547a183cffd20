"""Addresses of servers, as settings name them."""

import re
from urllib.parse import urlsplit


def can_be_asked(url: str) -> bool:
    """Whether it is of http or https, with a host that can be looked up and a port that there is."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        # idna refuses an empty part of a name and one of more than 63 characters, but no blanks.
        return (
            parts.scheme in ("http", "https")
            and bool(host.encode("idna"))
            and not re.search(r"\s", host)
            and parts.port != 0
        )
    except ValueError:
        return False
