"""Cuts the list that cargo-cyclonedx made down to what is linked, holds it against the official schema, and gathers the
licences: `sbom.py MADE FOLDER RUST_VERSION`. FOLDER has `linked` (name@version, a line each) and `metadata.json` of
cargo, and gets `sluis.cdx.json` and `licences`."""
import json
import pathlib
import sys

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

made, folder, rust = sys.argv[1], pathlib.Path(sys.argv[2]), sys.argv[3]
linked = set((folder / "linked").read_text().split())
bom = json.loads(pathlib.Path(made).read_text())

root = bom["metadata"]["component"]
own = f"{root['name']}@{root['version']}"
linked.remove(own)
# The tool names the package by where it lay.
ours, purl = root["bom-ref"], f"pkg:cargo/{own}"
root.update({"bom-ref": purl, "purl": purl})
root.pop("components", None)

components = [part for part in bom["components"] if f"{part['name']}@{part['version']}" in linked]
kept = {part["bom-ref"] for part in components} | {ours}
missing = linked - {f"{part['name']}@{part['version']}" for part in components}
assert not missing, f"linked, and not in the list: {sorted(missing)}"
components.append(
    {
        "type": "library",
        "bom-ref": f"pkg:generic/rust-std@{rust}",
        "name": "rust-std",
        "version": rust,
        "description": "the standard library of Rust",
        "scope": "required",
        "licenses": [{"expression": "MIT OR Apache-2.0"}],
        "purl": f"pkg:generic/rust-std@{rust}",
    }
)
bom["components"] = components
bom["dependencies"] = [
    {
        "ref": edge["ref"].replace(ours, purl),
        "dependsOn": [ref for ref in edge.get("dependsOn", []) if ref in kept]
        + ([f"pkg:generic/rust-std@{rust}"] if edge["ref"] == ours else []),
    }
    for edge in bom["dependencies"]
    if edge["ref"] in kept
]
text = json.dumps(bom, indent=2, ensure_ascii=False) + "\n"

error = JsonStrictValidator(SchemaVersion.V1_5).validate_str(text)
assert error is None, f"not CycloneDX 1.5: {error}"
assert "file:" not in text and str(pathlib.Path.cwd()) not in text, "names where it was made"
for part in components:
    at = part["name"]
    assert part.get("licenses"), f"{at}: has no licence"
    assert part["purl"].startswith("pkg:"), f"{at}: has no purl"
    assert part["name"] == "rust-std" or part["hashes"][0]["alg"] == "SHA-256", f"{at}: has no hash"
(folder / "sluis.cdx.json").write_text(text)

# The same text stands once, under all that have it.
texts: dict[str, list[str]] = {}
for package in json.loads((folder / "metadata.json").read_text())["packages"]:
    name = f"{package['name']}@{package['version']}"
    if name not in linked:
        continue
    at = pathlib.Path(package["manifest_path"]).parent
    files = sorted(
        file
        for file in at.iterdir()
        if file.is_file() and file.name.upper().startswith(("LICENSE", "LICENCE", "COPYING", "COPYRIGHT", "NOTICE", "UNLICENSE"))
    )
    words = [file.read_text(errors="replace").strip() for file in files]
    words = words or [f"No text in the package; its licence is {package['license']}; by {', '.join(package['authors'])}"]
    for word in words:
        texts.setdefault(word, []).append(name)
with open(folder / "licences", "w") as out:
    for word, names in sorted(texts.items(), key=lambda item: item[1]):
        out.write(f"{'=' * 78}\n{', '.join(sorted(names))}\n{'=' * 78}\n\n{word}\n\n")
print(f"{folder}/sluis.cdx.json: {len(components)} components, valid CycloneDX 1.5; licences: {len(texts)} texts")
