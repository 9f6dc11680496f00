"""A working directory for the tests of the review app: two schools, four suppliers, three months of deliveries, and
something that waits for each role. What it plants (numbers, names, pseudonyms) is known, so that a page which shows any
of it is found.
"""
import base64
import datetime
import hashlib
import hmac
import os
import re
import struct
import subprocess
import time
import urllib.parse
import zoneinfo

# Names that would run or break out, were they not escaped.
EVIL = 'Zuidzee "><img src=x onerror=alert(1)>'
EVIL_GROUP = '4A &lt;/td&gt;&lt;img src=x onerror=alert(2)&gt;'
SCHOOLS = {"99DE": "Basisschool De Sluis", "99DF": "Basisschool De Kade"}
PASSPHRASE = "zeven losse woorden zonder verband"
ACCOUNTS = {"fg": "F. Groot", "beheerder": "B. Bakker", "goedkeurder": "G. de Wit"}
RELEASE = """
"leerling.achternaam"   = "pass"
"leerling.roepnaam"     = "pass"
"leerling.geboortedatum" = "year"
"leerling.jaargroep"    = "pass"
"leerling.groep"        = "pass"
"groep.naam"            = "pass"
"""


class Pupil:
    """One that is recognised wherever it shows: no digit or letter of it occurs elsewhere by chance."""

    def __init__(self, number):
        self.key = f"7630{number:04}"
        self.bsn = bsn(number)
        self.first, self.last = f"Kanariejip{number}", f"Kanariestra{number}"

    def xml(self, first):
        return (f'<leerling key="{self.key}"><achternaam>{self.last}</achternaam><roepnaam>{first or self.first}</roepnaam>'
                f"<geboortedatum>2016-04-02</geboortedatum><geslacht>2</geslacht><jaargroep>4</jaargroep>"
                f'<groep key="G1"/><bsn>{self.bsn}</bsn></leerling>')


def bsn(number):
    """The number-th of those that pass the eleven-test and are given to nobody."""
    found = 0
    for digits in range(999990000, 999999999):
        text = str(digits)
        weighted = sum(int(text[place]) * (9 - place) for place in range(8)) - int(text[8])
        if weighted % 11 == 0:
            if found == number:
                return text
            found += 1
    raise ValueError("there are no more")


PUPILS = [Pupil(number) for number in range(40)]


def feed(brin, pupils, first=None):
    inside = "".join(pupil.xml(first) for pupil in pupils)
    return ('<leerlinggegevens_antwoord xmlns="http://www.edustandaard.nl/leerresultaten/2/leerlinggegevens">'
            f"<leerlinggegevens><school><schooljaar>2026-2027</schooljaar><brincode>{brin}</brincode>"
            f'<xsdversie>2.3</xsdversie></school><groepen><groep key="G1"><naam>{EVIL_GROUP}</naam>'
            f"<jaargroep>4</jaargroep></groep></groepen><leerlingen>{inside}</leerlingen>"
            "</leerlinggegevens></leerlinggegevens_antwoord>")


