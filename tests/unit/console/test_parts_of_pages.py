"""Small parts of the console's pages: shares, limits, cells, roles."""

import pytest

from worker.console.web.exports import cell
from worker.console.web.limits import RateLimit
from worker.console.web.rates import share_with_interval
from worker.console.web.render import query, short
from worker.console.web.settings import WebSettings


def test_wilson_as_scipy_gives_it() -> None:
    # scipy.stats.binomtest(k, n).proportion_ci(method="wilson")
    for hits, of, low, high in ((0, 10, 0.0, 0.27753279), (3, 10, 0.10779127, 0.60322186), (10, 10, 0.72246721, 1.0)):
        found = share_with_interval(hits, of)
        assert (found.low, found.high) == pytest.approx((low, high), abs=1e-6)
    assert share_with_interval(0, 0).high == 1.0


def test_a_limit_forgets_after_a_minute() -> None:
    now = [0.0]
    limit = RateLimit(2, lambda: now[0])
    assert [limit.take("a"), limit.take("a"), limit.take("a"), limit.take("b")] == [True, True, False, True]
    now[0] = 61
    assert limit.take("a")


@pytest.mark.parametrize("text", ["=1", "+1", "-1", "@a", "\t=1", "\r=1", "  =1", "＝1", "|a", "%1"])
def test_a_cell_is_no_formula(text: str) -> None:
    assert cell(text) == f"'{text}"
    assert cell({"a": "=1"}) == '{"a": "=1"}'


def test_addresses_and_lines_are_short_and_quoted() -> None:
    assert query(q="a b&c", offset=0, x=None, y="") == "?q=a+b%26c"
    assert short("a\n b" * 100, 5) == "a ba…"


def test_a_name_does_not_turn_round_what_stands_beside_it() -> None:
    assert short("photo\u202egnp.exe\u2066") == "photo\ufffdgnp.exe\ufffd"
    assert short("שלום\u200f!") == "שלום\u200f!"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"host": "0.0.0.0"}, "needs user_header, or a token_secret"),
        ({"user_header": "X-User"}, "trusted_proxies"),
        ({"user_header": "X-User", "trusted_proxies": ["nowhere"]}, "trusted_proxies"),
        ({"public_url": "console.example"}, "must begin with http"),
        ({"token_secret": "short"}, "16 characters"),
        *(
            ({"webhook_url_secret": f"https://{host}/x"}, "no host that can be asked")
            for host in ("", ".", "hooks..example", "a" * 64 + ".example", "hooks.example:99999", "[bad")
        ),
    ],
)
def test_settings_that_would_let_everybody_in_or_reach_nobody_are_refused(given: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        WebSettings.model_validate(given)


@pytest.mark.parametrize("url", ["https://hooks.example.:8443/x", "http://[::1]:80/", "https://hooks.ärzte.example/x"])
def test_addresses_of_webhooks_that_are_usual_are_taken(url: str) -> None:
    assert WebSettings.model_validate({"webhook_url_secret": url}).webhook_url_secret == url
