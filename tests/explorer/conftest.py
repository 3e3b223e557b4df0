"""A small network with classes and noise inputs, and its page in a browser."""

import pytest

from stylegan_jax.explorer.renderer import Renderer
from tests.explorer.in_browser import DESKTOP, PROGRAM
from tests.networks import small

CLASSES = ("a", "b")


@pytest.fixture(scope="session")
def renderer() -> Renderer:
    made = Renderer(small.network("stylegan2", CLASSES), directions=small.directions())
    made.compile(lambda text: None)
    return made


@pytest.fixture(scope="module")
def browser():
    """A browser; playwright's event loop must end before other modules need one."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(
            executable_path=PROGRAM, args=["--no-sandbox"]
        )
        yield launched
        launched.close()


@pytest.fixture(scope="module")
def address(renderer):
    from tests.explorer.served import served

    with served(renderer) as found:
        yield found


@pytest.fixture
def opened(browser, address):
    """Open the page with options of a context; check it for errors at the end."""
    contexts, problems = [], []

    def open_page(url=address, **options):
        context = browser.new_context(**options)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: problems.append(str(error)))

        def check(request):
            if not request.url.startswith((url, "data:", f"blob:{url}")):
                problems.append(request.url)

        page.on("request", check)
        page.goto(url)
        page.wait_for_selector("body[data-ready=true]")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert problems == []


@pytest.fixture
def page(opened):
    return opened(**DESKTOP)
