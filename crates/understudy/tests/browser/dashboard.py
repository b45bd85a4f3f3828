"""The dashboard as a person meets it: what it shows and when, what it lets whom do, on which screens."""

import argparse
import json
import pathlib
import re
import shutil
import signal
import sys
import time
import traceback

from browser import DESKTOP, PHONE, View
from lab import PATIENCE, Trouble, Understudy
from playwright.sync_api import sync_playwright
from stage import (Clients, Lab, Watch, ask, base, config, routes, service, token, wait_active,
                   wait_until)

# From the change at the API to the change on the screen, in milliseconds.
LIVE_WITHIN = 1000
# With 200 services, in seconds of the page's own CPU time, as others may want the machine, too: until all are
# drawn, and, of each second, what following takes while statuses of all of them come in. By the clock, and
# only against hanging: until what is typed has filtered them.
DRAWN_WITHIN = 1.5
FOLLOWING = 0.4
FILTERED_WITHIN = 5

HOSTILE = '<img src=x onerror="window.hacked=1">'
# What the browser itself says of a connection that is lost, and of an answer that is no success.
LOST = [r"ERR_CONNECTION_REFUSED", r"ERR_INCOMPLETE_CHUNKED", r"ERR_CONNECTION_RESET", r"ERR_EMPTY_RESPONSE"]
REFUSED = [r"status of 401", r"status of 403", r"status of 409", r"status of 404"]

CASES = []


def case(function):
    CASES.append(function)
    return function


class Stage:
    """What a case has: a lab of its own, the browser, where pictures go."""

    def __init__(self, lab, browser, options):
        self.lab, self.browser, self.options = lab, browser, options
        self.artefacts, self.views = pathlib.Path(options.artefacts), []

    def view(self, balancer, **more):
        view = View(self.browser, base(balancer), self.artefacts, pages=self.options.pages, **more)
        self.views.append(view)
        return view

    def pair(self):
        return self.lab.origin("lm1"), self.lab.origin("lm2")

    def close(self):
        for view in self.views:
            view.close()


def expect(found, wanted, what):
    if found != wanted:
        raise Trouble(f"{what}: {found!r} instead of {wanted!r}")


def several(lab, first, second, **keys):
    """Five services as somebody might have them; the first has the backends of the case."""
    c1, c2 = lab.origin("c1"), lab.origin("c2")
    services = {"license-manager": service(first, second, **{"failback": {"auto": {"hold_down": "45s"}}, **keys})}
    for name in ("artifacts", "build-queue", "directory", "mail-relay"):
        services[name] = service(c1, c2)
    return services


def gates():
    """A fence and a promotion, as programs that say something."""
    say = lambda *words: {"exec": {"command": ["/bin/echo", *words]}, "idempotent": True}
    return {"failover": {"fence": say("outlet of {backend} is off"), "promote": say("{backend} is promoted")}}


