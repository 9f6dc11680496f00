"""A pupil administration that gives every answer it should not, one after another; prints its port.

    las.py FEED    FEED: an answer that is in order, which the others are bent from
"""
import gzip, pathlib, socket, struct, sys, threading, time

FEED = pathlib.Path(sys.argv[1]).read_bytes()
XML = "text/xml; charset=utf-8"
# At most so many are misbehaved to at once, and nobody for longer than so many seconds.
AT_ONCE = threading.BoundedSemaphore(64)
LONGEST = 20


def head(length, kind=XML, *more):
    lines = ["HTTP/1.1 200 OK", f"Content-Type: {kind}", "Connection: close", *more]
    return "\r\n".join([*lines, *([] if length is None else [f"Content-Length: {length}"])]).encode() + b"\r\n\r\n"


def whole(body, kind=XML, *more):
    return head(len(body), kind, *more) + body


def pupil(inside):
    start, end = FEED.split(b"<leerlingen>", 1)
    return whole(start + b"<leerlingen>" + inside + end)


def send(bytes_):
    return lambda connection: connection.sendall(bytes_)


def stalls_before(connection):
    time.sleep(LONGEST)


def stalls_within(connection):
    connection.sendall(head(len(FEED)) + FEED[: len(FEED) // 2])
    time.sleep(LONGEST)


def resets(connection):
    connection.sendall(head(len(FEED)) + FEED[: len(FEED) // 2])
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def drips(connection):
    connection.sendall(head(len(FEED)))
    for at in range(LONGEST * 10):
        connection.sendall(FEED[at : at + 1])
        time.sleep(0.1)


DOCTYPE = b'<!DOCTYPE a [<!ENTITY a "aaaaaaaaaa">' + b"".join(
    b'<!ENTITY %c "%s">' % (98 + i, b"&%c;" % (97 + i) * 10) for i in range(9)
) + b"]>"
WAYS = {
    "stalls before its answer": stalls_before,
    "stalls in the middle": stalls_within,
    "resets": resets,
    "drips": drips,
    "says nothing": lambda connection: None,
    "says it is longer": send(head(len(FEED) + 1000) + FEED),
    "says it is shorter": send(head(len(FEED) // 2) + FEED),
    "gives two lengths": send(head(len(FEED), XML, "Content-Length: 3") + FEED),
    "gives HTML": send(whole(b"<html><body>Storing</body></html>", "text/html")),
    "gives gzip": send(whole(gzip.compress(FEED), XML, "Content-Encoding: gzip")),
    "gives gzip and does not say so": send(whole(gzip.compress(FEED))),
    "gives an entity bomb": send(whole(FEED.replace(b"<soapenv:Envelope", DOCTYPE + b"<soapenv:Envelope", 1))),
    "nests deeply": send(pupil(b"<a>" * 100_000)),
    "gives a second document": send(whole(FEED + FEED)),
    "gives an attribute of 10 MB": send(pupil(b'<leerling key="' + b"x" * 10_000_000 + b'"/>')),
    "gives bytes that are no text": send(pupil(b"\xff\xfe\x00")),
    "breaks off": send(head(None) + FEED[: len(FEED) // 3]),
    "gives an endless head": send(b"HTTP/1.1 200 OK\r\n" + b"X-A: " + b"a" * 1_000_000),
}
turn = iter(range(sys.maxsize))


def serve(connection):
    with AT_ONCE, connection:
        try:
            connection.settimeout(LONGEST)
            seen = b""
            while b"</soapenv:Envelope>" not in seen and b":Envelope>" not in seen[-64:]:
                part = connection.recv(65536)
                if not part:
                    break
                seen += part
            list(WAYS.values())[next(turn) % len(WAYS)](connection)
        except OSError:
            # Whoever asked has gone: so it is meant.
            pass


listener = socket.create_server(("127.0.0.1", 0), backlog=256)
print(listener.getsockname()[1], flush=True)
while True:
    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
