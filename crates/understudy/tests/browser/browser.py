"""A browser that is hard to please: an error on the console, a request to anywhere else, something that a
screen reader or a small screen cannot cope with, each fails the case."""

import pathlib
import re
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "foreign"))

import axe_playwright_python  # noqa: E402  (the path comes first)
from lab import PATIENCE, Trouble  # noqa: E402

AXE = (pathlib.Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text()
# Findings that fail a case.
GRAVE = {"serious", "critical"}

PHONE, TABLET, DESKTOP = (390, 844), (820, 1180), (1440, 900)
WIDTHS = {"390": PHONE, "820": TABLET, "1440": DESKTOP}


class View:
    """One page in a context of its own."""

    def __init__(self, browser, base, artefacts, pages=None, size=DESKTOP, scheme="light", forgive=()):
        """`forgive`: patterns of console errors that belong to the case, such as those of a lost connection."""
        self.base, self.artefacts, self.forgive = base, artefacts, list(forgive)
        self.errors, self.abroad, self.audits = [], [], 0
        self.context = browser.new_context(
            viewport={"width": size[0], "height": size[1]}, color_scheme=scheme, locale="en-GB",
            reduced_motion="reduce")
        self.page = self.context.new_page()
        self.page.set_default_timeout(PATIENCE * 1000)
        self.page.on("console", self._console)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("request", self._request)
        if pages:
            self._serve(pathlib.Path(pages))

    def _serve(self, folder):
        """Files of the page from a folder, with what else the balancer says of them."""
        def answer(route):
            response = route.fetch()
            name = route.request.url.split("/dashboard/")[-1] if "/dashboard/" in route.request.url else "index.html"
            route.fulfill(response=response, body=(folder / name.split("#")[0]).read_bytes())
        self.page.route(re.compile(r"/dashboard/[a-z.]+$"), answer)
        self.page.route(re.compile(re.escape(self.base) + r"/$"), answer)

    def _console(self, message):
        if message.type in ("error", "warning") and not any(re.search(each, message.text) for each in self.forgive):
            self.errors.append(f"{message.type}: {message.text}")

    def _request(self, request):
        if not request.url.startswith((self.base + "/", "data:")):
            self.abroad.append(request.url)

    def open(self, where=""):
        answer = self.page.goto(f"{self.base}/{where}")
        policy = answer.headers["content-security-policy"]
        for rule in ("default-src 'none'", "script-src 'self'", "style-src 'self'", "connect-src 'self'"):
            if rule not in policy:
                raise Trouble(f"the page may do too much: {policy}")
        if "unsafe" in policy:
            raise Trouble(f"the page may do too much: {policy}")
        return self

    def live(self):
        """Waits until it follows, and shows what it heard."""
        self.page.wait_for_selector("#connection[data-state=live]")
        self.page.wait_for_selector(".service, .story, .config, .history")
        return self

    def service(self, name):
        return self.page.locator(f'.service[data-service="{name}"]')

    def backend(self, service, name):
        return self.service(service).locator(f'[data-backend="{name}"]')

    def says(self, locator, text):
        """Waits until what is seen there has this text."""
        locator.filter(has_text=text).first.wait_for()

    def until(self, what):
        """Waits until this expression is true; asked from outside, as the page's policy forbids `eval`."""
        deadline = time.monotonic() + PATIENCE
        while not (found := self.page.evaluate(what)):
            if time.monotonic() > deadline:
                raise Trouble(f"not within {PATIENCE:g} s: {what}")
            self.page.wait_for_timeout(20)
        return found

    def audit(self, state):
        """No serious or critical finding of axe, and nothing wider than the screen."""
        self.page.evaluate(f"window.axe ? 0 : (() => {{ {AXE} }})()")
        found = self.page.evaluate("axe.run({ resultTypes: ['violations'] })")
        grave = [each for each in found["violations"] if each["impact"] in GRAVE]
        if grave:
            lines = [f"{each['id']} ({each['impact']}): {node['html'][:200]} {node['failureSummary'][:300]}"
                     for each in grave for node in each["nodes"][:4]]
            raise Trouble(f"{state}: axe found\n" + "\n".join(lines))
        self.fits(state)
        self.audits += 1

    def fits(self, state):
        wide = self.page.evaluate("[document.scrollingElement.scrollWidth, innerWidth]")
        if wide[0] > wide[1]:
            worst = self.page.evaluate("""[...document.querySelectorAll("body *")]
                .filter((node) => node.getBoundingClientRect().right > innerWidth + 1)
                .slice(0, 6).map((node) => `${node.tagName}.${node.getAttribute("class")}`)""")
            raise Trouble(f"{state}: {wide[0]} px wide on a screen of {wide[1]} px: {worst}")

    def settle(self):
        """Until everything asked for has been drawn."""
        self.page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")

    def shots(self, name, whole=True):
        """This state on three screens, light and dark: each without findings, each kept as a picture."""
        for width, size in WIDTHS.items():
            self.page.set_viewport_size({"width": size[0], "height": size[1]})
            for scheme in ("light", "dark"):
                self.page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
                self.settle()
                # What a tablet shows is laid out like one of the others, and the colours are the same.
                check = self.fits if width == "820" or (width, scheme) == ("390", "dark") else self.audit
                check(f"{name} at {width} px, {scheme}")
                path = self.artefacts / f"{name}-{width}-{scheme}.png"
                self.page.screenshot(path=path, full_page=whole)
        self.page.set_viewport_size({"width": DESKTOP[0], "height": DESKTOP[1]})
        self.page.emulate_media(color_scheme="light", reduced_motion="reduce")
        self.settle()

    def close(self):
        """Says what went wrong on the way."""
        self.context.close()
        if self.errors:
            raise Trouble("on the console:\n" + "\n".join(self.errors[:10]))
        if self.abroad:
            raise Trouble(f"it asked elsewhere: {self.abroad[:5]}")
