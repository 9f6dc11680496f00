"""A supplier that uses suds-community from PyPI: pulls a feed with the official WSDL and a client certificate."""
import pathlib
import re
import ssl
import sys
import tomllib
import urllib.request

import suds
from suds.client import Client
from suds.sax.element import Element
from suds.transport.http import HttpTransport

wsdl, home, url = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), sys.argv[3]
secrets = tomllib.loads((home / "secrets/noordzee.toml").read_text())


class MutualTls(HttpTransport):
    def u2handlers(self):
        context = ssl.create_default_context(cafile=str(home / "certs/ca.pem"))
        context.load_cert_chain(home / "certs/noordzee.pem", home / "certs/noordzee.key")
        return super().u2handlers() + [urllib.request.HTTPSHandler(context=context)]


client = Client((wsdl / "UWLR_Leerlinggegevens_v2p2.wsdl").as_uri(), location=url, transport=MutualTls(), cache=None)
namespace = ("aut", "http://www.edustandaard.nl/leerresultaten/2/autorisatie")
header = Element("autorisatie", ns=namespace)
for name in ("autorisatiesleutel", "klantcode", "klantnaam"):
    header.append(Element(name, ns=namespace).setText(secrets[name]))
client.set_options(soapheaders=header, port="prtLeerlinggegevensService")
answer = client.service.HaalLeerlinggegevens("2026-2027", "99DE", None, None, "2.2")
data = answer.leerlinggegevens if hasattr(answer, "leerlinggegevens") else answer
assert data.school.brincode == "99DE", data
pupils = data.leerlingen.leerling if isinstance(data.leerlingen.leerling, list) else [data.leerlingen.leerling]
assert len(pupils) == 2, pupils
assert pupils[0].roepnaam == "Jip & Jan"
assert re.fullmatch(r"https://sluis\.example/1/[0-9a-f]{128}", pupils[0]._eckid)
assert "999990019" not in str(answer)

client.set_options(soapheaders=())
try:
    client.service.HaalLeerlinggegevens("2026-2027", "99DE", None, None, "2.2")
except suds.WebFault as fault:
    assert fault.fault.faultcode.endswith("Client.AutorisatieOngeldig"), fault
else:
    raise SystemExit("no autorisatie, and an answer")
print(f"suds-community {suds.__version__} (PyPI): {len(pupils)} pupils, faults understood")
