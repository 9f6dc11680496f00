#!/usr/bin/env python3
"""Pseudonyms, tokens and log handles once more, the slow and obvious way.

    naive.py FILE            recompute every vector in FILE; exit 1 on a difference
    naive.py --write FILE    make FILE anew

HKDF (RFC 5869) and HMAC (RFC 2104) are written out with hashlib alone. AES-SIV (RFC 5297) comes from the
`cryptography` package.
"""
import base64, hashlib, json, struct, sys, uuid

from cryptography.hazmat.primitives.ciphers.aead import AESSIV


def hmac(name, key, message):
    block = hashlib.new(name).block_size
    if len(key) > block:
        key = hashlib.new(name, key).digest()
    key = key.ljust(block, b"\0")
    inner = hashlib.new(name, bytes(k ^ 0x36 for k in key) + message).digest()
    return hashlib.new(name, bytes(k ^ 0x5C for k in key) + inner).digest()


def hkdf(root, info, length):
    extracted = hmac("sha512", b"sluis", root)
    out, last, counter = b"", b"", 1
    while len(out) < length:
        last = hmac("sha512", extracted, last + info + bytes([counter]))
        out += last
        counter += 1
    return out[:length]


def framed(*parts):
    return b"".join(struct.pack(">I", len(part)) + part for part in parts)


def subkey(root, length, *parts):
    return hkdf(root, framed(*parts), length)


def normalise(text):
    return "".join(str(__import__("unicodedata").decimal(c)) if c.isdecimal() else c for c in text.strip())


def identity(vector):
    return framed(vector["kind"].encode(), normalise(vector["value"]).encode())


def domain(vector):
    if "chain" in vector:
        return [b"chain", vector["chain"].encode(), vector["sector"].encode()]
    return [b"recipient", vector["recipient"].encode()]


def compute(root, vector):
    brin, era = vector["brin"].encode(), struct.pack(">H", vector["epoch"])
    what = vector["what"]
    if what == "pseudonym":
        key = subkey(root, 64, b"sluis/v1/eckid", brin, *domain(vector), era)
        digits = hmac("sha512", key, identity(vector)).hex()
        return f"https://{vector['authority']}/{vector['epoch']}/{digits}"
    if what == "token":
        key = subkey(root, 64, b"sluis/v1/token", brin, b"recipient", vector["recipient"].encode(), era)
        sealed = AESSIV(key).encrypt(block(normalise(vector["value"])), [vector["kind"].encode()])
        return base64.urlsafe_b64encode(sealed).decode().rstrip("=").replace("-", ".")
    if what == "handle":
        key = subkey(root, 32, b"sluis/v1/log-subject", brin, era)
        return hmac("sha256", key, identity(vector))[:16].hex()
    if what == "tag":
        pseudonym = subkey(root, 64, b"sluis/v1/eckid", brin, *domain(vector), era)
        pseudonym = hmac("sha512", pseudonym, identity(vector))
        key = subkey(root, 32, b"sluis/v1/log-tag", brin, era)
        return hmac("sha256", key, framed(vector["recipient"].encode()) + pseudonym)[:8].hex()
    raise SystemExit(f"a vector of an unknown kind: {what}")


def block(key):
    for marker, spelling in ((250, str), (251, lambda u: str(u).upper())):
        try:
            parsed = uuid.UUID(key)
        except ValueError:
            break
        if spelling(parsed) == key:
            return (bytes([marker]) + parsed.bytes).ljust(32, b"\0")
    raw = key.encode()
    return (bytes([len(raw)]) + raw).ljust(32 if len(raw) < 32 else 176, b"\0")


def inputs():
    base = {"brin": "99DE", "epoch": 1, "authority": "sluis.example"}
    people = [
        ("leerling", "100001"), ("leerling", "#003"), ("leerling", "  100001\u00a0"), ("leerling", "\uff11\uff10\uff10\uff10\uff10\uff11"),
        ("leerkracht", "100001"), ("bsn", "111222333"), ("bsn", "\u0661\u0661\u0661\u0662\u0662\u0662\u0663\u0663\u0663"),
        ("leerling", "111222333"), ("onderwijsnummer", "100000004"),
        ("eckid", "https://ketenid.nl/pilot/" + "a1" * 64), ("leerling", "Zo\u00eb"),
    ]
    for kind, value in people:
        for where in ({"recipient": "noordzee"}, {"recipient": "zuidzee"},
                      {"recipient": "noordzee", "chain": "leermiddelen", "sector": "po"},
                      {"recipient": "zuidzee", "chain": "leermiddelen", "sector": "po"},
                      {"recipient": "zuidzee", "chain": "leermiddelen", "sector": "vo"}):
            yield {"what": "pseudonym", "kind": kind, "value": value, **where, **base}
        yield {"what": "handle", "kind": kind, "value": value, **base}
        yield {"what": "tag", "kind": kind, "value": value, "recipient": "noordzee", **base}
    yield {"what": "pseudonym", "kind": "leerling", "value": "100001", "recipient": "noordzee", **base, "epoch": 2}
    keys = ["1", "100001", "x" * 31, "x" * 32, "\u00e9" * 87,
            "6f1c2d3e-4a5b-4c6d-8e9f-0a1b2c3d4e5f", "6F1C2D3E-4A5B-4C6D-8E9F-0A1B2C3D4E5F", "6F1c2d3e-4a5b-4c6d-8e9f-0a1b2c3d4e5f"]
    for kind in ["groep", "leerkracht", "leerling", "samengestelde_groep", "vestiging"]:
        for value in keys:
            for recipient in ["noordzee", "zuidzee"]:
                yield {"what": "token", "kind": kind, "value": value, "recipient": recipient, **base}


def main():
    if sys.argv[1] == "--write":
        root = bytes(range(32))
        vectors = [{**vector, "expected": compute(root, vector)} for vector in inputs()]
        with open(sys.argv[2], "w") as file:
            json.dump({"root": root.hex(), "vectors": vectors}, file, indent=0, ensure_ascii=True)
            file.write("\n")
        return
    with open(sys.argv[1]) as file:
        data = json.load(file)
    root = bytes.fromhex(data["root"])
    wrong = [vector for vector in data["vectors"] if compute(root, vector) != vector["expected"]]
    for vector in wrong:
        print("differs:", vector)
    if wrong or not data["vectors"]:
        raise SystemExit(1)
    print(len(data["vectors"]), "vectors agree")


main()
