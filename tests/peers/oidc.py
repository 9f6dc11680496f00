"""Logs in to the review app by an identity provider that is not ours, as a browser would: cookies go along as their
SameSite says, redirects are followed across sites, and a page with a Refresh is left for what it names.

    oidc.py SLUIS NODE_MODULES HOME
"""
import html
import http.client
import pathlib
import re
import socket
import ssl
import subprocess
import sys
import urllib.parse

sluis, modules, home = sys.argv[1], sys.argv[2], pathlib.Path(sys.argv[3])
here = pathlib.Path(__file__).parent
trust = ssl.create_default_context(cafile=str(home / "certs/ca.pem"))


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def origin(url):
    return "https://" + urllib.parse.urlsplit(url).netloc


class Page:
    def __init__(self, url, status, headers, body):
        self.url, self.status, self.headers, self.body = url, status, headers, body


class Browser:
    """What of a browser counts here."""

    def __init__(self):
        self.cookies = {}

    def request(self, url, method, form, cross):
        at = urllib.parse.urlsplit(url)
        own = self.cookies.setdefault(at.netloc, {})
        sent = {
            name: value for name, (value, same) in own.items()
            if not cross or (same == "lax" and method == "GET") or same == "none"
        }
        headers = {"cookie": "; ".join(f"{name}={value}" for name, value in sent.items())}
        if method == "POST":
            headers |= {"content-type": "application/x-www-form-urlencoded", "origin": origin(url)}
        connection = http.client.HTTPSConnection(at.hostname, at.port, context=trust, timeout=30)
        connection.request(method, at.path + (f"?{at.query}" if at.query else ""), form, headers)
        answer = connection.getresponse()
        body = answer.read().decode()
        for line in answer.headers.get_all("set-cookie", []):
            first, *attributes = [part.strip() for part in line.split(";")]
            name, value = first.split("=", 1)
            said = {key.lower(): rest for key, _, rest in (part.partition("=") for part in attributes)}
            if said.get("max-age") == "0" or not value:
                own.pop(name, None)
            else:
                own[name] = (value, said.get("samesite", "lax").lower())
        return Page(url, answer.status, answer.headers, body)

    def go(self, url, by=None, form=None, stop=None):
        """Goes where a page of `by` leads, and where that redirects to, up to an address that begins with `stop`."""
        begun, method, cross = by or origin(url), "POST" if form is not None else "GET", False
        for _ in range(20):
            # One foreign step makes the rest of the way foreign.
            cross = cross or origin(url) != begun
            page = self.request(url, method, form, cross)
            if page.status not in (302, 303):
                return page
            url = urllib.parse.urljoin(url, page.headers["location"])
            if stop and url.startswith(stop):
                page.url = url
                return page
            method, form = "GET", None
        raise SystemExit("redirects without an end")

    def through(self, name, stop=None):
        """Logs in at the provider, whatever it asks, until the browser is back."""
        page = self.go(f"{public}/inloggen/oidc", stop=stop)
        for _ in range(4):
            if page.url.startswith(public):
                return page
            action = re.search(r'<form[^>]* action="([^"]+)"', page.body)
            fields = dict(re.findall(r'<input type="hidden" name="(\w+)" value="(\w+)"', page.body))
            assert page.status == 200 and action, (page.status, page.body)
            if fields["prompt"] == "login":
                fields |= {"login": name, "password": "irrelevant"}
            address = urllib.parse.urljoin(page.url, html.unescape(action[1]))
            page = self.go(address, by=origin(page.url), form=urllib.parse.urlencode(fields), stop=stop)
        raise SystemExit("the provider never sent the browser back")

    def is_in(self):
        return "__Host-sluis" in self.cookies.get(urllib.parse.urlsplit(public).netloc, {})


review_port, provider_port = free_port(), free_port()
public = f"https://127.0.0.1:{review_port}"
issuer = f"https://localhost:{provider_port}"
(home / "secrets/oidc.toml").touch(mode=0o600)
(home / "secrets/oidc.toml").write_text('secret = "geheim van +sluis: 100% & meer"\n')
config = (home / "sluis.toml").read_text()
config = config.replace('"127.0.0.1:8443"', '"127.0.0.1:0"').replace('"127.0.0.1:9464"', '"127.0.0.1:0"')
config = config.replace('listen = "127.0.0.1:8444"', f'''listen = "127.0.0.1:{review_port}"
public_url = "{public}"

[review.oidc]
issuer = "{issuer}"
client_id = "sluis"
client_secret = "secrets/oidc.toml"
ca = "certs/ca.pem"
acr = ["https://refeds.org/profile/mfa"]
''')
(home / "sluis.toml").write_text(config)
running = []


