"""Chromium as a viewer: a page with a sound file as its microphone, and a probe that looks.

Knows the page's button, its picture and what it shows in `__soul`; nothing of the server.
"""

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from soul.cli.bench.server import BenchError

if TYPE_CHECKING:
    from playwright.async_api import Page

NAMES = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--use-fake-device-for-media-stream",
    "--autoplay-policy=no-user-gesture-required",
)
PROBE = Path(__file__).with_name("probe.js")
LIVE_SECONDS = 30.0
SIZE = (1280, 860)


def find_chromium() -> str:
    """The path of Chromium; BenchError if there is none."""
    for name in NAMES:
        found = shutil.which(name)
        if found is not None:
            return found
    raise BenchError("Chromium is missing: install it (on Debian: apt-get install chromium)")


@asynccontextmanager
async def viewing(
    url: str, microphone: Path | None, refuse: bool = False, probe_sound: bool = False
) -> AsyncIterator["Page"]:
    """The page at `url` in a fresh Chromium that hears `microphone`, a wav file, over and over.

    With `refuse` the microphone is refused; with `probe_sound` the page's content security policy
    is off, which the probe's `listen` needs. BenchError if Playwright or Chromium is missing.
    """
    try:
        from playwright.async_api import Error, async_playwright
    except ImportError:
        raise BenchError("Playwright is missing: pip install playwright") from None
    flags = [*FLAGS]
    if microphone is not None:
        flags.append(f"--use-file-for-fake-audio-capture={microphone.resolve()}")
    if not refuse:
        flags.append("--use-fake-ui-for-media-stream")
    async with async_playwright() as driver:
        try:
            browser = await driver.chromium.launch(executable_path=find_chromium(), args=flags)
        except Error as error:
            raise BenchError(f"Chromium did not start: {error.message}") from error
        try:
            context = await browser.new_context(
                viewport={"width": SIZE[0], "height": SIZE[1]}, bypass_csp=probe_sound
            )
            await context.add_init_script(path=PROBE)
            page = await context.new_page()
            await page.goto(url)
            yield page
        finally:
            await browser.close()


async def press_start(page: "Page") -> None:
    """Presses the button, and waits for the first picture; BenchError if none."""
    await page.wait_for_selector("#gallery input:checked", state="attached")
    await page.get_by_role("button", name="Start").first.click()
    if await until_state(page, "live", "failed", "ended") != "live":
        said = await page.get_by_role("alert").inner_text()
        raise BenchError(f"the call did not begin: {said}")


async def until_state(page: "Page", *states: str) -> str:
    """Waits until the page is in one of `states`, and says in which; BenchError if it never is."""
    from playwright.async_api import TimeoutError as Late

    # By a selector: waiting for a function would need 'unsafe-eval' in the page's own policy.
    wanted = ", ".join(f"body[data-state={state}]" for state in states)
    try:
        await page.wait_for_selector(wanted, state="attached", timeout=LIVE_SECONDS * 1000)
    except Late:
        names = " or ".join(states)
        raise BenchError(f"the page was not {names} within {LIVE_SECONDS:g} s") from None
    return str(await page.evaluate("__soul.state"))


async def probed(page: "Page", call: str) -> Any:
    """What the probe's `call`, such as "pictures()", gives."""
    return await page.evaluate(f"__probe.{call}")


async def browser_version() -> str:
    """Chromium's own words; BenchError if there is none."""
    process = await asyncio.create_subprocess_exec(
        find_chromium(),
        "--version",
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    out, _ = await process.communicate()
    return out.decode(errors="replace").strip()
