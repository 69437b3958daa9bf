"""Which programs are the same: groups that are never split, names of CWEs, the digest of a source."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence

from steerlab.contrast import ContrastPair, Program


def text_key(text: str) -> str:
    """A key that two texts share when they are equal up to white space."""
    return "text:" + hashlib.sha256(" ".join(text.split()).encode()).hexdigest()


def merge_groups(keys: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """The group of each id: ids that share a key, directly or over others, share a group.

    Each id has at least one key; its first key is the name that a person would give the group. A
    group is called by the smallest first key of its members, so the result does not depend on order.
    """
    parent: dict[str, str] = {}

    def root(key: str) -> str:
        parent.setdefault(key, key)
        while parent[key] != key:
            parent[key] = parent[parent[key]]
            key = parent[key]
        return key

    for own in keys.values():
        for key in own:
            parent[root(key)] = root(own[0])
    names: dict[str, str] = {}
    for own in keys.values():
        top = root(own[0])
        names[top] = min(names.get(top, own[0]), own[0])
    return {identity: names[root(own[0])] for identity, own in keys.items()}


def cwe_name(given: str) -> str | None:
    """ "CWE-22" for "cwe-022", "CWE-22" and "22"; None for what is not a CWE number."""
    match = re.fullmatch(r"(?:cwe[-_ ]?)?0*([1-9][0-9]{0,4})", given.strip(), flags=re.IGNORECASE)
    return f"CWE-{match.group(1)}" if match else None


def digest(programs: Iterable[Program], pairs: Iterable[ContrastPair]) -> str:
    """SHA-256 in hex over the ids, labels and texts, in order: what a run says that it read."""
    total = hashlib.sha256()
    for program in programs:
        total.update(json.dumps([program.id, program.label, program.code]).encode())
    for pair in pairs:
        total.update(json.dumps([pair.id, pair.prompt, pair.positive, pair.negative]).encode())
    return total.hexdigest()
