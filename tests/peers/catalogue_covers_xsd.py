#!/usr/bin/env python3
"""The field catalogue against the official schemas of UWLR 2.2.

    catalogue_covers_xsd.py FOLDER [CATALOGUE]

FOLDER holds the standard's `Schemas`; CATALOGUE is schemas/catalogue.toml unless another is named. Prints a line for
each difference and exits 1, or prints what was compared and exits 0; 2 when there is nothing to compare.

The schemas are read here by a few rules of XML Schema, independent of the loader in src/catalogue. A construct these
rules do not know is an error: a place must never be missed because it was written in another way.
"""
import sys, tomllib
import xml.etree.ElementTree as ET
from dataclasses import dataclass, field
from pathlib import Path

XS = "{http://www.w3.org/2001/XMLSchema}"

# Where the catalogue differs on purpose: the very line, and why. One that is no longer needed is a difference as well.
EXCEPTIONS = {
    "school.schooljaar: the schemas list values, the catalogue has pattern schooljaar":
        "the list stops at 2024-2025: every later year would be refused",
    "school.xsdversie: the catalogue lists values, the schemas have none":
        "it leaves without a line in an agreement, so it may only be a version that exists, and no other text",
    "leerkracht.rol: TAL is a value in the catalogue only":
        "EDEXML 2.1 has it; the schemas of UWLR 2.2 kept the list of EDEXML 2.0",
    "leerkracht.groepen.rol: TAL is a value in the catalogue only": "as for leerkracht.rol",
    **{f"toets.{place.replace('/', '.')}.{name}: {place}{path} is not in the schemas":
        "UWLR 2.0 has it; the schemas of 2.2 remark that 2.1 removed it"
       for place in ("toetsnormering", "toetsonderdelen/toetsonderdeel/toetsonderdeelnormering")
       for name, path in (("maxscore", "@maxscore"), ("norm.scoregrotergelijkaan", "/norm/scoregrotergelijkaan"))},
    "school.brincode: required is nothing, in the schemas with school.dependancecode":
        "nothing can stand in for a BRIN, and a schoolkey may name the school too",
    **{f"{feed}: the schemas insist on section school, the catalogue does not":
        "the catalogue says which records may run out, so that the answer becomes geengegevens; a school never does"
       for feed in ("leerlinggegevens", "structuur", "leerlingen", "leerkrachten", "leerresultaten")},
    "element StructuurFault of the schemas is no feed": "a fault of SOAP itself",
    "element LeerlingenFault of the schemas is no feed": "a fault of SOAP itself",
    "element LeerkrachtenFault of the schemas is no feed": "a fault of SOAP itself",
    "element Toetsdefinities of the schemas is no feed": "no operation of the WSDLs carries it",
}

# What a pattern of the schemas is called in the catalogue; \p{Nd} is a digit of any script.
PATTERNS = {
    r"[1-2]\p{Nd}{3}-[1-2]\p{Nd}{3}": "schooljaar",
    r"\p{Nd}{11}": "digits:11",
    r"\p{Nd}{2,6}": "digits:2-6",
    r"\p{Nd}{2}": "digits:2",
    r"\p{Nd}{2}\p{Lu}{2}": "brin",
    r"\p{Nd}{4}": "digits:4",
    r"\p{Nd}{4}\p{Lu}{2}": "postcodenl",
    r"\p{Nd}{9}": "digits:9",
}

# Kinds and pattern that fit a built-in type; the catalogue may know more of a string than the schemas do.
TYPES = {
    "anyURI": ({"url"}, None),
    "date": ({"date"}, None),
    "dateTime": ({"datetime"}, None),
    "decimal": ({"number"}, "decimal"),
    "int": ({"number"}, "int"),
    "integer": ({"number"}, "int"),
    "nonNegativeInteger": ({"number"}, "uint"),
    "positiveInteger": ({"number"}, "uint"),
    "string": ({"code", "eckid", "key", "pgn", "postcode", "text", "url"}, None),
}


class Unreadable(Exception):
    """The schemas use something these rules do not know, or do not say what they should."""


# ---------------------------------------------------------------------------------------------------------------------
# Schemas


@dataclass
class Simple:
    """A simple type with all its restrictions."""
    base: str
    longest: int | None = None
    values: frozenset | None = None
    pattern: str | None = None


