"""Where the notes of a release are."""

import re

from cli.diff.snapshot import Snapshot, Version

_GITHUB = "https://github.com/{}/releases/tag/{}"
_RELEASES = {
    "vllm/vllm-openai": ("vllm-project/vllm", "{version}"),
    "cert-manager": ("cert-manager/cert-manager", "{version}"),
    "istiod": ("istio/istio", "{number}"),
    "ghcr.io/kserve/charts/kserve": ("kserve/kserve", "{version}"),
    "quay.io/brancz/kube-rbac-proxy": ("brancz/kube-rbac-proxy", "{version}"),
    "kuadrant-operator": ("Kuadrant/kuadrant-operator", "v{number}"),
    "kube-prometheus-stack": ("prometheus-community/helm-charts", "kube-prometheus-stack-{number}"),
    "ghcr.io/grafana/helm-charts/grafana-operator": ("grafana/grafana-operator", "v{number}"),
}
"""Repository and tag of what Renovate knows by another name; `{number}` is the version without its `v`."""
_OTHER = {"python": "https://docs.python.org/release/{number}/whatsnew/changelog.html"}
_TAG = re.compile(r"v?\d+(\.\d+)+")


def notes(version: Version) -> str:
    """The address of a release's notes; empty when it is not known where they are."""
    found = _TAG.search(version.value.rsplit(":", 1)[-1])
    if not found or not version.package:
        return ""
    parts = {"version": found[0], "number": found[0].removeprefix("v")}
    if version.package in _OTHER:
        return _OTHER[version.package].format(**parts)
    if version.package in _RELEASES:
        repository, tag = _RELEASES[version.package]
        return _GITHUB.format(repository, tag.format(**parts))
    return _GITHUB.format(version.package, found[0]) if version.datasource == "github-releases" else ""


def version_lines(before: Snapshot, after: Snapshot, old_text: str, new_text: str) -> list[str]:
    """A line for each pinned version that differs and is used.

    Args:
        before: the stack as it was.
        after: the stack as it will be.
        old_text: all that it had, as text: a version that is not in it is not used.
        new_text: all that it will have.
    """
    lines: list[str] = []
    for name, version in sorted(after.versions.items()):
        was = before.versions.get(name)
        if not was or was.value == version.value or version.value not in new_text or was.value not in old_text:
            continue
        where = notes(version)
        lines.append(
            f"{_title(name, version)}: {was.value} to {version.value}" + (f", notes: {where}" if where else "")
        )
    return lines


def _title(name: str, version: Version) -> str:
    return version.package.rsplit("/", 1)[-1] or name.lower().replace("_", " ")
