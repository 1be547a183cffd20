"""Pages and exports on both databases: what strangers write stays text, what must not be shown is not shown."""

import csv
import io
import json

import pytest

from tests.support.console_pages import FORMULAS, NASTY, SCRIPT, Visitor, seed, visiting
from tests.support.risks import NOW
from worker.console.store import Store, erasing
from worker.console.web.protection import POLICY

PAGES = (
    *("/", "/clusters", "/clusters?q=ticket", "/clusters?emerging=true&modality=text&language=en&sort=growth"),
    *("/clusters/R1", "/clusters/R2", "/clusters/R4", "/clusters/R5", "/clusters/R6", "/search?q=price", "/search"),
    *("/review", "/guards", "/policy", "/risk?post=post-20"),
)


@pytest.fixture
def filled(store: Store) -> Store:
    seed(store)
    return store


def texts(visitor: Visitor, *addresses: str) -> str:
    answers = [visitor.get(each) for each in addresses]
    assert [each.status_code for each in answers] == [200] * len(answers), addresses
    return "\n".join(each.text for each in answers)


def test_every_page_answers_under_a_strict_policy_and_nothing_of_strangers_is_html(filled: Store) -> None:
    with visiting(filled, "rita") as visitor:
        for address in PAGES:
            answer = visitor.get(address)
            assert answer.status_code == 200, address
            assert answer.headers["content-security-policy"] == POLICY
            assert "unsafe-inline" not in POLICY
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert answer.headers["cache-control"] == "no-store"
            assert "<script>" not in answer.text
            assert "onerror=alert(1)>" not in answer.text.replace("&gt;", "")
            assert " style=" not in answer.text
            assert " onclick=" not in answer.text
        page = visitor.get("/clusters/R1").text
        assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
        assert "49" not in page.replace("%49", "") or "{{ 7 * 7 }}" in page
        assert 'href="javascript:' not in page


def test_what_is_near_to_minors_is_on_no_page_export_or_answer(filled: Store) -> None:
    with visiting(filled, "rita") as visitor:
        everything = texts(
            visitor,
            *PAGES,
            *("/export/clusters.csv", "/export/clusters.json", "/export/clusters/R4.csv", "/export/clusters/R4.json"),
            *("/api/overview", "/api/clusters", "/api/clusters/R4", "/api/clusters/R4/members", "/api/search?q=price"),
            "/api/clusters/R4/history",
        )
        assert "not to be read" not in everything
        assert "(withheld)" in everything
        assert visitor.get("/risk?post=post-40").status_code == 404
        assert visitor.get("/api/risks?post_id=post-40").status_code == 404
        assert visitor.get("/picture?risk=moderation.posts-0-40").status_code == 404


def test_severe_text_is_behind_a_warning_and_pictures_are_blurred_and_ours(filled: Store) -> None:
    with visiting(filled) as visitor:
        page = visitor.get("/clusters/R5").text
        assert page.index("May be hard to read") < page.index("a hard text")
        assert "<details" in page[: page.index("a hard text")].rpartition("<article")[2]
        usual = visitor.get("/clusters/R2").text
        assert "May be hard to read" not in usual
        assert 'src="/picture?risk=moderation.posts-0-20"' in usual
        assert "s3://" not in usual


@pytest.mark.parametrize("address", ["/export/clusters.csv", *(f"/export/clusters/R{70 + at}.csv" for at in range(7))])
def test_no_cell_of_an_export_is_a_formula(filled: Store, address: str) -> None:
    with visiting(filled) as visitor:
        rows = list(csv.reader(io.StringIO(visitor.get(address).text, newline="")))
    assert len(rows) > 1
    strange = [cell for row in rows for cell in row if cell.lstrip().startswith(("=", "+", "-", "@", "＝"))]
    assert strange == []
    assert any(cell.removeprefix("'") in FORMULAS for row in rows for cell in row)


def test_json_exports_give_back_what_was_written(filled: Store) -> None:
    with visiting(filled) as visitor:
        lines = [json.loads(line) for line in visitor.get("/export/clusters/R1.json").text.splitlines()]
    assert {line["text"] for line in lines} == set(NASTY)
    assert all("images" not in line for line in lines)


def test_links_to_what_is_gone_say_so(filled: Store) -> None:
    with visiting(filled) as visitor:
        moved = visitor.get("/clusters/R3")
        assert (moved.status_code, moved.headers["location"]) == (303, "/clusters/R2?from=R3")
        assert "R3 has become part" in visitor.get(moved.headers["location"]).text
        assert visitor.get("/clusters/R999").status_code == 404
        assert visitor.get("/risk?post=post-20").status_code == 200
        with filled.writing() as session:
            erasing.erase_posts(session, [erasing.Tombstone("post-20", NOW)])
        assert visitor.get("/risk?post=post-20").status_code == 410
        assert visitor.get("/api/risks?post_id=post-20").status_code == 410
        assert visitor.get("/risk?post=never").status_code == 404
        by_risk = visitor.get("/risk?id=moderation.posts-0-20")
        assert (by_risk.status_code, "may have been erased" in by_risk.text) == (404, True)


@pytest.mark.parametrize(
    "address",
    [
        *("/clusters/R0x", "/clusters/%00", "/clusters?since=yesterday", "/clusters?since=0001-01-01"),
        *(
            "/clusters?offset=-1",
            "/clusters?offset=99999999999999999999",
            "/clusters?owner=%00",
            "/search?revision=%00",
        ),
        *("/api/clusters?min_size=9999999999999999999999", "/risk?id=%00", "/picture?post=99999999999999999999"),
        *("/search?until=9999-12-31", "/guards/runs/..%2f..%2fetc", "/policy?old=%00&new=x", "/api/clusters/R%FF"),
    ],
)
def test_wrong_addresses_are_told_so(filled: Store, address: str) -> None:
    with visiting(filled) as visitor:
        assert visitor.get(address).status_code in (404, 422), address


def test_anything_may_be_searched_for(filled: Store) -> None:
    with visiting(filled) as visitor:
        for words in (*NASTY, "\x00", "a" * 500, "%", "_", "\\", '"', "ß ﬁ İ"):
            assert visitor.client.get("/search", params={"q": words}, headers=visitor.headers).status_code == 200, words
            assert visitor.client.get("/clusters", params={"q": words}, headers=visitor.headers).status_code == 200


def test_kafka_and_registry_away_are_said_and_all_else_reads(filled: Store) -> None:
    with visiting(filled) as visitor:
        page = visitor.get("/dead-letters")
        assert page.status_code == 200
        assert "There is nothing to show from Kafka now" in page.text
        assert "retraining.registry" in visitor.get("/guards").text
        assert visitor.get("/").status_code == 200


def test_where_a_picture_cannot_be_had_the_page_says_so(filled: Store) -> None:
    with visiting(filled) as visitor:
        answer = visitor.get("/picture?risk=moderation.posts-0-20")  # no bucket is allowed
        assert answer.status_code == 404
        assert "image_bucket_not_allowed" in answer.text
        assert visitor.get("/picture?risk=moderation.posts-0-20&n=5").status_code == 404
        assert SCRIPT not in answer.text
