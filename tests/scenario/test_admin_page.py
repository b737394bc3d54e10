"""The page of the admin interface in a browser: what it shows, and that what strangers wrote stays text."""

import json
import os
import re

import pytest

from browser import IS_HERE, Browser
from harness import REPOSITORY
from test_admin import TOKEN, Admin, world_with
from test_play import Play, mappings  # noqa: F401
from verbs import letters, wait_status

# For whoever wants to look at it.
SHOTS = os.environ.get("CALQUE_SCREENSHOTS", os.path.join(REPOSITORY, "build", "screenshots"))
HOSTILE = '<img src=x onerror="document.title=1">&lt;b&gt;\u202e"\'</script><script>document.title=2</script>'
WIDE = 12345678901234567890  # which is another number to a browser


def test_the_page_is_one_small_file_that_allows_itself_only(lab):
    with open(os.path.join(REPOSITORY, "bridge", "admin", "page.html"), encoding="utf-8") as file:
        page = file.read()
    assert len(page) < 100_000
    assert page.count("<style>") == page.count("<script>") == 1
    assert not re.search(r"innerHTML|outerHTML|insertAdjacent|document\.write|localStorage|sessionStorage|eval|https?://|\bstyle=",
                         page)
    world = world_with(lab, admin="127.0.0.1:0")
    policy = Admin(world.calque).ask("/")[2]["Content-Security-Policy"]
    assert re.match(r"default-src 'none'; style-src 'sha256-[^']{44}'; script-src 'sha256-[^']{44}'; connect-src 'self'; ", policy)
    assert "unsafe" not in policy


def watch_live(world, browser, is_dark):
    """A message before and after, in words only; then no more."""
    mark = world.calque.mark()
    browser.type("#live-topic", "messages/+/attribute\n")
    world.calque.wait_log("tap-begins .*by=page", mark)
    world.device.event("leak", zone=2)
    world.device.attributes(note=HOSTILE, password="swordfish", n=WIDE)
    browser.wait("document.querySelector('#live-rows .good')")
    row, = browser.run("return [...document.querySelectorAll('.live-row')].map(row => row.textContent)")
    assert f"messages/{world.DEVICE}/attribute" in row and "v1/devices/me/attributes" in row and "delivered" in row
    assert row.count(f'"n": {WIDE}') == 2
    assert row.count("<img src=x") == row.count('"password": "***"') == 2 and "swordfish" not in row and "\u202e" not in row
    assert browser.run("return document.querySelectorAll('#live-rows img, #live-rows script').length") == 0
    browser.screenshot(os.path.join(SHOTS, f"live-{'dark' if is_dark else 'light'}.png"))
    browser.run("document.querySelector('#live-start').click()")
    world.calque.wait_log("tap-ends .*by=page", mark)


@pytest.mark.skipif(not IS_HERE, reason="there is no chromium with chromium-driver")
@pytest.mark.parametrize("is_dark", [False, True])
def test_the_page_shows_what_there_is(lab, is_dark):
    world = world_with(lab, admin="127.0.0.1:0", admin_token=f"file:{lab.secret_file('admin.token', TOKEN)}",
                       admin_bench=True)
    admin = Admin(world.calque)
    for n in range(3):
        world.device.attributes(n=n)
    world.device.publish("attribute", HOSTILE.encode())
    wait_status(world.calque, lambda s: s["links"][0]["up"]["delivered"] == 3 and s["links"][0]["up"]["dead"] >= 1)
    n_letters = len(letters(world.calque))
    browser = lab.add(Browser(lab.directory, is_dark))
    browser.open(f"http://localhost:{admin.port}/")
    browser.wait("document.querySelector('#links article')")
    assert browser.run("return document.querySelector('#ready').textContent") == "ready"
    text = browser.run("return document.body.innerText")
    assert world.LINK in text and "3 delivered" in text and world.DEVICE not in text
    assert browser.run("return document.querySelector('#letters-section').offsetParent") is None

    browser.type("#token", "wrong token, of some length\n")
    browser.wait("document.querySelector('#problem').textContent.includes('token')")
    browser.type("#token", TOKEN + "\n")
    browser.wait("document.querySelector('#letters table')")
    assert browser.run("return document.querySelectorAll('#letters [aria-label^=drop]').length") == n_letters
    browser.run("document.querySelector('details').open = true")
    browser.run("for (const b of document.querySelectorAll('#letters button[aria-label^=show]')) b.click()")
    browser.wait(f"document.querySelectorAll('#letters code').length === {n_letters}")
    browser.wait("document.querySelector('details[open] tbody tr')")
    os.makedirs(SHOTS, exist_ok=True)
    browser.screenshot(os.path.join(SHOTS, f"admin-{'dark' if is_dark else 'light'}.png"))

    browser.run("for (const b of document.querySelectorAll('#letters button[aria-expanded=true]')) b.click()")
    browser.wait("document.querySelectorAll('#letters code').length === 0")
    browser.run("for (const b of document.querySelectorAll('#letters button[aria-expanded=false]')) b.click()")
    browser.wait(f"document.querySelectorAll('#letters code').length === {n_letters}")

    browser.wait("document.querySelector('#bench-files button')")

    # Nothing of it became markup, and the token is nowhere.
    assert browser.run("return document.querySelectorAll('img, main script').length") == 0
    assert browser.run("return document.title") == "calque"
    told = browser.run("return document.querySelector('#letters').textContent")
    assert "<img src=x" in told and "\\u202e" in told and "\u202e" not in told
    assert TOKEN not in browser.run("return location.href + document.documentElement.outerHTML + document.cookie")
    assert not [line for line in browser.complaints() if "401" not in line and "favicon" not in line]

    # Everything that can be pressed says what it is, to those who do not see it.
    assert browser.run("""return [...document.querySelectorAll('button, input, summary, select, textarea')].filter(e =>
        !(e.getAttribute('aria-label') || e.textContent || (e.labels && e.labels.length)).toString().trim()).length""") == 0
    assert browser.run("return document.querySelectorAll('table:not(:has(caption)), th:not([scope])').length") == 0

    watch_live(world, browser, is_dark)

    browser.run("document.querySelector('#letters button[aria-label^=drop]').click()")
    assert len(letters(world.calque)) == n_letters  # it asks first
    browser.run("document.querySelector('#letters button[aria-label^=drop]').click()")
    browser.wait(f"document.querySelectorAll('#letters [aria-label^=drop]').length === {n_letters - 1}")
    assert len(letters(world.calque)) == n_letters - 1


