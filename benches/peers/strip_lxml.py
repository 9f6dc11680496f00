#!/usr/bin/python3
"""The sample agreement with lxml: strip, pseudonyms, tokens; no log.

    strip_lxml.py KEYS file INPUT >OUTPUT
    strip_lxml.py KEYS serve PORT CERTIFICATE PRIVATE_KEY LAS_URL

The tree of libxml2 is made, cut and written out again: all loops over elements that can be C are. A file is read
pupil by pupil, and what has been written is let go of.
"""
import base64, hmac, http.client, http.server, io, ssl, struct, sys, threading, urllib.parse

from cryptography.hazmat.primitives.ciphers.aead import AESSIV
from lxml import etree

U = "{http://www.edustandaard.nl/leerresultaten/2/leerlinggegevens}"
S = "{http://schemas.xmlsoap.org/soap/envelope/}"
KEPT = {
    "school": {"schooljaar", "brincode", "dependancecode", "xsdversie"},
    "groep": {"naam", "jaargroep"},
    "samengestelde_groep": {"naam"},
    "leerling": {"achternaam", "voorvoegsel", "roepnaam", "geboortedatum", "jaargroep", "groep", "samengestelde_groepen"},
    "leerkracht": {"achternaam", "voorvoegsel", "roepnaam", "emailadres", "groepen"},
}
KEPT = {U + record: {U + name for name in names} for record, names in KEPT.items()}
PERSONS = {U + "leerling": b"leerling", U + "leerkracht": b"leerkracht"}
GROUPS = {U + "groep": b"groep", U + "samengestelde_groep": b"samengestelde_groep"}
HEAD = (
    '<?xml version="1.0" encoding="UTF-8"?>\n<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/">'
    f'<soapenv:Body><leerlinggegevens_antwoord xmlns="{U[1:-1]}"><leerlinggegevens>'
).encode()
TAIL = b"\n</leerlinggegevens></leerlinggegevens_antwoord></soapenv:Body></soapenv:Envelope>\n"
DECLARED = [f' xmlns="{U[1:-1]}"'.encode(), f' xmlns:soapenv="{S[1:-1]}"'.encode()]


class Strip:
    def __init__(self, keys):
        eckid, token, self.prefix = open(keys).read().split("\n")[:3]
        self.prepared = hmac.new(bytes.fromhex(eckid), digestmod="sha512")
        self.siv = AESSIV(bytes.fromhex(token))
        self.groups = {}

    def eckid(self, kind, key):
        mac = self.prepared.copy()
        mac.update(struct.pack(">I", len(kind)) + kind + struct.pack(">I", len(key)) + key)
        return self.prefix + mac.hexdigest()

    def token(self, kind, key):
        block = (bytes([len(key)]) + key).ljust(32, b"\0")
        sealed = self.siv.encrypt(block, [kind])
        return base64.b64encode(sealed, b"._").decode()

    def group(self, kind, key):
        found = self.groups.get((kind, key))
        if found is None:
            found = self.groups[kind, key] = self.token(kind, key)
        return found

    def record(self, record):
        """Cuts a record down to what the agreement names; its bytes."""
        kept = KEPT[record.tag]
        for element in list(record):
            if element.tag not in kept:
                record.remove(element)
        kind = PERSONS.get(record.tag)
        if kind:
            key = record.get("key").strip().encode()
            record.attrib.clear()
            record.set("eckid", self.eckid(kind, key))
            record.set("key", self.token(kind, key))
            born = record.find(U + "geboortedatum")
            if born is not None:
                born.text = born.text.strip()[:4] + "-01-01"
        for group in record.iter(*GROUPS):
            key = group.get("key").strip().encode()
            group.attrib.clear()
            group.set("key", self.group(GROUPS[group.tag], key))
            for element in list(group):
                if element.tag not in (U + "rol", U + "naam", U + "jaargroep"):
                    group.remove(element)
        text = etree.tostring(record, encoding="UTF-8", xml_declaration=False, with_tail=False)
        # Written out alone, a record declares what stands around it.
        for declaration in DECLARED:
            text = text.replace(declaration, b"", 1)
        return text

    def document(self, source):
        """The parts of the stripped document."""
        yield HEAD
        opened = None
        records = (U + "school", *GROUPS, *PERSONS)
        containers = (U + "groepen", U + "leerlingen", U + "leerkrachten")
        # A group inside a person ends too: only what stands right below its section is a record.
        for _, element in etree.iterparse(source, tag=records, resolve_entities=False, no_network=True):
            parent = element.getparent()
            above = parent.tag
            if element.tag == U + "school":
                yield b"\n" + self.record(element)
                element.clear()
                continue
            if above not in containers or parent.getparent().tag != U + "leerlinggegevens":
                continue
            if opened != above:
                if opened:
                    yield b"\n</" + opened[len(U):].encode() + b">"
                yield b"\n<" + above[len(U):].encode() + b">"
                opened = above
            yield b"\n" + self.record(element)
            element.clear()
            while element.getprevious() is not None:
                del parent[0]
        if opened:
            yield b"\n</" + opened[len(U):].encode() + b">"
        yield TAIL


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 65536
    local = threading.local()

    def do_POST(self):
        request = self.rfile.read(int(self.headers["Content-Length"]))
        las = getattr(self.local, "las", None)
        if las is None:
            las = self.local.las = http.client.HTTPConnection(self.server.las.netloc)
        las.request("POST", self.server.las.path, request, {"Content-Type": "text/xml; charset=utf-8"})
        answer = las.getresponse().read()
        body = b"".join(self.server.strip.document(io.BytesIO(answer)))
        self.send_response(200)
        self.send_header("Content-Type", "text/xml; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 1024
    daemon_threads = True

    def get_request(self):
        connection, address = super().get_request()
        return self.tls.wrap_socket(connection, server_side=True, do_handshake_on_connect=False), address


def main():
    strip = Strip(sys.argv[1])
    if sys.argv[2] == "file":
        for part in strip.document(sys.argv[3]):
            sys.stdout.buffer.write(part)
        return
    server = Server(("127.0.0.1", int(sys.argv[3])), Handler)
    server.strip, server.las = strip, urllib.parse.urlsplit(sys.argv[6])
    server.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.tls.load_cert_chain(sys.argv[4], sys.argv[5])
    server.serve_forever()


main()
