"""Logs in by the API with a code of its own making and lets schemathesis loose on it.

    api.py passphrase
    api.py check URL FILE_WITH_PASSPHRASE FILE_WITH_OTPAUTH_URI...
"""

import base64
import hashlib
import hmac
import json
import os
import secrets
import ssl
import struct
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request

# What the API cannot promise: that whatever has the right form is there and makes sense.
EXCLUDED = [
    # Days in the wrong order, a school that is not there, before and after at once have the right form.
    "positive_data_acceptance",
    # A session lets in whoever has the cookie; the token comes with it.
    "ignored_auth",
]
# Methods that no operation has. They are tried with content, which some cannot have (RFC 9110, 9.3): a request with content by
# DELETE, GET, HEAD or TRACE is refused before anything asks what it is for. Those are left to tests/framing.
METHODS = ["OPTIONS", "PATCH", "POST", "PUT", "QUERY"]


def code(uri):
    """RFC 6238: SHA-1, 30 seconds, six digits."""
    query = urllib.parse.parse_qs(urllib.parse.urlsplit(uri).query)
    secret = query["secret"][0]
    key = base64.b32decode(secret + "=" * (-len(secret) % 8))
    digest = hmac.new(key, struct.pack(">Q", int(time.time()) // 30), hashlib.sha1).digest()
    at = digest[-1] & 15
    return f"{(struct.unpack('>I', digest[at:at + 4])[0] & 0x7FFFFFFF) % 1_000_000:06}"


def ask(url, data=None, headers=None):
    """Status, headers and body of an answer. The certificate is one of `sluis init`: nobody here can know it."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    request = urllib.request.Request(url, data=data, headers=headers or {})
    try:
        with urllib.request.urlopen(request, context=context) as answer:
            return answer.status, answer.headers, answer.read()
    except urllib.error.HTTPError as answer:
        return answer.code, answer.headers, answer.read()


def log_in(url, name, words, uri):
    body = json.dumps({"name": name, "passphrase": words, "code": code(uri)}).encode()
    status, headers, body = ask(f"{url}/api/v1/session", body, {"Content-Type": "application/json"})
    assert status == 200, (status, body)
    cookie = headers["Set-Cookie"].split(";")[0]
    return cookie, json.loads(body)["csrf"]


def check(url, words, files):
    found = 0
    for file in files:
        name = os.path.basename(file)
        with open(file, encoding="ascii") as opened:
            cookie, csrf = log_in(url, name, words, opened.read().strip())
        # Logging in and out are left to the tests of the gateway: here they would end the session, or be throttled.
        command = [
            os.path.join(os.path.dirname(sys.executable), "schemathesis"), "run", f"{url}/api/openapi.json",
            "--url", f"{url}/api/v1",
            "--header", f"Cookie: {cookie}", "--header", f"X-CSRF-Token: {csrf}",
            "--exclude-operation-id", "logIn", "--exclude-operation-id", "logOut",
            "--checks", "all", "--exclude-checks", ",".join(EXCLUDED),
            "--phases", "examples,coverage,fuzzing", "--mode", "all",
            # The session stands in the headers above: nothing else is tried in its place.
            "--generation-with-security-parameters", "false",
            # One worker: two threads that parse Python at once may upset CPython 3.11 (python/cpython#106905).
            "--max-examples", "30", "--seed", "20261130", "--generation-deterministic", "--workers", "1",
            "--tls-verify", "false", "--request-timeout", "20", "--no-color",
        ]
        with tempfile.TemporaryDirectory() as folder:
            with open(os.path.join(folder, "schemathesis.toml"), "w", encoding="ascii") as settings:
                settings.write(f"[phases.coverage]\nunexpected-methods = {METHODS}\n")
            began = time.monotonic()
            ran = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300)
        if ran.returncode:
            print(ran.stdout, ran.stderr)
            found += 1
        else:
            print(f"schemathesis as {name}: nothing found, in {time.monotonic() - began:.0f} s")
        status, _, body = ask(f"{url}/api/v1/session", headers={"Cookie": cookie})
        assert status == 200 and json.loads(body)["name"] == name, "the session was there all along"
    return found


if sys.argv[1] == "passphrase":
    print(secrets.token_urlsafe(24))
else:
    with open(sys.argv[3], encoding="ascii") as opened:
        sys.exit(check(sys.argv[2], opened.read().strip(), sys.argv[4:]))
