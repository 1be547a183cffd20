"""The console in a real browser: by keyboard alone, without JavaScript, on a phone, and what axe finds.

Screenshots go to build/screenshots; those of docs/images are copies of them.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect
from sqlalchemy import select

from schemas.review import Decision, Review
from tests.support.browser import PATIENCE_MS
from tests.support.console_server import served
from worker.console.store import Store, outbox
from worker.console.store.models import QueueRow

SCREENSHOTS = Path(__file__).parents[3] / "build" / "screenshots"
PAGES = (
    *("/", "/clusters", "/clusters/R1", "/clusters/R5", "/search?q=parking", "/review", "/review/post", "/guards"),
    *("/policy", "/audit", "/risk?id=made-up-3", "/clusters/R999"),
)
WIDTHS = (390, 820, 1280)


@pytest.fixture(scope="module")
def console(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Store]]:
    with served(tmp_path_factory.mktemp("console")) as given:
        yield given


def logged_in(browser: Browser, address: str, width: int = 1280, **more: Any) -> tuple[Page, list[str]]:
    """A page of a new browser context, and what it complains of."""
    page = browser.new_context(viewport={"width": width, "height": 900}, **more).new_page()
    page.set_default_timeout(PATIENCE_MS)
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(address)
    return page, complaints


def base_of(address: str) -> str:
    return address.partition("/login")[0]


@pytest.mark.timeout(400)
def test_from_the_overview_to_a_confirmed_category_and_back_by_keyboard_alone(
    console: tuple[str, Store], browser: Browser
) -> None:
    address, store = console
    page, complaints = logged_in(browser, address)
    expect(page.get_by_role("heading", name="Emerging risks")).to_be_visible()
    press = page.keyboard.press
    press("j")
    with page.expect_navigation(wait_until="load"):  # keys count once the page's script has run
        press("Enter")
    expect(page.get_by_role("heading", name="Decide")).to_be_visible()
    press("c")
    page.keyboard.type("Fake payment stickers")
    with page.expect_navigation(wait_until="load"):
        press("Enter")
    expect(page.get_by_text("Your decision is recorded")).to_be_visible()
    expect(page.locator(".state.confirmed")).to_be_visible()
    (record,) = [each for each in _latest(store) if each.reviewer == "local"]
    assert (record.decision, record.name) == (Decision.CONFIRM, "Fake payment stickers")
    press("u")
    expect(page.get_by_text("(undone)")).to_be_visible()
    expect(page.locator(".state.confirmed")).to_have_count(0)
    assert sorted(row.undoes is None for row in _latest(store) if row.reviewer == "local") == [False, True]
    assert complaints == []
    page.context.close()


def _latest(store: Store) -> list[Review]:
    with store.reading() as session:
        return outbox.due(session)


@pytest.mark.timeout(400)
def test_axe_finds_nothing_serious(console: tuple[str, Store], browser: Browser) -> None:
    page, _ = logged_in(browser, console[0])
    found = {}
    for address in PAGES:
        page.goto(base_of(console[0]) + address)
        violations = Axe().run(page).response["violations"]
        serious = [
            (each["id"], each["nodes"][0]["html"][:200])
            for each in violations
            if each["impact"] in ("serious", "critical")
        ]
        if serious:
            found[address] = serious
    assert found == {}
    page.context.close()


@pytest.mark.timeout(400)
@pytest.mark.parametrize("width", WIDTHS)
def test_no_page_is_wider_than_the_screen(console: tuple[str, Store], browser: Browser, width: int) -> None:
    page, complaints = logged_in(browser, console[0], width)
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    for address in PAGES:
        page.goto(base_of(console[0]) + address)
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), address
        for wanted, name in (("/", "overview"), ("/clusters/R1", "cluster")):
            if address == wanted:
                page.screenshot(path=SCREENSHOTS / f"console-{name}-{width}.png")
    assert [each for each in complaints if "404" not in each] == []
    page.context.close()


@pytest.mark.timeout(400)
def test_reading_works_without_javascript(console: tuple[str, Store], browser: Browser) -> None:
    page, _ = logged_in(browser, console[0], java_script_enabled=False)
    page.get_by_role("link", name="Clusters", exact=True).click()
    page.get_by_label("Words").fill("parking")
    page.get_by_role("button", name="Show").click()
    page.get_by_role("link", name="Fake parking payment stickers").first.click()
    expect(page.get_by_role("heading", name="Exemplars")).to_be_visible()
    page.goto(base_of(console[0]) + "/clusters/R5")
    hidden = page.locator("details.warned .post").first
    expect(hidden).to_be_hidden()
    page.locator("details.warned summary").first.click()
    expect(hidden).to_be_visible()
    page.context.close()


@pytest.mark.timeout(400)
def test_a_filter_changes_the_address_so_that_it_can_be_shared(console: tuple[str, Store], browser: Browser) -> None:
    page, complaints = logged_in(browser, console[0])
    page.goto(base_of(console[0]) + "/clusters")
    page.get_by_label("Emerging only").check()
    page.wait_for_url("**/clusters?*emerging=true*")
    expect(page.get_by_role("link", name="Counterfeit charging cables")).to_have_count(0)
    page.goto(page.url)
    expect(page.get_by_label("Emerging only")).to_be_checked()
    assert complaints == []
    page.context.close()


def _labels(store: Store) -> list[tuple[str, str | None]]:
    """Our labels and codes, in the order in which they were given."""
    with store.reading() as session:
        asked = select(QueueRow).where(QueueRow.labelled_by == "local").order_by(QueueRow.labelled_at)
        return [(str(row.label), row.code) for row in session.scalars(asked)]


@pytest.mark.timeout(400)
def test_posts_are_labelled_by_keyboard_alone(console: tuple[str, Store], browser: Browser) -> None:
    address, store = console
    page, complaints = logged_in(browser, address)
    page.goto(base_of(address) + "/review/post", wait_until="load")
    press = page.keyboard.press

    def label(key: str) -> None:
        with page.expect_navigation(url="**/review/post?done=*", wait_until="load"):
            press(key)
        expect(page.get_by_text("Labelled.")).to_be_visible()

    press("j")
    press("Enter")  # the post stands behind a warning
    expect(page.locator("details.warned .post").first).to_be_visible()
    label("s")
    assert _labels(store) == [("safe", None)]
    page.get_by_label("Category, where it is unsafe").focus()
    page.keyboard.type("C3S1")
    assert len(_labels(store)) == 1  # letters choose from the list while one is in it
    press("Escape")
    label("f")
    label("d")
    assert _labels(store) == [("safe", None), ("unsafe", "C3S1"), ("unsure", None)]
    with page.expect_navigation(url="**/review/post", wait_until="load"):
        press("u")
    assert _labels(store) == [("safe", None), ("unsafe", "C3S1")]
    assert complaints == []
    page.context.close()


_RENEW = """() => {
  const overview = document.getElementById("overview");
  const detail = { elt: overview };
  return overview.dispatchEvent(new CustomEvent("htmx:beforeRequest", { bubbles: true, cancelable: true, detail }));
}"""


@pytest.mark.timeout(400)
def test_the_overview_is_not_renewed_under_the_hands_of_who_reads_in_it(
    console: tuple[str, Store], browser: Browser
) -> None:
    page, _ = logged_in(browser, console[0])
    page.goto(base_of(console[0]) + "/", wait_until="load")
    assert page.evaluate(_RENEW)
    page.keyboard.press("j")
    expect(page.locator("#overview [data-item]").first).to_be_focused()
    assert not page.evaluate(_RENEW)
    page.keyboard.press("Escape")
    assert page.evaluate(_RENEW)
    page.context.close()
