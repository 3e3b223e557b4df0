"""Fast clicks, drags, interpolation and liked pictures: the last change wins."""

import itertools
import time

from stylegan_jax.explorer.picture import Mix, Pad, Picture, Seed, Style, Walk
from tests.explorer.in_browser import (
    MARKS,
    A,
    B,
    caption,
    expect,
    pad_point,
    seeded,
    slide,
)

pytestmark = MARKS


def test_twenty_fast_clicks_end_at_the_last(page, renderer, monkeypatch):
    """Drawing takes longer than a click, so that most pictures are skipped."""
    draw, drawn = renderer.draw, []

    def slow(picture):
        time.sleep(0.15)
        if isinstance(picture.style.source, Seed):
            drawn.append(picture.style.source.seed)
        return draw(picture)

    page.wait_for_timeout(1000)  # until the small pictures rest
    monkeypatch.setattr(renderer, "draw", slow)
    page.evaluate(
        """() => {
          window.shown = [];
          new MutationObserver(() => window.shown.push(
            Number(document.getElementById('picture').dataset.shown)
          )).observe(document.getElementById('picture'), { attributeFilter:
            ['data-shown'] });
        }"""
    )
    before = int(page.get_attribute("#picture", "data-shown"))
    box = page.locator("#next").bounding_box()
    for _ in range(20):
        page.mouse.click(box["x"] + 5, box["y"] + 5)
    assert page.input_value("#seed") == "20"  # no click is lost
    page.wait_for_selector(f"#picture[data-shown='{before + 20}']")
    monkeypatch.undo()
    expect(page, renderer, seeded(20))
    shown = page.evaluate("window.shown")
    assert all(a < b for a, b in itertools.pairwise(shown))  # never backwards
    assert shown[-1] == before + 20 and drawn[-1] == 20
    assert drawn == sorted(drawn) and len(drawn) < 20, drawn
    page.wait_for_timeout(500)  # nothing comes later
    assert page.evaluate("window.shown") == shown


def test_dragging_while_pictures_are_slow_ends_at_the_last(page, renderer, monkeypatch):
    draw = renderer.draw
    monkeypatch.setattr(renderer, "draw", lambda p: (time.sleep(0.1), draw(p))[1])
    box = page.locator("#pad").bounding_box()
    page.mouse.move(box["x"] + 2, box["y"] + 2)
    page.mouse.down()
    page.mouse.move(box["x"] + 0.9 * box["width"], box["y"] + 50, steps=40)
    page.mouse.up()
    monkeypatch.undo()
    expect(page, renderer, Picture(Style(Pad((1, 2, 3, 4), *pad_point(page)), A)))


def test_interpolation(page, renderer):
    page.select_option("#walk-through", "next")
    slide(page, "#walk-seconds", 0.5)
    page.click("#play")
    places = set()
    for _ in range(8):
        page.wait_for_timeout(100)
        places.add(caption(page, r"interpolation at (\d+)\.(\d+) of 8"))
    assert len(places) > 3 and page.inner_text("#play") == "Pause"
    page.select_option("#class", label="b")  # while it plays
    page.wait_for_timeout(300)
    page.click("#play")
    page.click("#like")
    assert page.inner_text("#play") == "Play"
    [stored] = page.evaluate("JSON.parse(Object.values(localStorage)[0])")
    position = stored["picture"]["style"]["source"]["position"]
    assert position > 0
    keyframes = tuple(Style(Seed(seed), B) for seed in range(8))
    expect(page, renderer, Picture(Style(Walk(keyframes, position), B, Mix(1, ()))))
    page.wait_for_timeout(300)  # it has stopped
    expect(page, renderer, Picture(Style(Walk(keyframes, position), B)))
    page.click("#play")
    page.wait_for_timeout(200)
    page.click("#next")  # another control stops it
    expect(page, renderer, seeded(1, B))
    page.wait_for_timeout(300)
    assert page.inner_text("#play") == "Play"


def test_likes_stay_and_are_played(page, renderer):
    page.select_option("#walk-through", "liked")
    page.click("#play")
    assert page.inner_text("#status") == "Like at least two pictures, then play."
    page.fill("#seed", "8")
    page.check("#layer-5")
    mixed = seeded(8, A, Mix(1, (5,)))
    expect(page, renderer, mixed)
    page.click("#like")
    page.click("#group-none")
    page.select_option("#class", label="b")
    page.fill("#seed", "9")
    expect(page, renderer, seeded(9, B))
    page.click("#like")
    page.reload()
    page.wait_for_selector("body[data-ready=true]")
    assert page.locator("#liked img").count() == 2
    page.locator("#liked .show").nth(1).click()  # the newest is first
    expect(page, renderer, mixed)
    assert page.input_value("#seed") == "8" and page.is_checked("#layer-5")
    page.click("#group-none")
    page.select_option("#walk-through", "liked")
    slide(page, "#walk-seconds", 0.5)
    page.click("#play")
    page.wait_for_timeout(400)
    caption(page, r"interpolation at \d+\.(\d+) of 2")
    page.click("#play")
    page.click("#like")
    source = page.evaluate("JSON.parse(Object.values(localStorage)[0])[0]")["picture"][
        "style"
    ]["source"]
    keyframes = (Style(Seed(9), B), Style(Seed(8), A, Mix(1, (5,))))
    wanted = Walk(keyframes, source["position"])
    expect(page, renderer, Picture(Style(wanted, A)))
    page.locator("#liked .forget").nth(0).click()
    assert page.locator("#liked img").count() == 2