def provider(algorithm):
    command = ["node", str(here / "oidc.mjs"), modules, str(provider_port), algorithm,
               f"{public}/inloggen/oidc/terug", str(home / "certs/gateway.pem"), str(home / "certs/gateway.key")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    running.append(process)
    assert any(line == "listening\n" for line in process.stdout), "the provider does not start"
    return process


def command(*words, given=None):
    ran = subprocess.run([sluis, *words], cwd=home, input=given, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def events():
    """What the log says of accounts: docs/log-format.md, kind 18. Fewer than 256 leaves stand in one bundle."""
    newest = max((home / "data/tile/entries").rglob("000*/*"), key=lambda path: int(path.name))
    entries, found = newest.read_bytes(), []
    while entries:
        length = int.from_bytes(entries[:2], "big")
        leaf, entries = entries[2:2 + length], entries[2 + length:]
        if leaf[2] == 18:
            found.append(EVENTS[leaf[140]])
    return found


EVENTS = {1: "added", 2: "changed", 4: "logged-in", 5: "refused"}


try:
    first = provider("RS256")
    errors = open(home / "errors", "w")
    serve = subprocess.Popen([sluis, "serve"], cwd=home, stdout=subprocess.PIPE, stderr=errors, text=True)
    running.append(serve)
    assert any(line.startswith("review on") for line in serve.stdout), (home / "errors").read_text()
    command("users", "add", "Jo de Vries", "--role", "fg", given="paard batterij nietje juist\n")
    assert "/inloggen/oidc" in Browser().go(f"{public}/inloggen").body

    # Nobody is linked yet.
    browser = Browser()
    page = browser.through("anna+mfa")
    assert page.status == 401 and not browser.is_in(), page.status
    command("users", "link", "Jo de Vries", "--subject", "anna")

    # One factor is not enough, whoever it is.
    browser = Browser()
    page = browser.through("anna")
    assert page.status == 401 and not browser.is_in(), page.status

    for how in ("mfa", "acr"):
        browser = Browser()
        page = browser.through(f"anna+{how}")
        assert page.status == 200 and browser.is_in(), (page.status, page.body)
        back = page.url
        # The page between: what it leads to is asked for by the app itself, and a strict cookie goes along.
        assert page.headers["refresh"] == "0; url=/", page.headers
        page = browser.go(f"{public}/", by=public)
        assert page.status == 200 and "Jo de Vries" in page.body, page.body
        # A redirect would not have done.
        assert "/inloggen" in browser.go(f"{public}/", by=issuer).url
        # What was used counts no more, also for this browser.
        browser.cookies.pop(urllib.parse.urlsplit(public).netloc)
        page = browser.go(back, by=issuer)
        assert not browser.is_in() and "wachtwoordzin" in page.body

    # What is meant for one browser is nothing in another.
    browser, other = Browser(), Browser()
    page = browser.through("anna+mfa", stop=f"{public}/inloggen/oidc/terug")
    stolen = page.url
    page = other.go(stolen, by=issuer)
    assert not other.is_in() and "wachtwoordzin" in page.body
    # And it is used up by that.
    assert not browser.is_in()
    browser.go(stolen, by=issuer)
    assert not browser.is_in()

    # Somebody breaks off.
    browser = Browser()
    page = browser.go(f"{public}/inloggen/oidc")
    abort = re.search(r'href="([^"]*/abort)"', page.body)
    page = browser.go(urllib.parse.urljoin(page.url, html.unescape(abort[1])), by=issuer)
    assert page.status == 401 and page.url.startswith(public) and not browser.is_in(), page.status

    # The provider is away, and comes back with other keys that sign another way.
    first.terminate()
    first.wait()
    page = Browser().request(f"{public}/inloggen/oidc/terug?state=00&code=00", "GET", None, True)
    assert page.status == 200 and "wachtwoordzin" in page.body
    provider("ES256")
    browser = Browser()
    page = browser.through("anna+mfa")
    assert page.status == 200 and browser.is_in(), (page.status, (home / "errors").read_text())

    command("users", "unlink", "Jo de Vries")
    assert "/inloggen" in browser.go(f"{public}/", by=public).url, "sessions end with the link"
    browser = Browser()
    assert browser.through("anna+mfa").status == 401
    serve.terminate()
    assert serve.wait() == 0
    said = (home / "errors").read_text()
    assert "anna" not in said and "geheim" not in said and "Jo de" not in said, said
    expected = "added refused changed refused logged-in logged-in refused logged-in changed refused".split()
    assert events() == expected, events()
    print("oidc-provider (npm): logged in by mfa, by acr and after new keys; refused without a link, with one factor, "
          "broken off, in another browser and a second time")
finally:
    for process in running:
        process.terminate()
        process.wait()
