"""Walks through the review app as people do, in Chromium: four times, in Dutch and in English, with scripts and without.

    review_walk.py ROOT_OF_THE_CHECKOUT EMPTY_DIRECTORY

On every page: no violation that axe-core knows of; nothing wider than the screen at 1280 and at 390 pixels, nor at 200 %
zoom; nothing planted, that is, no number, name or pseudonym of a pupil. The same goes for every address, cookie, header
and name of a download, for what the server writes, and for what the log tells other tools. Exits 1 with the first thing
that is wrong.
"""
import base64
import csv
import hashlib
import io
import json
import pathlib
import shutil
import struct
import subprocess
import sys
import time

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support import expected_conditions as until
from selenium.webdriver.support.ui import Select, WebDriverWait

import review_world
from review_world import ACCOUNTS, EVIL, PASSPHRASE, PUPILS, SCHOOLS, World

ROOT, WORK = pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2]).resolve()
SHOTS = ROOT / "target/review"
AXE = (ROOT / "target/peers/node_modules/axe-core/axe.min.js").read_text()
SESSION, LANGUAGE = "__Host-sluis", "__Host-taal"
# Widths in CSS pixels with the device's pixels for each: a desk, the same at 200 % zoom, a phone.
DESK, ZOOMED, PHONE = (1280, 1), (640, 2), (390, 2)
WAIT = 20

TEXTS = {
    "nl": {
        "overview": "Overzicht", "disclosures": "Verstrekkingen", "suppliers": "Leveranciers", "pupil": "Leerling",
        "breach": "Datalek", "review": "Controle", "decisions": "Besluiten", "log_in": "Inloggen",
        "failed": "Inloggen is niet gelukt", "wait": "Te veel pogingen", "out": "U bent uitgelogd",
        "ended": "Uw sessie is verlopen", "intact": "Ongeschonden", "refused": "geweigerd",
        "entered": "Vastgelegd, kenmerk", "lifted": "Ingetrokken, kenmerk", "erased": "Gewist: ",
        "attested": "Vastgelegd in het logboek", "judged": "beoordeeld", "approved": "Goedgekeurd, kenmerk",
        "rejected": "Afgewezen, kenmerk", "forbidden": "Uw rol mag dit niet", "not_found": "Deze pagina bestaat niet",
        "kind": "kent personen aan een ander nummer",
    },
    "en": {
        "overview": "Overview", "disclosures": "Disclosures", "suppliers": "Suppliers", "pupil": "Pupil",
        "breach": "Breach", "review": "Review", "decisions": "Decisions", "log_in": "Log in",
        "failed": "Log-in failed", "wait": "Too many attempts", "out": "You are logged out",
        "ended": "Your session has ended", "intact": "Intact", "refused": "refused",
        "entered": "Entered, reference", "lifted": "Lifted, reference", "erased": "Erased: ",
        "attested": "Put in the log", "judged": "judged", "approved": "Approved, reference",
        "rejected": "Rejected, reference", "forbidden": "Your role may not do this", "not_found": "This page does not exist",
        "kind": "knows persons by another number",
    },
}


class Wrong(Exception):
    """Something is not as it should be."""


def check(holds, what):
    if not holds:
        raise Wrong(what)


class Server:
    """`sluis serve`, until the walk is over."""

    def __init__(self, world):
        self.errors = WORK / "errors"
        with self.errors.open("wb") as errors:
            self.process = subprocess.Popen([world.sluis, "serve"], cwd=world.home, stdout=subprocess.PIPE, stderr=errors,
                                            text=True)
        self.said = []
        while not self.said or not self.said[-1].startswith("review on "):
            line = self.process.stdout.readline()
            check(line, f"serve ended: {self.errors.read_text()}")
            self.said.append(line)
        self.url = self.said[-1].removeprefix("review on ").strip().rstrip("/")

    def stop(self):
        """Gives everything it wrote."""
        self.process.terminate()
        rest = self.process.communicate(timeout=WAIT)[0]
        check(self.process.returncode == 0, f"serve ended with {self.process.returncode}")
        return "".join(self.said) + rest + self.errors.read_text()