@dataclass
class Element:
    namespace: str
    name: str
    least: int
    most: float
    text: Simple | None = None
    attributes: dict = field(default_factory=dict)
    content: "Group | None" = None


@dataclass
class Group:
    choice: bool
    least: int
    most: float
    parts: list = field(default_factory=list)


class Schemas:
    """Some schema files and all they include or import."""

    def __init__(self, paths):
        self.loaded, self.named, self.scope, self.target = set(), {}, {}, {}
        self.own, self.unusual = [], set()
        for path in paths:
            self.load(path, asked=True)

    def load(self, path, asked=False, includer=None):
        path = path.resolve()
        if path in self.loaded:
            return
        self.loaded.add(path)
        scopes, fresh, root = [{}], {}, None
        for event, item in ET.iterparse(path, events=("start-ns", "start", "end")):
            if event == "start-ns":
                fresh[item[0]] = item[1]
            elif event == "start":
                scopes.append(scopes[-1] | fresh)
                fresh = {}
                # The element itself is the key, which also keeps it alive.
                self.scope[item] = scopes[-1]
                root = item if root is None else root
            else:
                scopes.pop()
        target = root.get("targetNamespace", "")
        if includer is not None and target != includer:
            raise Unreadable(f"{path.name} is included into another namespace than its own")
        for node in root.iter():
            self.target[node] = target
        usual = root.get("elementFormDefault") == "qualified" and not root.get("attributeFormDefault") == "qualified"
        if not usual:
            self.unusual.add(target)
        for node in root:
            tag = node.tag.removeprefix(XS)
            if tag in ("include", "import"):
                self.load(path.parent / node.get("schemaLocation"), includer=target if tag == "include" else None)
            elif tag in ("attribute", "attributeGroup", "complexType", "element", "group", "simpleType"):
                key = "type" if tag.endswith("Type") else tag
                self.named[key, target, node.get("name")] = node
                if asked and tag == "element":
                    self.own.append((target, node.get("name")))
            elif tag != "annotation":
                raise Unreadable(f"{path.name}: {tag} is not understood")

    def qname(self, node, text):
        prefix, _, name = text.rpartition(":")
        return self.scope[node].get(prefix, ""), name

    def find(self, key, node, text):
        namespace, name = self.qname(node, text)
        if (key, namespace, name) not in self.named:
            raise Unreadable(f"{key} {text} is used but not declared")
        return self.named[key, namespace, name]

    def message(self, namespace, name):
        """A global element, with all that may stand in it."""
        if ("element", namespace, name) not in self.named:
            return None
        return self.element(self.named["element", namespace, name], ())

    def element(self, node, inside):
        declared = self.find("element", node, node.get("ref")) if node.get("ref") else node
        least, most = occurs(node)
        made = Element(self.target[declared], declared.get("name"), least, most)
        if made.namespace in self.unusual:
            raise Unreadable(f"{made.name}: local elements without or attributes with a namespace are not understood")
        if declared in inside:
            raise Unreadable(f"{made.name} holds itself")
        inside += (declared,)
        if declared.get("type"):
            namespace, name = self.qname(declared, declared.get("type"))
            if "{%s}" % namespace == XS:
                made.text = Simple(name)
            else:
                self.fill(made, self.find("type", declared, declared.get("type")), inside)
        for child in declared:
            if child.tag in (XS + "complexType", XS + "simpleType"):
                self.fill(made, child, inside)
            elif child.tag not in (XS + "annotation", XS + "key", XS + "keyref", XS + "unique"):
                raise Unreadable(f"{made.name}: {child.tag} is not understood")
        return made

    def fill(self, made, node, inside):
        """Puts a type into an element."""
        if node in inside:
            raise Unreadable(f"{made.name} holds itself")
        inside += (node,)
        if node.tag == XS + "simpleType":
            made.text = self.simple(node)
            return
        for child in node:
            tag = child.tag.removeprefix(XS)
            if tag in ("choice", "group", "sequence"):
                self.append(made, self.particle(child, inside))
            elif tag in ("attribute", "attributeGroup"):
                self.attribute(made, child)
            elif tag in ("complexContent", "simpleContent"):
                (derived,) = (inner for inner in child if inner.tag != XS + "annotation")
                if derived.tag != XS + "extension":
                    raise Unreadable(f"{made.name}: {derived.tag} of a complex type is not understood")
                namespace, name = self.qname(derived, derived.get("base"))
                if "{%s}" % namespace == XS:
                    made.text = Simple(name)
                else:
                    self.fill(made, self.find("type", derived, derived.get("base")), inside)
                self.fill(made, derived, inside)
            elif tag != "annotation":
                raise Unreadable(f"{made.name}: {tag} is not understood")

    @staticmethod
    def append(made, particle):
        # What an extension adds comes after what its base holds.
        parts = [particle] if made.content is None else [made.content, particle]
        made.content = Group(False, 1, 1, parts)

    def particle(self, node, inside):
        tag = node.tag.removeprefix(XS)
        if tag == "element":
            return self.element(node, inside)
        least, most = occurs(node)
        if tag == "group":
            named = self.find("group", node, node.get("ref"))
            parts = [self.particle(child, inside) for child in named if child.tag != XS + "annotation"]
            return Group(False, least, most, parts)
        if tag not in ("choice", "sequence"):
            raise Unreadable(f"{tag} is not understood")
        parts = [self.particle(child, inside) for child in node if child.tag != XS + "annotation"]
        return Group(tag == "choice", least, most, parts)

    def attribute(self, made, node):
        if node.tag == XS + "attributeGroup":
            for child in self.find("attributeGroup", node, node.get("ref")):
                if child.tag != XS + "annotation":
                    self.attribute(made, child)
            return
        if node.get("ref") or node.get("form", "unqualified") != "unqualified":
            raise Unreadable(f"{made.name}: a qualified attribute is not understood")
        namespace, name = self.qname(node, node.get("type"))
        builtin = "{%s}" % namespace == XS
        simple = Simple(name) if builtin else self.simple(self.find("type", node, node.get("type")))
        made.attributes[node.get("name")] = (simple, node.get("use") == "required")

    def simple(self, node):
        (restriction,) = (child for child in node if child.tag != XS + "annotation")
        if restriction.tag != XS + "restriction":
            raise Unreadable(f"{node.get('name')}: {restriction.tag} is not understood")
        namespace, name = self.qname(restriction, restriction.get("base"))
        builtin = "{%s}" % namespace == XS
        made = Simple(name) if builtin else self.simple(self.find("type", restriction, restriction.get("base")))
        values = set()
        for facet in restriction:
            tag, value = facet.tag.removeprefix(XS), facet.get("value")
            if tag == "enumeration":
                values.add(value)
            elif tag == "pattern":
                made.pattern = value
            elif tag in ("length", "maxLength"):
                made.longest = min(int(value), made.longest or int(value))
            elif tag not in ("annotation", "maxInclusive", "minInclusive", "minLength", "totalDigits"):
                raise Unreadable(f"{node.get('name')}: {tag} is not understood")
        if values:
            made.values = frozenset(values)
        return made