@case
def a_failover_is_on_the_screen_within_a_second_and_its_incident_is_a_story(stage):
    lm1, lm2 = stage.pair()
    services = several(stage.lab, lm1, lm2, gates=gates())
    balancer = stage.lab.understudy(config(services, routes=routes(services)))
    wait_active(balancer, "license-manager", "lm1")
    view = stage.view(balancer).open().live()
    page = view.page
    view.says(page.locator(".big"), "All 5 services are on their primaries.")
    expect(view.service("license-manager").locator(".active-name").inner_text(), "lm1", "who is active")
    view.shots("calm")

    # More than a handful of services are closed; the name opens one, by keyboard as well.
    toggle = view.service("license-manager").get_by_role("button", name=re.compile("^license-manager"))
    expect(toggle.get_attribute("aria-expanded"), "false", "closed at first")
    toggle.focus()
    page.keyboard.press("Enter")
    view.until("document.activeElement.getAttribute('aria-expanded') === 'true'")
    card = view.backend("license-manager", "lm1")
    view.until("document.querySelectorAll('[data-backend=lm1] .pulse .pass').length >= 8")
    expect(card.locator(".pulse").get_attribute("role"), "img", "the pulse")
    if not re.match(r"Last \d+ rounds of probes: \d+ passed", card.locator(".pulse").get_attribute("aria-label")):
        raise Trouble(card.locator(".pulse").get_attribute("aria-label"))

    page.evaluate("""() => {
        const name = document.querySelector('[data-service="license-manager"] .active-name');
        new MutationObserver(() => { if (name.textContent === "lm2") window.shownAt ??= Date.now(); })
            .observe(name, { childList: true, characterData: true, subtree: true });
    }""")
    with Clients(balancer.listeners[0]) as clients:
        watch = Watch(balancer, "license-manager")
        lm1.kill()
        moved_at = watch.wait()
        view.until("window.shownAt")
        late = page.evaluate("window.shownAt") - moved_at
        print(f"      on the screen {late:.0f} ms after the API")
        if late > LIVE_WITHIN:
            raise Trouble(f"the page shows the failover {late:.0f} ms after the API")
        answers = clients.answers
        wait_until("clients have answers of lm2", lambda: clients.answers > answers + 50)
        view.says(view.service("license-manager").locator(".headline"), "on standby")
        view.says(view.service("license-manager").locator(".says"), "lm1 is down")
        view.says(view.service("license-manager").locator(".facts.wide"), "Held since the start")
        view.says(page.locator("#announcer"), "license-manager: lm2 has the traffic now")
        view.says(view.backend("license-manager", "lm1").locator(".health"), "down")
        view.until("document.querySelectorAll('[data-backend=lm1] .pulse .fail').length >= 3")
        first = page.locator(".service").first
        expect(first.get_attribute("data-service"), "license-manager", "what needs attention comes first")
        page.wait_for_selector('.incident-item:has-text("lm1 → lm2")')
        if stage.options.picture:
            picture(page, pathlib.Path(stage.options.picture))
        view.shots("failover")

    page.locator('.incident-item:has-text("lm1 → lm2")').first.click()
    page.wait_for_selector(".story")
    view.says(page.locator("#story-title"), "lm1 → lm2")
    expect(page.locator(".story h3").all_inner_texts(),
           ["What led to it", "What it meant for requests", "What was done", "Gates"], "the chapters")
    view.says(page.locator(".evidence"), "refused")
    view.says(page.locator(".gates pre"), "outlet of lm1 is off")
    view.says(page.locator(".phases"), "every worker sends to the new active")
    record = ask(balancer, "/api/v1" + page.url.split("#")[1].replace("incident", "incidents"))
    figures = dict(zip(page.locator(".figures dt").all_inner_texts(), page.locator(".figures dd").all_inner_texts()))
    expect([int(figures[name]) for name in ("held", "replayed", "failed", "turned away")],
           [record["counts"][name] for name in ("held", "replayed", "failed", "rejected")], "what it meant")
    steps = len(record["timeline"]) - 1 + len(record["gates"])
    expect(page.locator(".phases li").count(), steps, "a bar for each phase and gate")
    view.shots("story")

    # The primary comes back: a countdown, and then everything is as before.
    page.goto(view.base + "/#/")
    lm1.revive()
    view.says(view.service("license-manager").locator(".facts.wide"), "to lm1 in")
    page.goto(view.base + "/#/history")
    page.wait_for_selector(".lane .flag")
    view.shots("switches")


def picture(page, path):
    """For the documents: small enough to be kept with them."""
    from PIL import Image
    page.set_viewport_size({"width": 1440, "height": 1240})
    page.evaluate("document.activeElement.blur(); scrollTo(0, 0)")
    page.locator(".lane .flag").first.wait_for()
    raw = path.with_suffix(".raw.png")
    page.screenshot(path=raw)
    Image.open(raw).convert("RGB").quantize(128, dither=Image.Dither.NONE).save(path, optimize=True)
    raw.unlink()
    page.set_viewport_size({"width": DESKTOP[0], "height": DESKTOP[1]})
    if path.stat().st_size > 200_000:
        raise Trouble(f"the picture has {path.stat().st_size} bytes")


