"""The page in headless Chromium, from a file: filter, open, compare, follow a link, with keys, at two widths."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from lrat_hub.obfuscation import OBFUSCATED_WITH
from lrat_hub.viewer import Notes, build_bundle
from lrat_hub.viewer.bundle import INDEX_RUNS
from tests.viewer.pages import CANARY, HOSTILE, hostile_run, run
from tests.viewer.test_bundle import pairs_of
from tests.waiting import wait_until

PHONE, DESKTOP = (390, 844), (1280, 900)

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def bundle(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("viewer") / "page"
    secret = run(9_000, question="Which secret is it?", metadata=json.dumps({OBFUSCATED_WITH: CANARY}))
    runs = [*(run(number) for number in range(INDEX_RUNS + 40)), hostile_run(), secret]
    _, pairs = pairs_of(runs[:3])
    notes = Notes(qrels={"q0": {"c": 1, "never": 1}}, pairs=pairs)
    build_bundle(runs, folder, title="some runs", inputs={"trajectories": "pin"}, notes=notes)
    return folder


class Visit:
    """A tab that fails its test for whatever is written to the console, and for any request that leaves the folder."""

    def __init__(self, browser: Any, folder: Path, size: tuple[int, int], **options: Any) -> None:
        self.page = browser.new_page(viewport={"width": size[0], "height": size[1]}, **options)
        self.address = (folder / "index.html").as_uri()
        self.problems: list[str] = []
        self.page.on("console", lambda message: self.problems.append(message.text))
        self.page.on("pageerror", lambda error: self.problems.append(str(error)))
        self.page.on("request", self._note)

    def _note(self, request: Any) -> None:
        if not request.url.startswith((self.address.removesuffix("index.html"), "data:")):
            self.problems.append(request.url)

    def go(self, link: str = "") -> Any:
        self.page.goto("about:blank")
        self.page.goto(self.address + link)
        self.page.wait_for_selector("article.step:visible" if "run=" in link else "#rows a")
        return self.page

    def until(self, expression: str) -> None:
        # Playwright's own waiting evaluates texts in the page, which the page forbids.
        wait_until(lambda: self.page.evaluate(expression))

    def unfold(self) -> None:
        """Shows every text: also of steps that are off the screen, which the browser doesn't lay out before."""
        self.page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
        self.page.evaluate(
            "document.querySelectorAll('.step').forEach(one => one.style.contentVisibility = 'visible')"
        )

    def texts(self, selector: str) -> list[str]:
        return [text.strip() for text in self.page.locator(selector).all_inner_texts()]


@pytest.fixture(params=[PHONE, DESKTOP], ids=["phone", "desktop"])
def visit(request, browser, bundle) -> Iterator[Visit]:
    visit = Visit(browser, bundle, request.param)
    yield visit
    visit.page.close()
    assert visit.problems == []


def whole(visit: Visit) -> Any:
    """The list with the whole index."""
    page = visit.go()
    visit.until("lrat.runs.length === lrat.meta.runs")
    return page


