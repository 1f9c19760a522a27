#!/usr/bin/env python3
"""Helm post-renderer for the charts of KServe and Kuadrant: what Helm is not to create, and not to delete.

- CustomResourceDefinitions get `helm.sh/resource-policy: keep`. These charts have them among their templates, so that
  uninstalling a release would delete them, and with them every object of their kinds, those of others too.
- ClusterServingRuntimes are left out. KServe's chart creates them together with the webhook that checks them. On a
  first installation nothing answers for that webhook yet, the installation fails, and an atomic one is undone: it would
  fail each time (kserve/kserve issue 5037).

Runs under whatever Python there is, so it reads the text as text.
"""

import re
import sys

KEEP = "helm.sh/resource-policy"
_SEPARATOR = re.compile(r"^---\s*$", re.MULTILINE)
_RUNTIME = re.compile(r"^kind:\s*ClusterServingRuntime\s*$", re.MULTILINE)
_CRD = re.compile(r"^kind:\s*CustomResourceDefinition\s*$", re.MULTILINE)
_METADATA = re.compile(r"^metadata:[ \t]*\n(?P<body>(?:(?:[ #].*)?\n)*)", re.MULTILINE)
_ANNOTATIONS = re.compile(r"^(?P<indent> +)annotations:[ \t]*(?P<value>\S.*)?\n", re.MULTILINE)
_POLICY = re.compile(rf"""^ +["']?{re.escape(KEEP)}["']?:.*\n""", re.MULTILINE)


def post_rendered(manifests: str) -> str:
    """The YAML documents that Helm is to have.

    Raises:
        ValueError: A CustomResourceDefinition is written in a way that this does not understand.
    """
    documents = [each.strip("\n") for each in _SEPARATOR.split(manifests) if each.strip()]
    kept = [kept_on_delete(each) if _CRD.search(each) else each for each in documents if not _RUNTIME.search(each)]
    return "".join(f"---\n{each.rstrip()}\n" for each in kept)


def kept_on_delete(definition: str) -> str:
    """A CustomResourceDefinition that stays when its release goes, whatever its chart says."""
    match = _METADATA.search(f"{definition}\n")
    if match is None:
        raise ValueError(f"no metadata that this can read in: {definition[:200]!r}")
    body = _POLICY.sub("", match["body"])
    annotations = _ANNOTATIONS.search(body)
    if annotations is None:
        indent = re.match(r" *", body)
        step = indent[0] if indent and indent[0] else "  "
        body = f"{step}annotations:\n{step}  {KEEP}: keep\n{body}"
    elif annotations["value"] in {None, "{}"}:
        step = annotations["indent"]
        body = f"{body[: annotations.start()]}{step}annotations:\n{step}  {KEEP}: keep\n{body[annotations.end() :]}"
    else:
        raise ValueError(f"annotations that this cannot read: {annotations[0].strip()!r}")
    return f"{definition[: match.start()]}metadata:\n{body}{definition[match.end() :]}"


if __name__ == "__main__":
    sys.stdout.write(post_rendered(sys.stdin.read()))