def occurs(node):
    most = node.get("maxOccurs", "1")
    return int(node.get("minOccurs", "1")), float("inf") if most == "unbounded" else int(most)


# ---------------------------------------------------------------------------------------------------------------------
# What the schemas say of one kind of record


@dataclass
class Box:
    """An element, a branch of a choice or an optional group: what is insisted on in it, once it is there."""
    always: bool
    own: set = field(default_factory=set)
    direct: set = field(default_factory=set)
    insisted: set = field(default_factory=set)


class Model:
    """Places of a record by their path, as the catalogue writes paths."""

    def __init__(self, record, prefixes, opaque):
        self.namespace, self.prefixes, self.opaque = record.namespace, prefixes, opaque
        self.places, self.always, self.many, self.before = {}, set(), set(), {}
        self.with_, self.without, self.exclusive = {}, {}, []
        self.never_carried = 0
        self.boxes = []
        self.element(record, "", True)
        self.conditions()

    def step(self, path, element):
        name = element.name
        if element.namespace != self.namespace:
            if element.namespace not in self.prefixes:
                raise Unreadable(f"the catalogue has no prefix for {element.namespace}")
            name = f"{self.prefixes[element.namespace]}:{name}"
        return f"{path}/{name}" if path else name

    def place(self, path, simple, always):
        if self.places.setdefault(path, simple) != simple:
            raise Unreadable(f"{path} has two types")
        if always:
            self.always.add(path)

    def element(self, element, path, always):
        if path in self.opaque and element.content is not None:
            # Nothing in it is ever carried, so nothing in it needs a place.
            self.places[path] = None
            self.never_carried += count(element)
            return
        box = Box(always)
        self.boxes.append(box)
        for name, (simple, required) in element.attributes.items():
            at = f"{path}@{name}"
            self.place(at, simple, always and required)
            box.direct.add(at)
            if required:
                box.insisted.add(at)
        if element.text is not None:
            self.place(path, element.text, always)
            box.own.add(path)
        if element.content is not None:
            self.group(element.content, path, always, False, box)
            self.order(element.content, path, False)

    def group(self, group, path, always, repeated, box):
        repeated |= group.most > 1
        if group.least == 0:
            always, box = False, Box(False)
            self.boxes.append(box)
        chosen = group.choice and len(group.parts) > 1
        branches = []
        for part in group.parts:
            inner, held = box, always
            if chosen:
                inner, held = Box(False), False
                self.boxes.append(inner)
                branches.append((part, inner))
            if isinstance(part, Group):
                self.group(part, path, held, repeated, inner)
                continue
            at = self.step(path, part)
            if repeated or part.most > 1:
                self.many.add(at)
            if part.text is not None or at in self.opaque:
                inner.direct.add(at)
                if part.least > 0:
                    inner.insisted.add(at)
            self.element(part, at, held and part.least > 0)
        if chosen and not repeated:
            self.choice(branches, path, always)

    def choice(self, branches, path, always):
        plain = all(isinstance(part, Element) and part.text is not None for part, _ in branches)
        if plain:
            self.exclusive.append(frozenset(self.step(path, part) for part, _ in branches))
        if always and all(box.insisted for _, box in branches):
            *others, (_, last) = branches
            for at in last.insisted:
                self.without[at] = frozenset(min(box.insisted) for _, box in others)

    def order(self, group, path, repeated):
        """Notes which element stands before which; both ways for those that may alternate."""
        repeated |= group.most > 1
        pairs = self.before.setdefault(path, set())
        names = [self.names(part) for part in group.parts]
        for i, left in enumerate(names):
            for j, right in enumerate(names):
                if repeated or (i < j and not group.choice):
                    pairs.update((a, b) for a in left for b in right if a != b)
        for part in group.parts:
            if isinstance(part, Group):
                self.order(part, path, repeated)

    def names(self, part):
        if isinstance(part, Element):
            return {self.step("", part)}
        return set().union(*(self.names(inner) for inner in part.parts))

    def conditions(self):
        """What is insisted on where something optional stands: `with` what else stands there."""
        boxes_of = {}
        for box in self.boxes:
            for at in box.direct:
                boxes_of[at] = boxes_of.get(at, 0) + 1
        for box in self.boxes:
            # What may also stand without this box says nothing about it.
            tied = box.own | {at for at in box.direct if boxes_of[at] == 1}
            for at in box.insisted - self.always:
                # What is insisted on together tells enough; a lone one needs all that may stand beside it.
                others = tied & (box.own | box.insisted) - {at} or tied - {at}
                if others:
                    self.with_[at] = frozenset(others)


