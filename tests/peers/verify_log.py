"""The disclosure log, verified without a line of Sluis: `cryptography` checks the signature, `pymerkle` the tree.

    verify_log.py DATA_DIR

Reads the formats of C2SP (signed-note, tlog-checkpoint, tlog-tiles) as the specifications give them. Prints what it
found; exits 1 with the first thing that is wrong.
"""
import base64
import hashlib
import pathlib
import struct
import sys

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from pymerkle import InmemoryTree, verify_consistency, verify_inclusion

data = pathlib.Path(sys.argv[1])


def wrong(what):
    print(f"{data}: {what}")
    sys.exit(1)


def name(kind, index, width):
    """tile/<L>/<N>[.p/<W>], N in groups of three digits, all but the last with an x."""
    groups = [f"{index % 1000:03}"]
    while index >= 1000:
        index //= 1000
        groups.insert(0, f"x{index % 1000:03}")
    partial = "" if width == 256 else f".p/{width}"
    return data / "tile" / kind / ("/".join(groups) + partial)


def signed_checkpoint():
    key_name, key_id, key = (data / "log.vkey").read_text().rstrip("\n").split("+", 2)
    key = base64.b64decode(key)
    if key[0] != 1 or hashlib.sha256(key_name.encode() + b"\n" + key).digest()[:4].hex() != key_id:
        wrong("log.vkey is no Ed25519 key of its own name")
    text, _, signatures = (data / "checkpoint").read_text().partition("\n\n")
    text += "\n"
    for line in signatures.splitlines():
        dash, signer, blob = line.split(" ")
        blob = base64.b64decode(blob)
        if dash == "—" and signer == key_name and blob[:4].hex() == key_id:
            try:
                Ed25519PublicKey.from_public_bytes(key[1:]).verify(blob[4:], text.encode())
            except InvalidSignature:
                wrong("the checkpoint was not signed with log.vkey")
            origin, size, root = text.splitlines()[:3]
            if origin != key_name:
                wrong("the checkpoint is of another log")
            return int(size), base64.b64decode(root)
    wrong("the checkpoint has no signature of log.vkey")


def entries(size):
    for index in range((size + 255) // 256):
        width = min(256, size - index * 256)
        bundle = name("entries", index, width).read_bytes()
        for _ in range(width):
            (length,) = struct.unpack_from(">H", bundle)
            yield bundle[2:2 + length]
            bundle = bundle[2 + length:]
        if bundle:
            wrong(f"bundle {index} has more than its entries")


size, root = signed_checkpoint()
tree = InmemoryTree(algorithm="sha256")
hashes = []
for entry in entries(size):
    tree.append_entry(entry)
    hashes.append(hashlib.sha256(b"\0" + entry).digest())
if tree.get_size() != size or tree.get_root() != root:
    wrong("the entries do not lead to the root that was signed")

# Each level of tiles is what the level below makes of it.
level = 0
while hashes:
    for index in range((len(hashes) + 255) // 256):
        part = hashes[index * 256:(index + 1) * 256]
        if name(str(level), index, len(part)).read_bytes() != b"".join(part):
            wrong(f"tile {level}/{index} is not what the entries make of it")
    full = len(hashes) // 256
    above = []
    for index in range(full):
        part = hashes[index * 256:(index + 1) * 256]
        while len(part) > 1:
            part = [hashlib.sha256(b"\1" + part[i] + part[i + 1]).digest() for i in range(0, len(part), 2)]
        above += part
    hashes, level = above, level + 1

for index in {1, size // 2 + 1, size}:
    verify_inclusion(tree.get_leaf(index), root, tree.prove_inclusion(index, size))
for old in {1, size // 2 + 1}:
    verify_consistency(tree.get_root(old), root, tree.prove_consistency(old, size))
print(f"pymerkle: {size} entries, {level} levels of tiles, root and signature as ours")