@case
def who_may_write_orders_after_a_dry_run_with_a_reason_and_nobody_else(stage):
    reader, reads = token(stage.lab.binary, "watcher", "read")
    writer, writes = token(stage.lab.binary, "ops", "write")
    lm1, lm2 = stage.pair()
    services = {"web": service(lm1, lm2, failback="manual")}
    balancer = Understudy(stage.lab.binary, stage.lab.folder, config(services, [reads, writes]))
    stage.lab.processes.append(balancer)
    wait_active(balancer, "web", "lm1", writer)

    view = stage.view(balancer, forgive=REFUSED).open()
    page = view.page
    page.wait_for_selector("dialog[open] #token")
    view.says(page.locator(".instead"), "Sign in with a token")
    view.shots("sign-in", whole=False)
    page.fill("#token", "nonsense")
    page.keyboard.press("Enter")
    view.says(page.locator("dialog[open]"), "not one of those in the config")
    page.keyboard.press("Escape")
    view.says(page.locator(".instead"), "A token is needed")
    view.says(page.locator(".instead"), "not one of those in the config")
    view.audit("unauthorised")
    # What a link leads to would be refused, too.
    page.locator("footer").get_by_role("button", name="/status").click()
    page.wait_for_selector("dialog[open] #token")
    page.keyboard.press("Escape")

    def sign_in(secret):
        page.locator("#who, .instead .confirm").last.click()
        page.fill("#token", secret)
        page.keyboard.press("Enter")
        view.live()

    sign_in(reader)
    view.says(page.locator("#who"), "watcher (read)")
    view.says(view.service("web").locator(".how"), "access: write")
    expect(page.locator("button.order").count(), 0, "orders for a reader")
    stored = page.evaluate("[localStorage.length, Object.keys(sessionStorage), document.cookie]")
    expect(stored, [0, ["token"], ""], "where the token is kept")

    page.click("#who")
    page.get_by_role("button", name="Sign out").click()
    page.wait_for_selector("dialog[open] #token, .instead")
    page.wait_for_selector("#connection[data-state=unauthorised]")
    if page.locator("dialog[open]").count():
        page.keyboard.press("Escape")
    sign_in(writer)
    view.says(page.locator("#who"), "ops (write)")
    web = view.service("web")
    page.wait_for_selector("button.order")
    view.shots("writer")

    # A link sends no token: the page fetches what is there.
    for name, text in (("/metrics", "understudy_"), ("/status", '"services"'), ("API", '"openapi"')):
        page.locator("footer").get_by_role("button", name=name).click()
        view.says(page.locator("dialog[open] pre"), text)
        view.audit(f"{name} in the page")
        page.keyboard.press("Escape")
    expect(page.locator("footer a").count(), 0, "links that would be refused")

    # Nothing is done before it is confirmed, and not without a reason.
    web.get_by_role("button", name="Switch over: web").click()
    dialog = page.locator("dialog[open]")
    view.says(dialog.locator(".would"), "lm1 → lm2: this would be done.")
    view.shots("order", whole=False)
    before = ask(balancer, "/api/v1/services/web", writer)["epoch"]
    dialog.get_by_role("button", name="Switch over").click()
    view.says(dialog, "Say why")
    dialog.get_by_role("button", name="Cancel").click()
    expect(ask(balancer, "/api/v1/services/web", writer)["epoch"], before, "the epoch after a cancelled order")
    web.get_by_role("button", name="Switch over: web").click()
    view.says(dialog.locator(".would"), "this would be done")
    page.fill("#order-reason", f"disk swap {HOSTILE}")
    dialog.get_by_role("button", name="Switch over").click()
    view.says(dialog.locator(".result"), "lm2")
    wait_active(balancer, "web", "lm2", writer)
    view.says(web.locator(".active-name"), "lm2")
    dialog.get_by_role("button", name="Close").click()
    page.locator(".incident-item").first.click()
    view.says(page.locator(".story .by"), f"disk swap {HOSTILE}")
    view.says(page.locator(".story .by"), "ops")
    page.goto(view.base + "/#/")

    def confirm(name, reason="a test"):
        page.locator("button.order").and_(page.get_by_role("button", name=name, exact=True)).click()
        page.fill("#order-reason", reason)
        dialog.locator("button[type=submit]").click()
        view.says(dialog.locator(".buttons"), "Close")
        dialog.get_by_role("button", name="Close").click()
        return lambda: ask(balancer, "/api/v1/services/web", writer)

    # An ordered move stays until it is unpinned.
    view.says(web.locator(".facts.wide"), "Pinned")
    now = confirm("Unpin: web")
    wait_until("not pinned", lambda: not now()["pinned"])
    confirm("Pin: web")
    wait_until("pinned", lambda: now()["pinned"])
    confirm("Lock: web")
    wait_until("locked", lambda: now()["locked"])
    view.says(web.locator(".says"), "locked: no automatic move")
    confirm("Unlock: web")
    confirm("Maintenance: lm1 of web")
    wait_until("lm1 is out of use", lambda: now()["backends"][0]["admin"] == "maintenance")
    view.says(view.backend("web", "lm1"), "maintenance")

    # What would be refused cannot be confirmed.
    web.get_by_role("button", name="Fail back: web").click()
    view.says(dialog.locator(".would"), "Nothing would move.")
    page.keyboard.press("Escape")
    web.get_by_role("button", name="Switch over: web").click()
    view.says(dialog.locator(".would"), "This would be refused.")
    expect(dialog.locator("button[type=submit]").is_disabled(), True, "confirming what would be refused")
    view.audit("a refusal")
    page.keyboard.press("Escape")
    page.goto(view.base + "/#/config")
    view.says(page.locator(".drift table"), "maintenance")
    view.says(page.locator(".yaml"), "shutdown_timeout")
    text = page.locator(".yaml").inner_text()
    if "argon2" in text or "(not shown)" not in text:
        raise Trouble("the config shows the hash of a token")
    page.fill("#find", "fall:")
    page.wait_for_selector(".line.hit")
    # Statuses come in all the time; whoever scrolls away from what was found stays there.
    page.evaluate("scrollTo(0, 0)")
    page.evaluate("""() => { window.drawings = 0; const next = () => { window.drawings += 1; requestAnimationFrame(next); }; next(); }""")
    view.until("window.drawings > 60")
    expect(page.evaluate("scrollY"), 0, "the place on the page")
    view.shots("config", whole=False)
    page.goto(view.base + "/#/")
    confirm("Ready: lm1 of web")
    # What is refused after all is said, with why, and can be tried again.
    web.get_by_role("button", name="Drill: web").click()
    page.fill("#order-reason", "a test")
    dialog.locator("button[type=submit]").click()
    view.says(dialog.locator(".result"), "Refused: the service is pinned: unpin it first")
    expect(dialog.locator("button[type=submit]").is_enabled(), True, "trying again")
    page.keyboard.press("Escape")
    confirm("Fail back: web")
    view.says(page.locator(".incident-item .because"), "back to a backend of higher priority, ordered by ops")
    wait_until("nobody watches the move any more", lambda: now()["on_primary"] and now()["verifying_for_seconds"] is None)
    confirm("Drill: web")
    wait_until("a drill", lambda: now()["drill"])
    confirm("End the drill: web")
    wait_until("no drill", lambda: not now()["drill"])


