"""What the catalogue keeps of a file beside what it decides on, as JSON, for `why` to tell. PURE."""

from __future__ import annotations

import json

from mediad.model import Identity


def evidence_of(identity: Identity, why: str) -> str:
    """All that `why` will want to tell; empty values are left out.

    What the worker wrote is neither parsed nor checked here: a row is written of every file.

    Args:
        why: the rule that decided on its place, "" for none.
    """
    ours = ((name, text) for name, text in (("settled", identity.evidence), ("why", why)) if text)
    parts = [f'"{name}":{json.dumps(text)}' for name, text in ours]
    if inside := identity.facts.evidence[1:-1]:
        parts.insert(0, inside)
    return f"{{{','.join(parts)}}}"