def count(element):
    def parts(group):
        return sum(parts(part) if isinstance(part, Group) else count(part) for part in group.parts)

    own = len(element.attributes) + (element.text is not None)
    return own + (parts(element.content) if element.content is not None else 0)


# ---------------------------------------------------------------------------------------------------------------------
# The catalogue


class Catalogue:
    def __init__(self, path):
        with open(path, "rb") as file:
            data = tomllib.load(file)
        self.namespaces = data["namespaces"]
        self.prefixes = {uri: prefix for prefix, uri in self.namespaces.items()}
        self.feeds = data["feed"]
        self.records = {record["id"]: record for record in data["record"]}
        self.fields = {}
        self.at = {name: {} for name in self.records}
        self.turns = {name: {} for name in self.records}
        order = {name: 0 for name in self.records}
        for entry in data["field"]:
            for key in ("id", "record", "path", "kind"):
                if key not in entry:
                    raise Unreadable(f"field {entry.get('id', entry.get('path'))} of the catalogue has no {key}")
            entry["paths"] = entry["path"] if isinstance(entry["path"], list) else [entry["path"]]
            self.fields[entry["id"]] = entry
            record, turns = entry["record"], self.turns[entry["record"]]
            order[record] += 1
            # An element has its turn from the first field in it; two that mix share one.
            entry["turn"] = self.fields.get(entry.get("mixes_with"), {}).get("turn", order[record])
            for path in entry["paths"]:
                self.at[record][path] = entry
                element = path.partition("@")[0]
                while element:
                    turns.setdefault(element, entry["turn"])
                    element = element.rpartition("/")[0]

    def opaque(self, record):
        return {path for path, entry in self.at[record].items() if entry["kind"] == "opaque"}