def test_runs_are_filtered_by_text_outcome_steps_and_retriever(visit):
    page = whole(visit)
    count = INDEX_RUNS + 42
    assert visit.texts("#count") == [f"{count} runs."]
    assert page.locator("#rows li").count() == 100
    page.click("#more")
    assert page.locator("#rows li").count() == 200
    page.fill("[name=text]", "QUESTION run-53")
    named = [number for number in range(INDEX_RUNS + 40) if "run-53" in f"run-{number}"]
    assert visit.texts("#rows .question") == [f"What is question {number // 3}?" for number in named]
    assert visit.texts("#count") == [f"{len(named)} of {count} runs."]
    page.select_option("[name=outcome]", label=f"wrong ({sum(number % 3 == 1 for number in range(INDEX_RUNS + 40))})")
    assert visit.texts("#rows .mark") == ["wrong"] * sum(number % 3 == 1 for number in named)
    page.fill("[name=least]", "5")
    assert visit.texts("#count") == [f"0 of {count} runs. No run matches: change the filter, or clear it."]
    page.click("[type=reset]")
    visit.until("lrat.list.shown === 100")
    page.select_option("[name=order]", "-words")
    assert "Why?" in visit.texts("#rows .question")[0]
    page.select_option("[name=retriever]", index=1)
    assert {text.split(" of ")[0] for text in visit.texts("#count")} == {str((INDEX_RUNS + 40) // 2 + 1)}


def test_a_run_is_read_step_by_step(visit):
    page = visit.go("#run=run-0")
    assert visit.texts("h1") == ["What is question 0?"]
    assert visit.texts("article.step h3 a") == [f"Turn {turn}" for turn in range(5)]
    first = page.locator("#a-turn-0")
    assert first.locator("h3 .soft").inner_text() == "4 words of reasoning"
    assert first.locator(".query").all_inner_texts() == ["“first” 3 results", "“second” 2 results"]
    evidence = first.locator("li.evidence .title").all_inner_texts()
    assert evidence == ["Title of c", "Title of c"]
    assert first.locator("li.opened .mark.opened").all_inner_texts() == ["opened at turn 1"]
    pair = page.locator("#a-turn-1 .pair").inner_text()
    assert "weight" in pair
    assert "tokens" in pair
    assert not first.locator(".snippet").first.is_visible()
    first.locator("summary").first.click()
    assert first.locator(".snippet").first.inner_text() == "Snippet of a."
    page.click(".evidences summary")
    assert visit.texts(".evidences li") == ["c listed at turn 0 opened at turn 1", "never never listed never opened"]


def test_links_lead_to_a_turn(visit):
    page = visit.go("#run=run-0&turn=3")
    assert page.evaluate("document.activeElement.id") == "a-turn-3"
    page.click("#a-turn-3 a.mark")
    visit.until("document.activeElement.id === 'a-turn-2'")
    assert page.url.endswith("#run=run-0&turn=2")
    # A run of the last part of the index is found as soon as that is there, and so are the others of its question.
    last = INDEX_RUNS + 39
    page = visit.go(f"#run=run-{last}")
    assert visit.texts("h1") == [f"What is question {last // 3}?"]
    page.wait_for_selector(".compare a")
    assert page.locator(".compare a").count() == sum(n // 3 == last // 3 for n in range(last))
    page.goto(visit.address + "#run=nobody")
    page.wait_for_selector("#problem:visible")
    assert visit.texts("#problem [role=alert]") == ["There is no run nobody in this page."]
    page.go_back()
    page.wait_for_selector("article.step:visible")
    page.go_forward()
    page.click("#problem a")
    page.wait_for_selector("#rows a:visible")


def test_two_runs_of_a_question_stand_side_by_side(visit):
    page = visit.go("#run=run-0")
    page.wait_for_selector(".compare a")
    assert visit.texts(".compare a") == ["wrong, 4 steps, dense", "undecided, 4 steps"]
    page.click(".compare a >> nth=0")
    page.wait_for_selector("main.two")
    sides = [page.locator(f"section[data-side={side}]") for side in "ab"]
    assert [side.locator(".marks .mark").first.text_content() for side in sides] == ["right", "wrong"]
    # On a phone one of the two is shown, and the other by a button.
    narrow = page.viewport_size["width"] < 720
    assert [side.is_visible() for side in sides] == [True, not narrow]
    if narrow:
        page.click("text=the second run")
        assert [side.is_visible() for side in sides] == [False, True]
    else:
        left, right = (side.bounding_box() for side in sides)
        assert left["y"] == right["y"]
        assert left["x"] + left["width"] <= right["x"]
    sides[1].locator("h3 a").nth(2).click()
    visit.until("document.activeElement.id === 'b-turn-2'")
    assert "side=b" in page.url


def test_everything_can_be_done_with_keys(visit):
    page = whole(visit)
    for key in "jjk":
        page.keyboard.press(key)
    assert page.evaluate("document.activeElement.dataset.number") == "0"
    page.keyboard.press("Enter")
    page.wait_for_selector("article.step:visible")
    for key in "jjj":
        page.keyboard.press(key)
    assert page.evaluate("document.activeElement.id") == "a-turn-2"
    assert page.url.endswith("#run=run-0&turn=2")
    page.keyboard.press("e")
    assert page.locator("#a-turn-2 .snippet").first.is_visible()
    page.keyboard.press("]")
    visit.until("document.title === 'What is question 0?' && lrat.app.record.id === 'run-1'")
    page.keyboard.press("?")
    assert page.locator("#help").is_visible()
    page.keyboard.press("Escape")
    assert not page.locator("#help").is_visible()
    page.keyboard.press("Escape")
    page.wait_for_selector("#rows a:visible")
    assert page.evaluate("document.activeElement.dataset.number") == "1"
    page.keyboard.press("/")
    visit.until("document.activeElement.name === 'text'")
    page.keyboard.type("secret?j")
    assert page.input_value("[name=text]") == "secret?j"


def test_texts_that_are_markup_are_shown_and_never_run(visit):
    page = whole(visit)
    page.fill("[name=text]", "onerror")
    assert HOSTILE in visit.texts("#rows .question")[0]
    page.click("#rows a")
    page.wait_for_selector("article.step:visible")
    assert HOSTILE in page.locator("h1").inner_text()
    visit.unfold()
    assert page.locator("img, main script").count() == 0
    assert page.evaluate("window.hacked") is None
    assert "half a pair" in page.locator("#a-turn-3").inner_text()


NAMES = [
    "twice", "twice", "twice (2)", "", "half \ud83d a pair", "a/b?c#d&e=f+g%20", "../../x", " lead", "run=1&with=2",
    "__proto__", "100%", "a\nb", "\u2028", "é", "e\u0301", "\u202eturned", "</script>",
]  # fmt: skip


def test_every_run_can_be_opened_and_compared_whatever_its_id_is(browser, tmp_path):
    runs = [replace(run(0, final_answer=f"Answer {number}."), trajectory_id=name) for number, name in enumerate(NAMES)]
    build_bundle(runs, tmp_path / "page", title="runs")
    visit = Visit(browser, tmp_path / "page", DESKTOP)
    page = visit.go()
    links = [link.get_attribute("href") for link in page.locator("#rows a").all()]
    assert len(set(links)) == len(NAMES)
    for number, link in enumerate(links):
        visit.go(link)
        assert visit.texts("#runs dd >> nth=0") == [f"Answer {number}."], NAMES[number]
        page.wait_for_selector(".compare a")
        page.click(".compare a >> nth=1")
        page.wait_for_selector("main.two")
        other = [other for other in range(len(NAMES)) if other != number][1]
        assert page.locator("section[data-side=b] dd").first.inner_text() == f"Answer {other}.", NAMES[number]
    assert visit.problems == []
    page.close()


def test_attempts_that_a_log_numbers_as_questions_can_be_compared(browser, tmp_path):
    runs = [replace(run(number), query_id=f"attempt {number}", question="The same?") for number in range(3)]
    build_bundle([*runs, run(9)], tmp_path / "page", title="runs")
    page = Visit(browser, tmp_path / "page", DESKTOP).go("#run=run-0")
    page.wait_for_selector(".compare a")
    assert page.locator(".compare a").count() == 2
    page.close()


def test_data_that_are_damaged_or_of_another_page_are_said_to_be(browser, tmp_path):
    build_bundle([run(0)], tmp_path / "page", title="runs")
    build_bundle([run(1)], tmp_path / "other", title="runs")
    page = browser.new_page()
    for name, text, said in (
        ("runs/0", (tmp_path / "other/data/runs/0.js").read_text(), "was written anew"),
        ("runs/0", "lrat.take(", "data/runs/0.js beside this page is damaged"),
        ("index/0", "", "data/index/0.js beside this page is damaged"),
        ("meta", None, "data/meta.js is missing"),
    ):
        path = tmp_path / "page" / "data" / f"{name}.js"
        if text is None:
            path.unlink()
        else:
            path.write_text(text)
        page.goto("about:blank")
        page.goto((tmp_path / "page" / "index.html").as_uri() + "#run=run-0")
        page.wait_for_selector("#problem:visible")
        assert said in page.locator("#problem [role=alert]").inner_text()
    page.close()


def test_the_run_that_was_asked_for_last_is_the_one_that_is_shown(visit):
    page = whole(visit)
    # The first one comes late: its file is held back until the second is there.
    page.evaluate("""() => {
      const open = lrat.open;
      lrat.open = async (run) => {
        if (run.id === "run-0") await new Promise((come) => (lrat.come = come));
        return open(run);
      };
      location.hash = "#run=run-0";
    }""")
    visit.until("lrat.come !== undefined")
    page.evaluate("location.hash = '#run=run-4'")
    page.wait_for_selector("article.step:visible")
    page.evaluate("lrat.come()")
    page.evaluate("new Promise((done) => setTimeout(done))")
    assert visit.texts("h1") == ["What is question 1?"]


def test_obfuscated_questions_are_plain_in_the_page_alone(visit):
    page = whole(visit)
    page.fill("[name=text]", "which secret")
    page.click("#rows a")
    page.wait_for_selector("article.step:visible")
    assert visit.texts("h1") == ["Which secret is it?"]
    assert "I look for it." in page.locator("#a-turn-0").inner_text()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_view_is_wider_than_its_screen_and_all_texts_stand_out(visit, scheme):
    visit.page.emulate_media(color_scheme=scheme)
    for view in ("", "#run=run-0", "#run=run-0&with=run-1", f"#run={quote(HOSTILE)}"):
        page = visit.go(view)
        visit.unfold()
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), view
        # The contrast that WCAG 2 asks of texts, of every text that is shown.
        assert page.evaluate(CONTRAST) == [], view


CONTRAST = """() => {
  const parts = (color) => color.match(/[\\d.]+/g).map(Number);
  const light = (color) => {
    const linear = (v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    const [r, g, b] = parts(color).slice(0, 3).map((v) => linear(v / 255));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const back = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const color = getComputedStyle(at).backgroundColor;
      if (parts(color)[3] !== 0) return color;
    }
    return getComputedStyle(document.body).backgroundColor;
  };
  const weak = [];
  for (const element of document.querySelectorAll("body *")) {
    const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
    if (!own || !element.checkVisibility() || getComputedStyle(element).fontSize === "0px") continue;
    const [a, b] = [light(getComputedStyle(element).color), light(back(element))].sort((x, y) => y - x);
    if ((a + 0.05) / (b + 0.05) < 4.5) weak.push(`${element.className}: ${element.textContent.slice(0, 40)}`);
  }
  return weak;
}"""