def tried(what):
    """True once that is so; a try that took a busy machine too long is made again."""
    return f"""(() => {{
        const again = document.querySelector('#bench-again');
        if (!isTrying && again.offsetParent) again.click();
        return {what};
    }})()"""


@pytest.mark.skipif(not IS_HERE, reason="there is no chromium with chromium-driver")
def test_a_mapping_is_edited_in_the_page(lab, mappings):
    (mappings / "mine.cases.json").write_text(json.dumps([
        {"name": HOSTILE, "south": "mine", "north": "ours", "flow": "up", "topic": "t/d1", "payload": {"t": HOSTILE}}]))
    play = lab.add_process(Play(lab.directory, "mine", "ours", "--mappings", str(mappings)))
    browser = lab.add(Browser(lab.directory))
    browser.open(play.url)
    browser.wait(tried("document.querySelector('#bench-result').textContent.startsWith('carried')"))
    assert browser.run("return location.href") == f"http://127.0.0.1:{play.port}/"
    assert play.token not in browser.run("return document.documentElement.outerHTML + document.cookie + JSON.stringify(history.state)")
    assert browser.run("return document.querySelector('#links-section').offsetParent") is None

    # What strangers wrote is shown at each step, as text.
    steps = browser.run("return [...document.querySelectorAll('#bench-steps > li')].map(e => e.textContent)")
    assert len(steps) == 3 and "device = d1" in steps[0] and "o/d1" in steps[2]
    assert all("<img src=x" in step and "\\u202e" in step and "\u202e" not in step for step in steps[1:])
    assert browser.run("return document.querySelectorAll('img, main script, main b b').length") == 0
    assert browser.run("return document.title") == "calque play: mine → ours"

    def edit(old, new):
        browser.run("""const box = document.querySelector('#bench-text');
            box.value = box.value.replace(arguments[0], arguments[1]);
            box.dispatchEvent(new Event('input', { bubbles: true }));""", old, new)

    edit("temp: .payload.t", "warmth: 43")
    browser.wait(tried("document.querySelector('#bench-steps').textContent.includes('\"warmth\": 43')"))
    assert '"warmth": 43' in browser.run("return document.querySelector('#bench-case').textContent")
    edit("warmth: 43", "warmth: | 43")
    browser.wait(tried("document.querySelector('#bench-mistakes button')"))
    assert browser.run("return document.querySelector('#bench-mistakes').textContent").startswith("mine line 4, column 30 ")
    assert browser.run("return document.querySelector('#bench-gutter .at').textContent") == "4"
    assert browser.run("return document.querySelector('#bench-under mark').textContent") == "|"
    browser.run("document.querySelector('#bench-mistakes button').click()")
    assert browser.run("const e = document.activeElement; return [e.id, e.value.slice(e.selectionStart, e.selectionStart + 4), "
                       "e.getAttribute('aria-invalid')]") == ["bench-text", "| 43", "true"]
    os.makedirs(SHOTS, exist_ok=True)
    for scheme in ("light", "dark"):
        browser.prefer(scheme)
        browser.screenshot(os.path.join(SHOTS, f"bench-{scheme}.png"))
    browser.run("document.querySelector('#bench-revert').click()")
    browser.wait(tried("document.querySelector('#bench-result').textContent.startsWith('carried')"))
    assert browser.run("return document.querySelectorAll('#bench-mistakes li').length") == 0
    assert browser.complaints() == []