class Check:
    def __init__(self, catalogue):
        self.catalogue = catalogue
        self.differences = {}
        self.places, self.never_carried = set(), {}

    def differ(self, line):
        # The same record stands in several messages: one line is enough.
        self.differences.setdefault(line)

    # Messages and what they hold

    def messages(self, schemas):
        """Every message of the schemas is a feed, and holds what the feed says it holds."""
        catalogue, reached, models = self.catalogue, set(), {}
        for feed in catalogue.feeds:
            namespace = catalogue.namespaces.get(feed["namespace"])
            if namespace is None:
                continue
            message = schemas.message(namespace, feed["message"])
            if message is None:
                self.differ(f"feed {feed['id']}: the schemas have no element {feed['message']}")
                continue
            reached.add((namespace, feed["message"]))
            if "record" in feed:
                models.setdefault(feed["record"], []).append(message)
            elif "root" in feed:
                found = {element.name: element for element in children(message)}
                wanted = {feed["root"], "geenwijzigingen", "geengegevens"}
                if set(found) != wanted:
                    self.differ(f"feed {feed['id']}: {feed['message']} holds {', '.join(sorted(found))}")
                    continue
                reached.add((namespace, feed["root"]))
                self.sections(feed, found[feed["root"]], models)
            else:
                self.sections(feed, message, models)
        for record in catalogue.records.values():
            if "namespace" in record:
                namespace = catalogue.namespaces[record["namespace"]]
                header = schemas.message(namespace, record["element"])
                if header is None:
                    self.differ(f"record {record['id']}: the schemas have no element {record['element']}")
                    continue
                reached.add((namespace, record["element"]))
                models.setdefault(record["id"], []).append(header)
        for namespace, name in schemas.own:
            if (namespace, name) not in reached:
                self.differ(f"element {name} of the schemas is no feed")
        for record in catalogue.records:
            if record not in models:
                self.differ(f"record {record} stands in no message of the schemas")
        return models

    def sections(self, feed, root, models):
        catalogue = self.catalogue
        theirs, ours = [], []
        for element in children(root):
            inner = children(element)
            wrapped = len(inner) > 0 and all(child.text is None and most > 1 for child, most in repeats(element))
            records = inner if wrapped else [element]
            theirs.append((element.name, [record.name for record in records], element.least > 0))
            for record in records:
                for name in feed_records(feed, element.name):
                    if catalogue.records[name]["element"] == record.name:
                        models.setdefault(name, []).append(record)
        for section in feed["sections"]:
            elements = [catalogue.records[name]["element"] for name in section["records"]]
            ours.append((section["path"], elements, section.get("required", False)))
        if [section[:2] for section in theirs] != [section[:2] for section in ours]:
            self.differ(f"feed {feed['id']}: sections are {told(ours)}, in the schemas {told(theirs)}")
            return
        for (path, _, insisted), (_, _, required) in zip(theirs, ours):
            if insisted and not required:
                self.differ(f"{feed['id']}: the schemas insist on section {path}, the catalogue does not")
            elif required and not insisted:
                self.differ(f"{feed['id']}: the catalogue insists on section {path}, the schemas do not")

    def file_form(self):
        """EDEXML's own schemas are not here; a file holds what the answer to HaalLeerlinggegevens holds."""
        sections = {feed["id"]: feed.get("sections") for feed in self.catalogue.feeds}
        if sections.get("edexml") is None or sections["edexml"] != sections.get("leerlinggegevens"):
            self.differ("feed edexml: its sections are not those of leerlinggegevens")

    # Records

    def records(self, models):
        for record, elements in models.items():
            made = [Model(element, self.catalogue.prefixes, self.catalogue.opaque(record)) for element in elements]
            self.known(record, made)
            for model in made:
                self.order(record, model)
                self.types(record, model)
            self.required(record, made)
            self.many(record, made)
            self.choices(record, made)
            self.never_carried[record] = max(model.never_carried for model in made)

    def known(self, record, models, all_of_it=True):
        ours, theirs = self.catalogue.at[record], set().union(*(model.places for model in models))
        for path in sorted(theirs - set(ours)):
            self.differ(f"{record}: {path} is not in the catalogue")
        if all_of_it:
            self.places.update((record, path) for path in theirs)
            for path in sorted(set(ours) - theirs):
                self.differ(f"{ours[path]['id']}: {path} is not in the schemas")

    def order(self, record, model):
        turns = self.catalogue.turns[record]
        for parent, pairs in model.before.items():
            for left, right in sorted(pairs):
                a, b = (f"{parent}/{name}" if parent else name for name in (left, right))
                if a not in turns or b not in turns:
                    continue
                if (right, left) in pairs:
                    if turns[a] != turns[b] and a < b:
                        self.differ(f"{record}: {a} and {b} may alternate, in the catalogue they may not")
                elif turns[a] >= turns[b]:
                    self.differ(f"{record}: {a} stands before {b}, in the catalogue it does not")

    def types(self, record, model):
        for path, simple in model.places.items():
            entry = self.catalogue.at[record].get(path)
            if entry is None:
                continue
            name, pattern = entry["id"], entry.get("pattern")
            if simple is None or pattern is not None:
                # Nothing can be asked of what is never carried; and a pattern says how long a value is.
                if "max" in entry or (simple is None and pattern is not None):
                    self.differ(f"{name}: max or pattern where none is of use")
                if simple is None:
                    continue
            listed = pattern is not None and pattern.startswith("in:")
            if listed and simple.values is not None:
                ours = set(pattern[3:].split("|"))
                for value in sorted(simple.values - ours):
                    self.differ(f"{name}: {value} is a value in the schemas only")
                for value in sorted(ours - simple.values):
                    self.differ(f"{name}: {value} is a value in the catalogue only")
            elif listed:
                self.differ(f"{name}: the catalogue lists values, the schemas have none")
            elif simple.values is not None:
                self.differ(f"{name}: the schemas list values, the catalogue has pattern {pattern}")
            if listed or simple.values is not None:
                # A list of values says all: neither length nor shape is left to compare.
                continue
            if simple.base not in TYPES:
                raise Unreadable(f"{path}: type {simple.base} is not understood")
            kinds, shape = TYPES[simple.base]
            if simple.pattern is not None:
                if simple.pattern not in PATTERNS:
                    raise Unreadable(f"{path}: pattern {simple.pattern} is not understood")
                shape = PATTERNS[simple.pattern]
            if entry["kind"] not in kinds:
                self.differ(f"{name}: kind is {entry['kind']}, in the schemas {simple.base}")
            if pattern != shape:
                self.differ(f"{name}: pattern is {pattern}, in the schemas {shape}")
            if shape is None and entry.get("max") != simple.longest:
                self.differ(f"{name}: max is {entry.get('max')}, in the schemas {simple.longest}")

    def required(self, record, models):
        ids = {path: entry["id"] for path, entry in self.catalogue.at[record].items()}
        for name, entry in self.catalogue.fields.items():
            if entry["record"] != record:
                continue
            wanted = set()
            for model in models:
                said = [expected(model, path, ids) for path in entry["paths"] if path in model.places]
                wanted.add(said[0] if said else None)
            # One record serves several messages: what only some of them insist on is not insisted on.
            wanted = wanted.pop() if len(wanted) == 1 else None
            given = entry.get("required")
            if isinstance(given, dict):
                ((word, others),) = given.items()
                given = (word, frozenset(others))
            if given != wanted:
                self.differ(f"{name}: required is {told(given)}, in the schemas {told(wanted)}")

    def many(self, record, models):
        ours = set(self.catalogue.records[record].get("many", []))
        theirs = set().union(*(model.many for model in models))
        for path in sorted(theirs - ours):
            self.differ(f"{record}: {path} may repeat, in the catalogue it may not")
        for path in sorted(ours - theirs):
            self.differ(f"{record}: {path} may not repeat, in the catalogue it may")

    def choices(self, record, models):
        ours = {}
        for path, entry in self.catalogue.at[record].items():
            if "choice" in entry:
                ours.setdefault(entry["choice"], set()).add(path)
        ours = {frozenset(paths) for paths in ours.values()}
        theirs = set().union(*(model.exclusive for model in models))
        for paths in sorted(theirs - ours, key=sorted):
            self.differ(f"{record}: of {', '.join(sorted(paths))} one may stand, in the catalogue they are no choice")
        for paths in sorted(ours - theirs, key=sorted):
            self.differ(f"{record}: {', '.join(sorted(paths))} are no choice in the schemas")

    # Profiles

    def profile(self, schemas):
        """A profile leaves out; it must hold nothing else and in no other order, in whichever version it is."""
        for feed in self.catalogue.feeds:
            if "root" not in feed or feed["namespace"] not in self.catalogue.namespaces:
                continue
            root = schemas.message(self.catalogue.namespaces[feed["namespace"]], feed["root"])
            if root is None:
                raise Unreadable(f"a profile has no element {feed['root']}")
            models = {}
            for element in children(root):
                for record in feed_records(feed, element.name):
                    name = self.catalogue.records[record]["element"]
                    inside = {child.name: child for child in children(element)}
                    place = inside.get(name, element if name == element.name else None)
                    if place is not None:
                        models[record] = place
            for record, element in models.items():
                model = Model(element, self.catalogue.prefixes, self.catalogue.opaque(record))
                self.known(record, [model], all_of_it=False)
                self.order(record, model)

    def finish(self):
        """What is left once the exceptions are taken off."""
        needless = [f"exception is not needed: {line}" for line in EXCEPTIONS if line not in self.differences]
        return [line for line in self.differences if line not in EXCEPTIONS] + needless