@case
def orders_say_how_it_stands_now_and_not_how_it_stood_when_the_page_was_opened(stage):
    writer, writes = token(stage.lab.binary, "ops", "write")
    lm1, lm2 = stage.pair()
    balancer = Understudy(stage.lab.binary, stage.lab.folder,
                          config({"web": service(lm1, lm2, failback="manual")}, [writes]))
    stage.lab.processes.append(balancer)
    wait_active(balancer, "web", "lm1", writer)
    view = stage.view(balancer, forgive=REFUSED).open()
    page = view.page
    page.fill("#token", writer)
    page.keyboard.press("Enter")
    view.live()
    dialog = page.locator("dialog[open]")
    would = dialog.locator(".would")
    confirm = dialog.locator("button[type=submit]")
    order = lambda name: page.locator("button.order").and_(page.get_by_role("button", name=name, exact=True))
    is_risky = lambda locator: "risky" in locator.get_attribute("class").split()

    def look(active, other):
        """What the dialogs say, whom they offer, what they mark as risky, with this active."""
        view.says(view.backend("web", other).locator(".why"), "a failover to it would work now")
        for verb in ("Drain", "Maintenance"):
            for name, words, risky in ((active, f"It has the traffic: that fails over to {other}.", True),
                                       (other, "It has no traffic now, so nothing moves.", False)):
                what = f"{verb}: {name} of web"
                expect(is_risky(order(what)), risky, f"{what} is marked as risky, with {active} active")
                order(what).click()
                view.says(would, words)
                expect(is_risky(confirm), risky, f"confirming {what} is marked as risky, with {active} active")
                page.keyboard.press("Escape")
        order("Switch over: web").click()
        view.says(would, f"{active} → {other}: this would be done.")
        expect(dialog.locator("#order-to option").all_inner_texts(), [other], f"choices with {active} active")
        page.keyboard.press("Escape")

    def fail_over(origin, other):
        origin.kill()
        wait_active(balancer, "web", other, writer)
        origin.revive()

    look("lm1", "lm2")
    order("Lock: web").focus()
    fail_over(lm1, "lm2")
    look_at = "document.activeElement.getAttribute('aria-label')"
    view.says(view.service("web").locator(".active-name"), "lm2")
    expect(page.evaluate(look_at), "Lock: web", "the focus after a switch")
    look("lm2", "lm1")

    # A dialog that is open follows. What was written stays, and nobody takes the place of who was chosen.
    order("Switch over: web").click()
    view.says(would, "lm2 → lm1: this would be done.")
    page.fill("#order-reason", "disk swap")
    fail_over(lm2, "lm1")
    view.says(would, "Choose again.")
    expect(confirm.is_disabled(), True, "confirming when nobody is chosen")
    expect(page.evaluate("document.activeElement.id"), "order-reason", "the focus in the dialog")
    view.audit("choosing again")
    page.locator("#order-to").select_option("lm2")
    view.says(would, "lm1 → lm2: this would be done.")
    expect(page.input_value("#order-reason"), "disk swap", "the reason")
    page.keyboard.press("Escape")
    order("Drain: lm2 of web").click()
    view.says(would, "It has no traffic now")
    fail_over(lm1, "lm2")
    view.says(would, "It has the traffic")
    expect(is_risky(confirm), True, "confirming the drain of the active is marked as risky")
    page.keyboard.press("Escape")

    # What can be ordered no more cannot be confirmed.
    view.says(view.backend("web", "lm1").locator(".why"), "a failover to it would work now")
    order("Fail back: web").click()
    view.says(would, "lm2 → lm1: this would be done.")
    fail_over(lm2, "lm1")
    view.says(would, "This order cannot be given any more")
    expect(confirm.is_disabled(), True, "confirming what cannot be ordered any more")


