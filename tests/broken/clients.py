"""Clients that do what they should not, each kind with so many at once and so often, until told to end by SIGTERM.

    clients.py SETTINGS    a JSON file: address, ca, clients (name: [certificate, key]), requests (name: body), corpus

Prints how often each did it, in one line of JSON. What Sluis answers them is for the tests of each limit to say; here they
are in the way of others, and leave things behind for Sluis to clear.
"""
import collections, json, os, pathlib, re, signal, socket, ssl, struct, sys, threading

SETTINGS = json.loads(pathlib.Path(sys.argv[1]).read_text())
ADDRESS = tuple(SETTINGS["address"])
ENDED = threading.Event()
DONE, ANSWERED = collections.Counter(), collections.Counter()
LOCK = threading.Lock()
# Longer than any limit of Sluis on one that is slow, so that it is Sluis who ends it.
PATIENCE = 45


def context(name):
    made = ssl.create_default_context(cafile=SETTINGS["ca"])
    if name:
        made.load_cert_chain(*SETTINGS["clients"][name])
    return made


def plain():
    connection = socket.create_connection(ADDRESS, 10)
    connection.settimeout(PATIENCE)
    return connection


def connect(name="broken"):
    return CONTEXTS[name].wrap_socket(plain(), server_hostname="localhost")


def post(body, length=None, *more):
    length = len(body) if length is None else length
    lines = ["POST /uwlr HTTP/1.1", "Host: localhost", "Content-Type: text/xml; charset=utf-8", f"Content-Length: {length}", *more]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def read(connection):
    """To the end, or as long as it lasts."""
    first = b""
    while not ENDED.is_set() and (part := connection.recv(65536)):
        first = first or part
    return first


def drip(connection, bytes_, pause):
    for at in range(len(bytes_)):
        if ENDED.wait(pause):
            return
        connection.sendall(bytes_[at : at + 1])


def gone(connection):
    """With a reset, not with an end."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def request(name="broken"):
    return SETTINGS["requests"][name].encode()


def slow_handshake():
    with plain() as connection:
        drip(connection, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"a" * 200, 0.5)


def silent():
    with plain() as connection:
        return read(connection)


def slow_head():
    with connect() as connection:
        drip(connection, post(b"x"), 0.5)


def slow_body():
    with connect() as connection:
        body = request()
        connection.sendall(post(b"", len(body)))
        drip(connection, body, 0.5)


def stops_reading():
    """Asks again and again on one connection and takes nothing, until Sluis has enough of it."""
    with connect("westzee") as connection:
        connection.settimeout(1)
        for _ in range(200):
            try:
                connection.sendall(post(request("westzee")))
            except TimeoutError:
                break
        ENDED.wait(PATIENCE)


def resets():
    with connect("westzee") as connection:
        connection.sendall(post(request("westzee")))
        connection.recv(1)
        gone(connection)


def resets_before_the_answer():
    with connect("westzee") as connection:
        connection.sendall(post(request("westzee")))
        gone(connection)


def half_closes():
    with connect() as connection:
        connection.sendall(post(request()[:50], 5000))
        connection.unwrap()


def half_closes_the_wire():
    with connect("westzee") as connection:
        connection.sendall(post(request("westzee")))
        connection.shutdown(socket.SHUT_WR)
        return read(connection)


def ambiguous():
    with LOCK:
        message = SETTINGS["corpus"][DONE["ambiguous"] % len(SETTINGS["corpus"])]
    with connect() as connection:
        connection.sendall(message.encode("latin-1"))
        connection.settimeout(2)
        return read(connection)


def no_certificate():
    with connect(None) as connection:
        connection.sendall(post(b"x"))
        return read(connection)


def unknown_certificate():
    with connect("stranger") as connection:
        connection.sendall(post(request()))
        return read(connection)


def no_tls():
    with plain() as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        return read(connection)


def wrong_autorisatie():
    with connect() as connection:
        connection.sendall(post(re.sub(rb"(<autorisatiesleutel>)[^<]*", rb"\1fout", request()), None, "Connection: close"))
        return read(connection)


def giant_body():
    with connect() as connection:
        connection.sendall(post(b"", 1 << 34))
        for _ in range(320):
            connection.sendall(b"x" * 65536)
        return read(connection)


ENTITIES = b"".join(b'<!ENTITY %c "%s">' % (98 + i, b"&%c;" % (97 + i) * 10) for i in range(9))
BOMBS = [
    lambda body: b'<!DOCTYPE a [<!ENTITY a "aaaaaaaaaa">' + ENTITIES + b"]>" + body.replace(b"99DE", b"&j;"),
    lambda body: b'<!DOCTYPE a [<!ENTITY a SYSTEM "file:///etc/passwd">]>' + body.replace(b"99DE", b"&a;"),
    lambda body: b"<a>" * 80_000,
    lambda body: body.replace(b"<schooljaar>", b"<schooljaar " + b"".join(b'a%d="" ' % i for i in range(20_000)) + b">"),
    lambda body: body + body,
    lambda body: body.replace(b"99DE", b"063138219"),
]


def bombs():
    with LOCK:
        bomb = BOMBS[DONE["bombs"] % len(BOMBS)]
    with connect() as connection:
        connection.sendall(post(bomb(request()), None, "Connection: close"))
        return read(connection)


def asks_a_broken_las():
    with connect("oostzee") as connection:
        connection.sendall(post(request("oostzee"), None, "Connection: close"))
        return read(connection)


def floods():
    """A thousand questions at once, of one certificate."""
    with connect("flood") as connection:
        connection.sendall(b"GET /anders HTTP/1.1\r\nHost: x\r\n\r\n" * 999 + b"GET /anders HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        last = b""
        while not ENDED.is_set() and (part := connection.recv(65536)):
            last = (last + part)[-65536:]
        return last[last.rfind(b"HTTP/1.1 ") :]


# How many at once, and the seconds between two beginnings of one of them.
KINDS = {
    slow_handshake: (4, 2), silent: (4, 2), slow_head: (4, 2), slow_body: (4, 2), stops_reading: (2, 5), resets: (1, 1),
    resets_before_the_answer: (1, 1), half_closes: (1, 1), half_closes_the_wire: (1, 1), ambiguous: (2, 0.5), no_certificate: (1, 1),
    unknown_certificate: (1, 1), no_tls: (1, 1), wrong_autorisatie: (1, 1), giant_body: (1, 10), bombs: (1, 0.5),
    asks_a_broken_las: (8, 1), floods: (2, 1),
}


def again(kind, pause):
    while not ENDED.wait(pause):
        with LOCK:
            DONE[kind.__name__] += 1
        try:
            answer = kind() or b""
        except OSError:
            # Being turned away is what it came for.
            answer = b""
        if match := re.match(rb"HTTP/1\.1 (\d{3})", answer):
            with LOCK:
                ANSWERED[f"{kind.__name__} {match[1].decode()}"] += 1


CONTEXTS = {name: context(name) for name in [None, *SETTINGS["clients"]]}
signal.signal(signal.SIGTERM, lambda *_: ENDED.set())
threads = [
    threading.Thread(target=again, args=(kind, pause), daemon=True) for kind, (count, pause) in KINDS.items() for _ in range(count)
]
for thread in threads:
    thread.start()
print("started", flush=True)
ENDED.wait()
with LOCK:
    print(json.dumps({"done": {kind.__name__: DONE[kind.__name__] for kind in KINDS}, "answered": ANSWERED}), flush=True)
# Those that still wait are cut with the process, which is one more way to go.
os._exit(0)