def expected(model, path, ids):
    """What `required` has to say of a place, in the catalogue's words."""
    if path in model.always:
        return "always"
    for word, named in (("without", model.without), ("with", model.with_)):
        if path in named:
            return word, frozenset(ids.get(other, other) for other in named[path])
    return None


def feed_records(feed, path):
    """Kinds of record the catalogue has in a section."""
    return [name for section in feed["sections"] if section["path"] == path for name in section["records"]]


def children(element):
    return [child for child, _ in repeats(element)]


def repeats(element):
    """Elements directly inside another, with how often each may stand there."""
    def walk(part, most):
        if isinstance(part, Element):
            yield part, most * part.most
            return
        for inner in part.parts:
            yield from walk(inner, most * part.most)

    return list(walk(element.content, 1)) if element.content is not None else []


def told(value):
    if value is None:
        return "nothing"
    if isinstance(value, tuple):
        return f"{value[0]} {', '.join(sorted(value[1]))}"
    return str(value)


def main(arguments):
    if len(arguments) not in (1, 2):
        print(__doc__, file=sys.stderr)
        return 2
    folder = Path(arguments[0]) / "Schemas"
    path = Path(arguments[1]) if len(arguments) == 2 else Path(__file__).parents[2] / "schemas/catalogue.toml"
    official = sorted(folder.glob("UWLR_*.xsd"))
    profiles = sorted(folder.glob("Profiel*/*_UWLR_Leerlinggegevens_*.xsd"))
    if len(official) != 4 or len(profiles) != 4:
        print(f"{folder}: not the schemas of UWLR 2.2 and their profiles", file=sys.stderr)
        return 2
    try:
        check = Check(Catalogue(path))
        check.records(check.messages(Schemas(official)))
        check.file_form()
        for profile in profiles:
            check.profile(Schemas([profile]))
    except (ET.ParseError, OSError, Unreadable, tomllib.TOMLDecodeError) as error:
        print(error, file=sys.stderr)
        return 2
    differences = check.finish()
    for line in differences:
        print(line)
    if differences:
        print(f"catalogue: {len(differences)} differences from the UWLR 2.2 schemas")
        return 1
    print(f"catalogue: {len(check.places)} places of the UWLR 2.2 schemas in {len(check.catalogue.records)} kinds of "
          f"record, all known, in order; {sum(check.never_carried.values())} more inside what is never carried; "
          f"{len(profiles)} profiles; {len(EXCEPTIONS)} exceptions")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