@case
def without_tokens_the_page_is_for_reading_and_says_how_to_get_more(stage):
    lm1, lm2 = stage.pair()
    balancer = stage.lab.understudy(config({"web": service(lm1, lm2)}))
    wait_active(balancer, "web", "lm1")
    view = stage.view(balancer, size=PHONE).open().live()
    view.says(view.page.locator("#who"), "Read only")
    view.says(view.service("web").locator(".how"), "understudy token")
    expect(view.page.locator("button.order").count(), 0, "orders without a token")
    view.page.wait_for_selector(".incidents .notice")
    expect(view.page.locator("footer a").all_inner_texts(), ["/metrics", "/status", "API"], "links without tokens")
    view.shots("one-service")


@case
def names_stay_as_they_are_and_code_is_set_as_code(stage):
    lm1, lm2 = stage.pair()
    gamma = stage.lab.origin("gamma")
    whole = config({"web": service(lm1, lm2, gamma)})
    balancer = Understudy(stage.lab.binary, stage.lab.folder, whole)
    stage.lab.processes.append(balancer)
    wait_active(balancer, "web", "lm1")
    view = stage.view(balancer).open().live()
    page = view.page
    gamma.kill()
    view.says(page.locator(".big"), "Backend gamma is down.")
    balancer.reload({**whole, "workers": 2})
    view.says(page.locator(".process .notice"), "workers has changed")
    expect(page.locator(".process code").all_inner_texts(), ["workers"], "what is code")
    page.goto(view.base + "/#/config")
    view.says(page.locator(".drift .notice"), "workers has changed")
    expect(page.locator(".drift .notice code").all_inner_texts(), ["workers"], "what is code")