def code_of(uri):
    """The code that an authenticator app shows now (RFC 6238)."""
    secret = urllib.parse.parse_qs(urllib.parse.urlsplit(uri).query)["secret"][0]
    key = base64.b32decode(secret + "=" * (-len(secret) % 8))
    digest = hmac.digest(key, struct.pack(">Q", int(time.time()) // 30), hashlib.sha1)
    start = digest[-1] & 15
    return f"{(struct.unpack_from('>I', digest, start)[0] & 0x7fffffff) % 1_000_000:06}"


class World:
    def __init__(self, sluis, home):
        self.sluis, self.home = sluis, home
        self.today = datetime.datetime.now(zoneinfo.ZoneInfo("Europe/Amsterdam")).date()
        self.last_month = (self.today.replace(day=1) - datetime.timedelta(days=1)).replace(day=1)
        self.month_before = (self.last_month - datetime.timedelta(days=1)).replace(day=1)
        self.planted = {value for pupil in PUPILS for value in (pupil.key, pupil.bsn, pupil.first, pupil.last)}
        # Of each school, the ECK iDs that a supplier was given, in the order of the pupils.
        self.eckids = {}
        # Deliveries and refusals.
        self.deliveries = 0
        self.make()

    def run(self, *arguments, day=None, stdin="", status=0):
        """A command, on a day. The certificates of `init` begin when they are made, so it stands on the first of them.
        Only the calendar is another: clocks that measure go on as they are."""
        command = [self.sluis, *arguments]
        environment = dict(os.environ, TZ="UTC", FAKETIME_DONT_FAKE_MONOTONIC="1")
        if day:
            command = ["faketime", "-f", f"@{day} 09:00:00", *command]
        # `init` makes the directory.
        cwd = self.home if self.home.exists() else None
        ran = subprocess.run(command, cwd=cwd, env=environment, input=stdin, capture_output=True, text=True, check=False)
        if ran.returncode != status:
            raise AssertionError(f"{arguments}: {ran.returncode}\n{ran.stdout}{ran.stderr}")
        return ran.stdout

    def edit(self, name, change):
        path = self.home / name
        path.write_text(change(path.read_text()))

    def agree(self, brin, supplier, product, more=""):
        year = self.month_before.year
        (self.home / f"agreements/{brin}-{supplier}.toml").write_text(
            f'id = "{brin}-{supplier}-{product.lower()}"\nversion = 1\nschool = "{brin}"\nrecipient = "{supplier}"\n'
            f'product = "{product}"\nannex = "privacybijsluiter-{product.lower()}.pdf"\npurpose = "leermiddelen"\n'
            f'basis = "overeenkomst"\nvalid = {{ from = {year}-01-01, until = {self.today + datetime.timedelta(days=40)} }}\n'
            f'pseudonym = {{ domain = "recipient" }}\n{more}[release]{RELEASE}')

    def minimise(self, brin, supplier, document, day=None, status=0):
        self.deliveries += 1
        (self.home / "input.xml").write_text(document)
        out = f"out{self.deliveries}.xml"
        self.run("minimise", "--school", brin, "--recipient", supplier, "--input", "input.xml", "--output", out,
                 day=day, status=status)
        if status == 0:
            text = (self.home / out).read_text()
            found = re.findall(r'<leerling eckid="([^"]+)" key="([^"]+)"', text)
            assert found, "no pupil has left"
            self.planted.update(value for pair in found for value in pair)
            self.planted.update(eckid.rsplit("/", 1)[1] for eckid, _ in found)
            self.eckids[brin, supplier] = [eckid for eckid, _ in found]

    def make(self):
        first = self.month_before
        self.run("init", str(self.home), day=first)
        zuidzee = EVIL.replace('"', '\\"')
        others = "".join(
            f'\n[[recipient]]\nid = "{name}"\nname = "{shown}"\ncertificate = {{ subject_alt_name = "{name}.example" }}\n'
            for name, shown in [("zuidzee", zuidzee), ("oostzee", "Oostzee Taal B.V."), ("westzee", "Westzee Toetsen")])
        second = (f'\n[[school]]\nbrin = "99DF"\nname = "{SCHOOLS["99DF"]}"\nidentity = "pgn"\nlas = {{ url = '
                  '"https://las.example/uwlr", ca = "certs/las-ca.pem", authorisation = "secrets/99DE-las.toml" }\n')
        self.edit("sluis.toml", lambda text: re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1:0", text) + others + second)
        self.run("keys", "new", "--school", "99DF", day=first)
        (self.home / "agreements/99DE-noordzee-rekenroute.toml").unlink()
        self.agree("99DE", "noordzee", "Rekenroute")
        self.agree("99DE", "zuidzee", "Leesreis")
        self.agree("99DF", "noordzee", "Rekenroute")
        self.agree("99DF", "zuidzee", "Leesreis")

        def on(month, day):
            return month.replace(day=day)

        self.minimise("99DE", "noordzee", feed("99DE", PUPILS), on(self.month_before, 6))
        self.minimise("99DF", "zuidzee", feed("99DF", PUPILS), on(self.month_before, 9))
        self.minimise("99DE", "noordzee", feed("99DE", PUPILS), on(self.last_month, 3))
        self.minimise("99DF", "zuidzee", feed("99DF", PUPILS), on(self.last_month, 7))
        self.minimise("99DE", "noordzee", feed("99DF", PUPILS), on(self.last_month, 8), status=3)
        self.minimise("99DE", "noordzee", feed("99DE", PUPILS[:39]), on(self.last_month, 11))
        fed = [(brin, supplier) for brin in SCHOOLS for supplier in ("noordzee", "zuidzee")]
        for brin, supplier in fed:
            self.minimise(brin, supplier, feed(brin, PUPILS))
        # From here on a second person is needed for what is new.
        for brin in SCHOOLS:
            for supplier, product in (("oostzee", "Taalreis"), ("westzee", "Toetsbeeld")):
                self.agree(brin, supplier, product, 'author = "A. de Vries"\n')
        self.minimise("99DE", "oostzee", feed("99DE", PUPILS), status=3)
        # Half of the pupils are gone, or all have another name: one of each feed that waits.
        for place, (brin, supplier) in enumerate(fed):
            other = feed(brin, PUPILS[:20]) if place % 2 else feed(brin, PUPILS, "Kanarieanders")
            self.minimise(brin, supplier, other, status=3)
        self.planted.add("Kanarieanders")
        who = ("--school", "99DE", "--by", "key")
        self.run("rights", "add", *who, "--kind", "bezwaar", "--decided-by", "ouder", stdin=PUPILS[39].key)
        self.run("notices", "add", *who, "--kind", "correctie", stdin=PUPILS[38].key)
        self.uris = {}
        for role, name in ACCOUNTS.items():
            shown = self.run("users", "add", name, "--role", role, stdin=PASSPHRASE + "\n")
            self.uris[role] = shown.strip().splitlines()[-1]

    def leaves(self):
        """Everything the log tells other tools."""
        return self.run("log", "export", "data", "--format", "jsonl") + self.run("log", "export", "data", "--format", "csv")