class Canary:
    """What is planted, and where it was looked for."""

    def __init__(self, planted):
        self.planted = sorted(planted)
        self.looked = 0

    def look(self, where, text):
        self.looked += 1
        for value in self.planted:
            check(value not in text, f"{value} in {where}")


class Browser:
    """A Chromium, with scripts or without."""

    def __init__(self, world, url, canary, scripts):
        self.world, self.url, self.canary, self.scripts = world, url, canary, scripts
        self.downloads = WORK / ("downloads-scripts" if scripts else "downloads-none")
        self.downloads.mkdir()
        # Only the certificate that `init` made is believed, and nothing else that has an error.
        certificate = x509.load_pem_x509_certificate((world.home / "certs/gateway.pem").read_bytes())
        spki = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        pin = base64.b64encode(hashlib.sha256(spki).digest()).decode()
        options = webdriver.ChromeOptions()
        options.binary_location = shutil.which("chromium")
        # What scrolls smoothly is elsewhere by the time it is clicked.
        for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--force-prefers-reduced-motion",
                         "--lang=nl", f"--ignore-certificate-errors-spki-list={pin}"):
            options.add_argument(argument)
        options.add_experimental_option("prefs", {"intl.accept_languages": "nl"})
        options.set_capability("goog:loggingPrefs", {"performance": "ALL", "browser": "ALL"})
        self.driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(shutil.which("chromedriver")))
        self.driver.set_script_timeout(WAIT)
        self.driver.set_page_load_timeout(WAIT)
        self.cdp("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(self.downloads))
        self.screen(DESK)
        self.allow(scripts)
        self.walk, self.shown = "", 0
        # What is wrong with how pages look and read: all of it is told at the end.
        self.faults = []

    def cdp(self, command, **parameters):
        return self.driver.execute_cdp_cmd(command, parameters)

    def allow(self, scripts):
        self.cdp("Emulation.setScriptExecutionDisabled", value=not scripts)

    def screen(self, size):
        self.cdp("Emulation.setDeviceMetricsOverride", width=size[0], height=900, deviceScaleFactor=size[1], mobile=False)

    def wait(self, condition):
        return WebDriverWait(self.driver, WAIT, poll_frequency=0.05).until(condition)

    # What people do.

    def get(self, path):
        self.driver.get(self.url + path)

    def find(self, css):
        return self.driver.find_element(By.CSS_SELECTOR, css)

    def all(self, css):
        return self.driver.find_elements(By.CSS_SELECTOR, css)

    def text(self):
        return self.find("main").text

    def leads(self, do):
        """Does what brings another page."""
        before = self.document()
        do()
        self.wait(lambda _: self.document() != before)
        self.wait(lambda driver: driver.execute_script("return document.readyState") == "complete")

    def document(self):
        """Tells a page from the one before, also at the same address."""
        return self.cdp("Page.getFrameTree")["frameTree"]["frame"]["loaderId"]

    def press(self, css):
        self.leads(self.find(css).click)

    def choose(self, name, value):
        Select(self.find(f"[name='{name}']")).select_by_value(value)

    def write(self, name, text):
        self.find(f"[name='{name}']").send_keys(text)

    def download(self, css, name):
        self.find(css).click()
        file = self.downloads / name
        # The browser keeps the name with an empty file, and puts what it has fetched in its place.
        self.wait(lambda _: file.exists() and file.stat().st_size > 0)
        content = file.read_bytes()
        file.unlink()
        return content

    def speak(self, language):
        if self.find("html").get_attribute("lang") != language:
            self.press("[name='taal']")
        check(self.find("html").get_attribute("lang") == language, "the language switch")

    def has_session(self, value):
        self.cdp("Network.setCookie", url=self.url, name=SESSION, value=value, path="/", secure=True, httpOnly=True,
                 sameSite="Strict")

    def session(self):
        cookies = [cookie for cookie in self.cdp("Network.getCookies", urls=[self.url])["cookies"]
                   if cookie["name"] == SESSION]
        check(len(cookies) == 1 and cookies[0]["secure"] and cookies[0]["httpOnly"]
              and cookies[0]["sameSite"] == "Strict", "the cookie of the session")
        return cookies[0]["value"]

    # What is held against every page.

    def see(self, name, heading=None):
        self.shown += 1
        where = f"{self.walk} {name}"
        if heading:
            check(self.find("h1").text == heading, f"{where}: {self.find('h1').text!r} in place of {heading!r}")
        self.canary.look(f"the page {where}", self.driver.page_source)
        check(not self.all("img"), f"{where}: a name became markup")
        self.allow(True)
        self.driver.execute_script(AXE)
        for size in (DESK, ZOOMED, PHONE):
            self.screen(size)
            width = self.driver.execute_script("return document.documentElement.scrollWidth")
            if width > size[0]:
                self.faults.append(f"{where}: {width} wide on {size[0]} pixels")
            if size != ZOOMED:
                self.axe(f"{where} at {size[0]}")
                self.shoot(f"{self.walk[:2]}-{name}-{size[0]}", size)
        self.screen(DESK)
        self.allow(self.scripts)
        self.trail()

    def axe(self, where):
        # What the newest WCAG asks for is not on by itself.
        found = self.driver.execute_async_script(
            "const done = arguments[0];"
            "axe.run({resultTypes: ['violations'], rules: {'target-size': {enabled: true}}})"
            ".then(({violations, passes}) => done({violations, passes: passes.length}), error => done({error: String(error)}))")
        check(found.get("passes", 0) > 0, f"{where}: axe did not run: {found}")
        self.faults += [f"{where}: {one['id']}: {one['help']}: " + "; ".join(node["html"][:200] for node in one["nodes"])
                        for one in found["violations"]]

    def shoot(self, name, size):
        # To look at, one of each language will do.
        file = SHOTS / f"{name}.png"
        if file.exists():
            return
        height = self.driver.execute_script("return document.documentElement.scrollHeight")
        shot = self.cdp("Page.captureScreenshot", captureBeyondViewport=True,
                        clip={"x": 0, "y": 0, "width": size[0], "height": min(height, 6000), "scale": 1 / size[1]})
        file.write_bytes(base64.b64decode(shot["data"]))

    def trail(self):
        """Addresses, headers and names of downloads since the last time; cookies; what the console says."""
        look = self.canary.look
        for entry in self.driver.get_log("performance"):
            message = json.loads(entry["message"])["message"]
            method, said = message["method"], message["params"]
            if method == "Network.requestWillBeSent":
                look("an address", said["request"]["url"])
                check(said["request"]["url"].startswith((self.url, "data:", "chrome-error:")),
                      f"something is fetched from elsewhere: {said['request']['url']}")
                look("a header of a request", json.dumps(said["request"]["headers"]))
            elif method in ("Network.responseReceived", "Network.responseReceivedExtraInfo"):
                look("a header", json.dumps(said.get("response", said).get("headers")))
            elif method in ("Page.downloadWillBegin", "Browser.downloadWillBegin"):
                look("the name of a download", said["suggestedFilename"])
        look("a cookie", json.dumps(self.cdp("Network.getAllCookies")))
        for entry in self.driver.get_log("browser"):
            look("the console", entry["message"])
            # A status that says no is written there too; only what is not as the page wants it is wrong.
            check("Failed to load resource" in entry["message"], f"the console says: {entry['message']}")


def text_of(pdf):
    check(pdf.startswith(b"%PDF"), "that is no PDF")
    shown = subprocess.run(["pdftotext", "-", "-"], input=pdf, capture_output=True, check=True)
    return shown.stdout.decode()


def rows_of(content):
    text = content.decode()
    check(text.startswith("\ufeff"), "a spreadsheet would not know that this is UTF-8")
    return list(csv.DictReader(io.StringIO(text.removeprefix("\ufeff"))))


def entry_of(data, wanted):
    """A leaf, from the tiles."""
    for bundle in sorted((data / "tile/entries").rglob("*")):
        if not bundle.is_file():
            continue
        first = 256 * int(bundle.parent.name.removesuffix(".p") if bundle.parent.name.endswith(".p") else bundle.name)
        content = bundle.read_bytes()
        at = first
        while content:
            (length,) = struct.unpack_from(">H", content)
            if at == wanted:
                return content[2:2 + length]
            content = content[2 + length:]
            at += 1
    raise Wrong(f"entry {wanted} is not in the tiles")


def proves(proof, leaf, data):
    """Whether a file of c2sp.org/tlog-proof shows that a leaf is in the log that has this key (RFC 9162, 2.1.3.2)."""
    head, _, note = proof.partition("\n\n")
    lines = head.splitlines()
    check(lines[0] == "c2sp.org/tlog-proof@v1", "the proof has another form")
    lines = [line for line in lines[1:] if not line.startswith("extra ")]
    index = int(lines[0].removeprefix("index "))
    path = [base64.b64decode(line) for line in lines[1:]]
    signed, _, signature = note.partition("\n\n")
    _, size, root = (signed + "\n").splitlines()[:3]
    key = base64.b64decode((data / "log.vkey").read_text().strip().split("+", 2)[2])
    blob = base64.b64decode(signature.splitlines()[0].split(" ")[2])
    Ed25519PublicKey.from_public_bytes(key[1:]).verify(blob[4:], (signed + "\n").encode())
    found, at, last = hashlib.sha256(b"\0" + leaf).digest(), index, int(size) - 1
    for other in path:
        if at & 1 or at == last:
            found = hashlib.sha256(b"\1" + other + found).digest()
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            found = hashlib.sha256(b"\1" + found + other).digest()
        at, last = at >> 1, last >> 1
    return found == base64.b64decode(root)


class Walk:
    """Through every part, as each of the roles."""

    def __init__(self, browser, language, number, sessions):
        self.browser, self.language, self.number, self.sessions = browser, language, number, sessions
        self.t, self.world = TEXTS[language], browser.world
        self.school = list(SCHOOLS)[number % 2]
        browser.walk = f"{language}-{'scripts' if browser.scripts else 'none'}"

    def run(self):
        for part in (self.overview, self.disclosures, self.suppliers, self.pupil, self.rights, self.breach, self.review,
                     self.decisions, self.elsewhere):
            part()

    def be(self, role):
        self.browser.has_session(self.sessions[role])

    def said(self, kind, text):
        shown = self.browser.find(f".sluis-alert--{kind}").text
        check(text in shown, f"{self.browser.walk}: {shown!r} in place of {text!r}")

    def overview(self):
        b = self.browser
        self.be("fg")
        b.get("/")
        b.speak(self.language)
        check(ACCOUNTS["fg"] in b.find(".sluis-who").text, "who is logged in")
        # The first key leads past the menu, and shows that it does.
        b.find("body").send_keys(Keys.TAB)
        focused = b.driver.switch_to.active_element
        check(focused.get_attribute("href").endswith("#inhoud") and focused.rect["x"] >= 0, "the way past the menu")
        b.press("[action='/nagaan'] button")

        def verified(_):
            b.get("/")
            return self.t["intact"] in b.text()
        b.wait(verified)
        b.see("overview", self.t["overview"])

    def disclosures(self):
        b, world = self.browser, self.world
        b.press("a[href='/verstrekkingen']")
        b.see("disclosures", self.t["disclosures"])
        b.get(f"/verstrekkingen?van={world.month_before}&aantal=4")
        pages = []
        while True:
            pages.append([row.get_attribute("href") for row in b.all("tbody th a")])
            if not b.all("[rel=next]"):
                break
            b.press("[rel=next]")
        everything = {address for page in pages for address in page}
        check(len(pages) > 2 and len(everything) == sum(map(len, pages)) == world.deliveries, f"pages hold {pages}")
        b.press("[rel=prev]")
        check([row.get_attribute("href") for row in b.all("tbody th a")] == pages[-2], "the page before")
        b.get(f"/verstrekkingen?van={world.month_before}")
        if b.scripts:
            b.leads(lambda: b.choose("afloop", "refused"))
        else:
            b.choose("afloop", "refused")
            b.press(".sluis-filter button")
        check("afloop=refused" in b.driver.current_url, "the filter is in the address")
        badges = {badge.text for badge in b.all("tbody .sluis-badge")}
        check(badges == {self.t["refused"]}, f"the filter shows {badges}")
        exported = rows_of(b.download("a[href^='/verstrekkingen.csv']", "verstrekkingen.csv"))
        check(len(exported) == len(b.all("tbody tr")) and {row["afloop"] for row in exported} == {"refused"}, "the export")
        b.canary.look("an export", json.dumps(exported))
        b.press("tbody th a")
        b.see("refusal")
        b.get(f"/verstrekkingen?van={world.month_before}&afloop=sent&school=99DE")
        b.press("tbody th a")
        b.see("disclosure")
        position = int(b.driver.current_url.rsplit("/", 1)[1])
        b.find("summary").click()
        check(b.find("pre").is_displayed(), "the proof can be unfolded")
        proof = b.download("a[href$='/bewijs']", f"{position}.tlog-proof").decode()
        data = world.home / "data"
        check(proves(proof, entry_of(data, position), data), "the proof proves nothing")
        check(not proves(proof, entry_of(data, position - 1), data), "the proof proves anything")

    def suppliers(self):
        b = self.browser
        b.press("a[href='/leveranciers']")
        check(EVIL in b.text(), "the name as it is")
        b.see("suppliers", self.t["suppliers"])
        b.press("a[href='/leveranciers/zuidzee']")
        b.see("supplier", EVIL)
        rows = rows_of(b.download("a[href$='/gegevens.csv']", "gegevens.csv"))
        check(any(row["veld"] == "leerling.roepnaam" and int(row["verstrekt_in"]) > 0 for row in rows), "what it got")
        report = text_of(b.download("a[href$='/rapport.pdf']", "leverancier.pdf"))
        check("Zuidzee" in report and SCHOOLS["99DE"] in report, f"the report of a supplier is {report[:300]}")
        b.canary.look("a report", report + json.dumps(rows))
        b.get("/leveranciers/noordzee")
        b.see("supplier-notices")

    def look_up(self, school, kind, number, reason):
        b = self.browser
        b.get("/leerling")
        b.choose("school", school)
        b.choose("soort", kind)
        b.write("nummer", number)
        b.choose("reden", reason)
        b.press("form[action='/leerling'] button")

    def pupil(self):
        b, world, pupil = self.browser, self.world, PUPILS[self.number]
        b.press("a[href='/leerling']")
        b.see("pupil", self.t["pupil"])
        # What is wrong is said, and not repeated.
        self.look_up("99DE", "pgn", pupil.bsn, "inzage")
        self.said("fout", self.t["kind"])
        check(not b.all(".sluis-report") and not b.find("#nummer").get_attribute("value"), "a number comes back")
        b.see("pupil-wrong", self.t["pupil"])
        for name, school, kind, number in (
                ("pupil-key", "99DE", "key", pupil.key), ("pupil-bsn", "99DF", "pgn", pupil.bsn),
                ("pupil-pseudonym", "99DE", "eckid", world.eckids["99DE", "noordzee"][self.number])):
            self.look_up(school, kind, number, "inzage")
            check("Uitgeverij Noordzee" in b.find(".sluis-report").text, f"{name}: who got what")
            b.see(name, self.t["pupil"])
        report = text_of(b.download("form[action='/leerling/pdf'] button", "inzage.pdf"))
        check("Uitgeverij Noordzee" in report and "Rekenroute" in report, f"the report on a pupil is {report[:300]}")
        b.canary.look("a report", report)

    def rights(self):
        b, pupil = self.browser, PUPILS[20 + self.number]
        self.be("beheerder")
        self.look_up("99DE", "key", pupil.key, "rechten")
        b.press("form[action='/leerling/vastleggen'] button")
        self.said("goed", self.t["entered"])
        b.see("objection", self.t["pupil"])
        b.press("form[action='/leerling/intrekken'] button")
        self.said("goed", self.t["lifted"])
        check(not b.all("form[action='/leerling/intrekken']"), "nothing stands")
        b.find("#zeker").click()

        def erase():
            b.find("form[action='/leerling/wissen'] button").click()
            if b.scripts:
                b.wait(until.alert_is_present()).accept()
        b.leads(erase)
        self.said("goed", self.t["erased"])
        b.see("erased", self.t["pupil"])
        self.be("fg")

    def breach(self):
        b, world = self.browser, self.world
        b.get("/datalek")
        b.see("breach", self.t["breach"])
        for leaked in (world.eckids["99DE", "noordzee"][:3], []):
            b.get("/datalek")
            b.choose("leverancier", "noordzee")
            b.choose("school", "99DE")
            b.write("pseudoniemen", "\n".join(leaked))
            b.choose("reden", "datalek")
            b.press("form[action='/datalek'] button")
            b.see("breach-pseudonyms" if leaked else "breach-all", self.t["breach"])
            report = text_of(b.download("form[action='/datalek/pdf'] button", "datalek.pdf"))
            check("Noordzee" in report, f"the report on a breach is {report[:300]}")
            b.canary.look("a report", report)
            if leaked:
                rows = rows_of(b.download("form[action='/datalek/csv'] button", "geraakt.csv"))
                check(len(rows) == len(leaked), f"{len(rows)} persons in place of {len(leaked)}")
                b.canary.look("an export", json.dumps(rows))

    def review(self):
        b, world = self.browser, self.world
        month = str((world.last_month, world.month_before)[self.number // 2])[:7]
        b.get("/controle")
        b.see("months", self.t["review"])
        b.press(f"a[href='/controle/{self.school}/{month}']")
        progress = b.find("[data-progress-shown]").text
        check((self.t["judged"] in progress) == b.scripts, f"how many are judged: {progress!r}")
        b.see("sample", self.t["review"])
        fields = b.all("fieldset")
        check(fields, "there is nothing to judge")
        for place, field in enumerate(fields):
            field.find_element(By.CSS_SELECTOR, f"input[value='{'bevinding' if place == 1 else 'in-orde'}']").click()
        if len(fields) > 1:
            b.all("input[name^='opmerking-']")[1].send_keys("Bestand was van een andere school.")
        b.write("conclusie", "Gecontroleerd aan de hand van de overeenkomst.")
        b.press("main form button[type=submit]")
        self.said("goed", self.t["attested"])
        b.see("attested", self.t["review"])
        b.get("/controle")
        row = next(row for row in b.all("tbody tr") if SCHOOLS[self.school] in row.text and month in row.text)
        check(ACCOUNTS["fg"] in row.text, "who reviewed the month")
        b.see("months-reviewed", self.t["review"])

    def decisions(self):
        b = self.browser
        b.press("a[href='/besluiten']")
        check(not b.all("main button"), "an FG decides nothing")
        self.be("goedkeurder")
        b.get("/besluiten")
        b.see("decisions", self.t["decisions"])
        held, waiting = (len(b.all(f"form[action='/besluiten/{what}']")) for what in ("verstrekking", "overeenkomst"))
        check((held, waiting) == (4 - self.number, 4 - self.number), f"{held} held, {waiting} agreements wait")
        b.find("[name=reden]").send_keys("Nieuw schooljaar")
        b.press(f"[name=besluit][value={'af' if self.number % 2 else 'goed'}]")
        self.said("goed", self.t["rejected" if self.number % 2 else "approved"])
        b.press("form[action='/besluiten/overeenkomst'] button")
        self.said("goed", self.t["approved"])
        if b.all("main details"):
            b.find("main details summary").click()
        b.see("decided", self.t["decisions"])

    def elsewhere(self):
        b = self.browser
        check(not b.all("nav a[href='/leerling']"), "an approver looks nobody up")
        b.get("/leerling")
        check(self.t["forbidden"] in b.text(), "an approver looks nobody up")
        b.see("forbidden")
        self.be("fg")
        b.get("/nergens")
        check(self.t["not_found"] in b.text(), "a page that is not there")
        b.see("not-found")


def log_in(browser, role, code, name=None):
    browser.find("[name=naam]").clear()
    browser.write("naam", name or ACCOUNTS[role])
    browser.write("wachtwoordzin", PASSPHRASE)
    browser.write("code", code)
    browser.press("form[action='/inloggen'] button")


def doors(browser, world, language, roles):
    """The way in, for one language."""
    t = TEXTS[language]
    browser.walk = f"{language}-{'scripts' if browser.scripts else 'none'}"
    browser.get("/")
    browser.speak(language)
    browser.see("log-in", t["log_in"])
    sessions = {}
    for place, role in enumerate(roles):
        if place == 0:
            # Five that are wrong, of a name that nobody has; then even what is right would have to wait.
            for _ in range(5):
                log_in(browser, role, "000000", name=f"niemand {browser.walk}")
                check(t["failed"] in browser.text(), "a log-in that is wrong")
            browser.see("log-in-failed", t["log_in"])
            log_in(browser, role, "000000", name=f"niemand {browser.walk}")
            check(t["wait"] in browser.text(), "too many log-ins that are wrong")
            browser.see("log-in-wait", t["log_in"])
        log_in(browser, role, review_world.code_of(world.uris[role]))
        check(browser.find("h1").text == t["overview"], f"{role} is not in: {browser.text()}")
        sessions[role] = browser.session()
        if place + 1 < len(roles):
            browser.driver.delete_all_cookies()
            browser.get("/")
            browser.speak(language)
    return sessions


def leave(browser, other, world, sessions):
    """Out: by oneself, and because the account changed."""
    browser.speak("nl")
    browser.has_session(sessions["fg"])
    browser.get("/")
    browser.press("form[action='/uitloggen'] button")
    check(TEXTS["nl"]["out"] in browser.text(), "logged out")
    browser.see("logged-out", TEXTS["nl"]["log_in"])
    # The session is over everywhere, also where the cookie is still there.
    for role in ("fg", "beheerder"):
        if role == "beheerder":
            world.run("users", "role", ACCOUNTS[role], "--role", "beheerder", "--school", "99DE")
        other.has_session(sessions[role])
        other.get("/verstrekkingen")
        check(TEXTS["en"]["ended"] in other.text(), "a session that has ended")
    other.see("ended", TEXTS["en"]["log_in"])


def main():
    began = time.monotonic()
    world = World(str(ROOT / "target/debug/sluis"), WORK / "home")
    canary = Canary(world.planted)
    server = Server(world)
    browsers = []
    try:
        for scripts in (True, False):
            browsers.append(Browser(world, server.url, canary, scripts))
        with_scripts, without = browsers
        sessions = doors(with_scripts, world, "nl", ["fg", "goedkeurder"])
        sessions |= doors(without, world, "en", ["beheerder"])
        for number, (browser, language) in enumerate(
                [(with_scripts, "nl"), (without, "en"), (with_scripts, "en"), (without, "nl")]):
            Walk(browser, language, number, sessions).run()
        without.speak("en")
        leave(with_scripts, without, world, sessions)
        for browser in browsers:
            browser.trail()
    finally:
        for browser in browsers:
            browser.driver.quit()
        written = server.stop()
    canary.look("what the server wrote", written)
    canary.look("the log, as other tools get it", world.leaves())
    check("intact" in world.run("log", "verify", "data"), "the log is not intact")
    faults = [fault for browser in browsers for fault in browser.faults]
    check(not faults, "\n".join(faults))
    shown = sum(browser.shown for browser in browsers)
    print(f"Chromium and axe-core: {shown} pages, with and without scripts, in two languages and three widths; nothing of "
          f"a pupil in {canary.looked} places; {time.monotonic() - began:.0f} s")


try:
    main()
except Wrong as wrong:
    print(wrong)
    sys.exit(1)