@case
def what_backends_and_configs_say_stays_text(stage):
    lm1, lm2 = stage.pair()
    hostile = stage.lab.folder / "hostile"
    hostile.write_text(f"#!/bin/sh\necho '{HOSTILE}'\nexit 1\n")
    hostile.chmod(0o755)
    probes = {"probes": [{"name": "page", "http": {"path": "/healthz"}},
                         {"name": "script", "exec": {"command": [str(hostile)]}}], "interval": "2s"}
    services = {"web": {**service(lm1, lm2), "health": probes}}
    balancer = Understudy(stage.lab.binary, stage.lab.folder, config(services))
    stage.lab.processes.append(balancer)
    wait_until("an outcome of the program",
               lambda: HOSTILE in str(ask(balancer, "/api/v1/status")["services"][0]["backends"][0]["last_probe"]))
    view = stage.view(balancer).open().live()
    row = view.page.locator(".service").first
    view.says(row.locator(".checks").first, HOSTILE)
    view.says(view.page.locator(".big"), "obody can serve")
    expect(view.page.locator("main img").count(), 0, "pictures made of text")
    expect(view.page.evaluate("window.hacked"), None, "what the text would have done")
    # Nothing but files of ours runs, whoever tries.
    view.forgive.append(r"Content Security Policy")
    view.page.evaluate("""() => {
        const script = document.createElement("script");
        script.textContent = "window.hacked = 2";
        document.body.append(script);
    }""")
    expect(view.page.evaluate("window.hacked"), None, "a script in the page")
    view.shots("nobody")

    # A balancer that lies: every name is hostile, too.
    status = ask(balancer, "/api/v1/status")
    status["process"]["drift"] = [HOSTILE]
    for found in status["services"]:
        found["name"] = found["active"] = HOSTILE
        for backend in found["backends"]:
            backend["name"] = backend["url"] = HOSTILE
    lies = f"event: status\ndata: {json.dumps(status)}\n\n"
    liar = stage.view(balancer, forgive=REFUSED)
    liar.page.route("**/api/v1/events/stream", lambda route: route.fulfill(
        status=200, content_type="text/event-stream", body=lies))
    liar.open()
    row = liar.page.locator(".service").first
    liar.says(row.locator(".service-name"), HOSTILE)
    liar.says(row.locator(".backend h4").first, HOSTILE)
    liar.says(liar.page.locator(".process"), HOSTILE)
    expect(liar.page.locator("main img").count(), 0, "pictures made of names")
    expect(liar.page.evaluate("window.hacked"), None, "what a name would have done")
    liar.audit("hostile names")


