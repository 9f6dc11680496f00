"""A collector of traces, made of the official protobuf definitions (`opentelemetry-proto`) and nothing of Sluis.

    collector.py serve FOLDER CERTIFICATE KEY     prints its port; keeps each request posted to /<name>/v1/traces in
                                                  FOLDER/<name>, byte by byte; one that is not as it should be gets 400
    collector.py check FOLDER/<name> EXPORT       holds the requests of one export against the same log as lines of JSON

`serve` judges what one request can tell: the form of OTLP in JSON, ids, kinds, times, attributes. `check` judges what
takes all of them: each span once, parents that are there, and a span for every delivery, chunk, person and refusal.
"""
import base64
import collections
import http.server
import json
import pathlib
import re
import ssl
import sys
import urllib.parse

from google.protobuf import json_format
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

ACTIVITY = "dpl.core.processing_activity_id"
SUBJECT = "dpl.core.data_subject_id"
SUBJECT_TYPE = "dpl.core.data_subject_id_type"
# What the lines of the other export are called here.
NAMES = {
    "outcome": {"leerlinggegevens verstrekt", "leerresultaten teruggebracht"},
    "delivery": {"deel van een verstrekking"},
    "row": {"gegevens van een persoon behandeld"},
    "refusal": {"verstrekking geweigerd"},
}
# OTLP in JSON is protobuf's JSON but for these, which are hexadecimal instead of base64.
IDS = {"traceId": 16, "spanId": 8, "parentSpanId": 8}


class Wrong(Exception):
    pass


def demand(condition, what):
    if not condition:
        raise Wrong(what)


def once(pairs):
    demand(len(dict(pairs)) == len(pairs), "a name stands twice in an object")
    return dict(pairs)


def with_ids(value, turn):
    """The same JSON, its ids turned."""
    if isinstance(value, list):
        return [with_ids(one, turn) for one in value]
    if isinstance(value, dict):
        return {key: turn(key, one) if key in IDS else with_ids(one, turn) for key, one in value.items()}
    return value


def from_hex(key, text):
    size = IDS[key]
    demand(isinstance(text, str) and re.fullmatch(rf"[0-9a-f]{{{2 * size}}}", text), f"{key} is not {size} bytes")
    return base64.b64encode(bytes.fromhex(text)).decode()


def parsed(body):
    """The request, strictly: nothing unknown, nothing that protobuf would write in another way."""
    given = json.loads(body, object_pairs_hook=once)
    try:
        request = json_format.ParseDict(with_ids(given, from_hex), ExportTraceServiceRequest())
    except json_format.ParseError as error:
        raise Wrong(f"no ExportTraceServiceRequest: {error}") from error
    again = json_format.MessageToDict(request, use_integers_for_enums=True)
    demand(with_ids(again, lambda _, text: base64.b64decode(text).hex()) == given, "not in the form OTLP has in JSON")
    return request


def spans(request):
    return [span for resource in request.resource_spans for scope in resource.scope_spans for span in scope.spans]


def attributes(span):
    found = {one.key: one.value.string_value for one in span.attributes}
    demand(len(found) == len(span.attributes), "an attribute stands twice")
    return found


def is_uri(text):
    parts = urllib.parse.urlsplit(text)
    return parts.scheme == "https" and parts.netloc and parts.path.startswith("/")


def judge(request):
    demand(spans(request), "a request without spans")
    for span in spans(request):
        demand(len(span.trace_id) == 16 and any(span.trace_id), "a trace id of zeros")
        demand(len(span.span_id) == 8 and any(span.span_id), "a span id of zeros")
        demand(span.name, "a span without a name")
        demand(span.kind != 0 and span.kind in Span.SpanKind.values(), f"kind {span.kind} is none")
        demand(span.status.code in Status.StatusCode.values(), f"status {span.status.code} is none")
        demand(0 < span.start_time_unix_nano <= span.end_time_unix_nano, "a span that ends before it begins")
        found = attributes(span)
        demand(is_uri(found.get(ACTIVITY, "")), f"{ACTIVITY} is no URI")
        person = span.name in NAMES["row"]
        demand(person == bool(found.get(SUBJECT)), f"{SUBJECT} stands on the lines of persons, and on no others")
        demand(person == is_uri(found.get(SUBJECT_TYPE, "")), f"{SUBJECT_TYPE} goes with {SUBJECT}")


class Collector(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        try:
            path = re.fullmatch(r"/(\w+)/v1/traces", self.path)
            demand(path, "posted elsewhere")
            demand(self.headers["content-type"] == "application/json", "not posted as JSON")
            judge(parsed(body))
        except (Wrong, ValueError) as error:
            print(f"refused: {error}", file=sys.stderr, flush=True)
            return self.answer(400, {"message": str(error)})
        folder = pathlib.Path(self.server.folder, path[1])
        folder.mkdir(exist_ok=True)
        (folder / f"{len(list(folder.iterdir())):04}.json").write_bytes(body)
        return self.answer(200, json_format.MessageToDict(ExportTraceServiceResponse()))

    def answer(self, status, document):
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def serve(folder, certificate, key):
    server = http.server.HTTPServer(("127.0.0.1", 0), Collector)
    server.folder = folder
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    print(server.server_address[1], flush=True)
    server.serve_forever()


def check(folder, export):
    requests = [parsed(path.read_bytes()) for path in sorted(pathlib.Path(folder).iterdir())]
    everything = [span for request in requests for span in spans(request)]
    ids = collections.Counter(span.span_id for span in everything)
    demand(max(ids.values()) == 1, "a span id stands twice")
    traces = {span.span_id: span.trace_id for span in everything}
    seen = set()
    for request in requests:
        seen.update(span.span_id for span in spans(request))
        for span in spans(request):
            if span.name in NAMES["row"]:
                demand(span.parent_span_id in seen, "a person before its chunk")
            elif span.name in NAMES["delivery"]:
                # A span is sent when it has ended, as by any exporter of OTLP: a delivery's after those of its chunks.
                demand(span.parent_span_id in ids, "a chunk without its delivery")
            if span.parent_span_id:
                demand(traces[span.parent_span_id] == span.trace_id, "a parent in another trace")

    lines = [json.loads(line) for line in pathlib.Path(export).read_text().splitlines()]
    for record, names in NAMES.items():
        expected = sum(line["record"] == record for line in lines)
        found = sum(span.name in names for span in everything)
        demand(found == expected, f"{found} spans for {expected} lines of {record}")
    demand(len(everything) == len(lines), "a span that is no line")
    handles = collections.Counter(line["handle"] for line in lines if line["record"] == "row")
    subjects = collections.Counter(filter(None, (attributes(span).get(SUBJECT) for span in everything)))
    demand(subjects == handles, "the persons are others than in the lines")
    print(f"opentelemetry-proto: {len(everything)} spans of {len(subjects)} persons in {len(requests)} requests")


try:
    {"serve": serve, "check": check}[sys.argv[1]](*sys.argv[2:])
except Wrong as wrong:
    print(f"{sys.argv[2]}: {wrong}")
    sys.exit(1)
