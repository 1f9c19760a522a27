#!/usr/bin/env python3
"""Helm post-renderer: takes the ClusterServingRuntimes out of what KServe's chart renders.

The chart creates them together with the webhook that checks them. On a first installation nothing answers for that
webhook yet, the installation fails, and an atomic one is undone: it would fail each time (kserve/kserve issue 5037).
"""

import re
import sys

_SEPARATOR = re.compile(r"^---\s*$", re.MULTILINE)
_RUNTIME = re.compile(r"^kind:\s*ClusterServingRuntime\s*$", re.MULTILINE)


def without_runtimes(manifests: str) -> str:
    """The YAML documents that are no ClusterServingRuntimes."""
    documents = [each for each in _SEPARATOR.split(manifests) if each.strip()]
    return "".join(f"---\n{each.strip()}\n" for each in documents if not _RUNTIME.search(each))


if __name__ == "__main__":
    sys.stdout.write(without_runtimes(sys.stdin.read()))