@case
def two_hundred_services_are_drawn_at_once_and_answer_at_once(stage):
    lm1, lm2 = stage.pair()
    # It is the page that is under test: two small backends must bear 400 probers.
    slow = {"tcp": {}, "interval": "5s", "confirm_interval": "1s", "timeout": "1s", "rise": 1}
    services = {f"service-{n:03}": service(lm1, lm2, health=slow) for n in range(200)}
    balancer = Understudy(stage.lab.binary, stage.lab.folder, config(services, routes=routes(services)))
    stage.lab.processes.append(balancer)
    settled = lambda: all(s["active"] for s in ask(balancer, "/api/v1/status")["services"])
    wait_until("all have an active", settled, deadline=3 * PATIENCE)
    # While axe looks at so much on a busy machine the page may take nothing for long, is given up, and comes again.
    view = stage.view(balancer, forgive=LOST)
    page = view.page
    page.add_init_script("""
        new MutationObserver(() => { if (document.querySelectorAll(".service").length >= 200) window.drawn ??= performance.now(); })
            .observe(document, { childList: true, subtree: true });
    """)
    meter = view.context.new_cdp_session(page)
    meter.send("Performance.enable", {"timeDomain": "threadTicks"})

    def worked():
        """Seconds of CPU time that the page's thread has spent on tasks."""
        found = {each["name"]: each["value"] for each in meter.send("Performance.getMetrics")["metrics"]}
        return found["TaskDuration"]

    begun = worked()
    view.open().live()
    view.until("window.drawn")
    view.settle()
    drawing, drawn = worked() - begun, view.until("window.drawn")
    # Statuses of 400 backends come in, four times a second at most.
    begun, clock = worked(), time.monotonic()
    page.wait_for_timeout(4000)
    following = (worked() - begun) / (time.monotonic() - clock)
    clock = time.monotonic()
    page.fill("#filter", "service-19")
    view.until("document.querySelectorAll('.service').length === 10")
    filtered = time.monotonic() - clock
    page.fill("#filter", "")
    view.until("document.querySelectorAll('.service').length === 200")
    page.locator(".service").nth(150).get_by_role("button").first.click()
    page.wait_for_selector(".service .backend .pulse")
    print(f"      200 services drawn after {drawn:.0f} ms with {drawing * 1000:.0f} ms of CPU time; following takes "
          f"{following:.0%} of a core; filtered in {filtered * 1000:.0f} ms")
    if not 0 < drawing < DRAWN_WITHIN or following > FOLLOWING or filtered > FILTERED_WITHIN:
        raise Trouble("too slow: see the line above")
    view.shots("many", whole=False)
    page.check("#only")
    view.says(page.locator(".notice"), "No service fits.")


@case
def a_restart_is_shown_as_a_lost_connection_and_survived(stage):
    lm1, lm2 = stage.pair()
    whole = config({"web": service(lm1, lm2)})
    balancer = stage.lab.understudy(whole)
    wait_active(balancer, "web", "lm1")
    view = stage.view(balancer, forgive=LOST).open().live()
    balancer.end()
    page = view.page
    page.wait_for_selector("#connection[data-state=lost]")
    view.says(page.locator("#lost"), "Connection lost")
    view.says(page.locator("#lost"), "last seen")
    view.shots("lost")
    # What was seen last stays to be read.
    expect(view.service("web").locator(".active-name").inner_text(), "lm1", "what was seen last")
    lm1.kill()
    again = stage.lab.understudy(whole)
    wait_active(again, "web", "lm2")
    page.wait_for_selector("#connection[data-state=live]")
    view.says(view.service("web").locator(".active-name"), "lm2")
    expect(page.locator("#lost").is_visible(), False, "the note about the lost connection")
    # A page that comes while nobody answers says so, too.
    again.end()
    page.wait_for_selector("#connection[data-state=lost]")


