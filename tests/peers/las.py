"""A pupil administration for the clients' tests: answers every request with one file; prints its port."""
import http.server
import sys

with open(sys.argv[1], "rb") as file:
    ANSWER = file.read()


class Las(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Type", "text/xml; charset=utf-8")
        self.send_header("Content-Length", str(len(ANSWER)))
        self.end_headers()
        self.wfile.write(ANSWER)

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Las)
print(server.server_address[1], flush=True)
server.serve_forever()