@case
def everything_is_in_reach_of_the_keyboard(stage):
    lm1, lm2 = stage.pair()
    balancer = stage.lab.understudy(config({"web": service(lm1, lm2)}))
    wait_active(balancer, "web", "lm1")
    view = stage.view(balancer).open().live()
    page = view.page
    page.wait_for_selector(".incidents .notice")
    reached = []
    for _ in range(40):
        page.keyboard.press("Tab")
        found = page.evaluate("""() => {
            const node = document.activeElement;
            if (node === document.body) return null;
            const style = getComputedStyle(node.matches(".mark") ? node.querySelector(".reach") : node);
            return [node.textContent.trim().slice(0, 40) || node.getAttribute("aria-label") || node.id,
                    style.outlineStyle !== "none" || style.stroke !== "none"];
        }""")
        if found is None:
            break
        reached.append(found)
    names = [name for name, _ in reached]
    for wanted in ("Skip to the services", "Services", "Switches", "Config", "Read only", "Dark", "web", "1 h", "24 h"):
        if not any(name.startswith(wanted) for name in names):
            raise Trouble(f"{wanted!r} cannot be reached: {names}")
    unseen = [name for name, is_seen in reached if not is_seen]
    expect(unseen, [], "reached without being seen")
    # Light and dark by hand, remembered.
    page.get_by_role("button", name="Switch to dark colours").click()
    expect(page.evaluate("getComputedStyle(document.body).backgroundColor"), "rgb(19, 22, 25)", "dark paper")
    page.reload()
    view.live()
    expect(page.evaluate("document.documentElement.dataset.theme"), "dark", "after a reload")


@case
def a_config_without_moves_and_an_unknown_incident_are_said(stage):
    lm1 = stage.lab.origin("lm1")
    balancer = stage.lab.understudy(config({"alone": service(lm1, failback="manual")}))
    wait_active(balancer, "alone", "lm1")
    view = stage.view(balancer, forgive=REFUSED).open("#/incident/999999")
    view.says(view.page.locator(".story"), "there is no incident 999999")
    view.audit("an unknown incident")
    view.page.goto(view.base + "/#/")
    view.says(view.service("alone").locator(".chance"), "there is no standby")
    view.says(view.page.locator(".big"), "The service is on its primary, and has no standby.")
    view.shots("alone")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("--binary", "--chromium", "--artefacts"):
        parser.add_argument(name, required=True)
    for name in ("--only", "--picture", "--pages"):
        parser.add_argument(name, default="")
    options = parser.parse_args()
    # As an exception, so that each lab ends what it has started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("dashboard: it was told to end"))
    shutil.rmtree(options.artefacts, ignore_errors=True)
    pathlib.Path(options.artefacts).mkdir(parents=True)
    chosen = [each for each in CASES if re.search(options.only, each.__name__)]
    failed = 0
    with sync_playwright() as playwright:
        # Without the sandbox of Chromium it also runs as root; it opens nothing but pages of ours.
        browser = playwright.chromium.launch(executable_path=options.chromium, args=["--no-sandbox"])
        for each in chosen:
            begun = time.monotonic()
            with Lab(options.binary) as lab:
                stage = Stage(lab, browser, options)
                try:
                    each(stage)
                    stage.close()
                    result = "ok"
                except Exception:  # A case may fail in any way; the others go on.
                    failed += 1
                    result = "FAILED"
                    for number, view in enumerate(stage.views):
                        if not view.page.is_closed():
                            view.page.screenshot(path=stage.artefacts / f"failed-{each.__name__}-{number}.png")
                        print("\n".join(view.errors))
                    traceback.print_exc()
            print(f"{result:<7} {time.monotonic() - begun:6.1f} s  {each.__name__.replace('_', ' ')}", flush=True)
        browser.close()
    pictures = len(list(pathlib.Path(options.artefacts).glob("*.png")))
    print(f"dashboard: {len(chosen) - failed} of {len(chosen)} pass; {pictures} screenshots in {options.artefacts}")
    sys.exit(1 if failed or not chosen else 0)


if __name__ == "__main__":
    main()
