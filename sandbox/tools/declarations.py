"""Every tool the sandbox needs, each declared once.

To bump a version: change it in its family below, then in `sandbox/tools/<family>/` run `go get <module>@<version>` for
the family's main module and `go mod tidy`. For Kubernetes also set each `k8s.io/X => k8s.io/X v0.<minor>.<patch>`
replacement of its go.mod. The tool cache keys on all of it, so that nothing else needs to be cleared or changed.
"""

import hashlib
import platform
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

TOOLS_FOLDER = Path(__file__).parent
GO_VERSION = (1, 26)
"""The oldest Go that builds every family: the highest `go` line in their go.mod files."""
GO_TOOLCHAIN_VERSION = "1.27.3"
"""The toolchain that go-toolchain.lock pins."""


@dataclass(frozen=True)
class Download:
    """Where an official release has the tool.

    The templates know `{version}` (v1.2.3), `{number}` (1.2.3), `{os}` and `{arch}` (Go's names for both).

    Attributes:
        url: The file to download.
        checksums: What the same release publishes to check it with: a file with the bare SHA-256, a list of `digest
            name` lines, or GitHub's own description of the release, which has a digest for each file.
        member: Where the tool is inside a .tar.gz; None when the file is the tool.
        systems: The operating systems that the release has the tool for.
        architectures: Names of architectures where the release differs from Go.
    """

    url: str
    checksums: str
    member: str | None = None
    systems: tuple[str, ...] = ("linux", "darwin")
    architectures: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True)
class Family:
    """Tools that come from one Go module, at one version, and are built together.

    Attributes:
        name: Folder in sandbox/tools with the go.mod and go.sum to build from.
        version: The release, with its `v`.
        stamps: Go variables that the linker sets (`-X`), because a program built outside of its own repository does
            not know its version.
        tags: Build tags, for what of a program is left out.
        module_version: The Go module's version, where it differs from the release's.
    """

    name: str
    version: str
    stamps: Mapping[str, str] = field(default_factory=dict[str, str])
    tags: tuple[str, ...] = ()
    module_version: str | None = None


@dataclass(frozen=True)
class Tool:
    """One program.

    Attributes:
        name: The name it is found, cached and run by.
        package: The Go package it is built from.
        download: Its official release; None where there are only images.
        version_arguments: What makes it print its version. Empty: it cannot say, so one on PATH is never taken.
        compatible: Which version on PATH will do: `exact`, `newer` (same major version, at least the pinned one: the
            Automation API refuses an engine older than itself, and charts may ask for a Helm that is new enough),
            `major` (same major version: kubectl only asks for /version here) or `any` (Prometheus: rules and queries
            here are written for 2.42, which Debian has, and newer).
        build_seconds: How long a build from an empty cache takes on two cores, beyond what its family shares.
    """

    name: str
    family: Family
    package: str
    download: Download | None
    build_seconds: float
    version_arguments: tuple[str, ...] = ("--version",)
    compatible: str = "exact"

    @property
    def version(self) -> str:
        """The pinned version, with its `v`."""
        return self.family.version

    def fingerprint(self) -> str:
        """Twelve hex digits that change with anything that changes the program: declaration, module files, platform."""
        digest = hashlib.sha256()
        tags = self.family.tags
        stamps = repr(sorted(self.family.stamps.items()))
        for part in (self.package, self.version, stamps, *tags, *platform_names()):
            digest.update(part.encode() + b"\0")
        folder = TOOLS_FOLDER / self.family.name
        for file in (folder / "go.mod", folder / "go.sum", *sorted(folder.glob("*.go"))):
            digest.update(file.read_bytes() + b"\0")
        return digest.hexdigest()[:12]


def platform_names() -> tuple[str, str]:
    """This machine's operating system and architecture in Go's terms."""
    machine = platform.machine().lower()
    return sys.platform, {"x86_64": "amd64", "aarch64": "arm64"}.get(machine, machine)


# renovate: datasource=github-releases depName=pulumi/pulumi
PULUMI = Family("pulumi", "v3.259.0", {"github.com/pulumi/pulumi/sdk/v3/go/common/version.Version": "v3.259.0"})
# renovate: datasource=github-releases depName=kubernetes/kubernetes
KUBERNETES = Family(
    "kubernetes",
    "v1.37.2",
    {
        "k8s.io/component-base/version.gitVersion": "v1.37.2",
        "k8s.io/component-base/version.gitMajor": "1",
        "k8s.io/component-base/version.gitMinor": "37",
    },
)
# renovate: datasource=github-releases depName=etcd-io/etcd
ETCD = Family("etcd", "v3.7.3")
# renovate: datasource=github-releases depName=kubernetes-sigs/kwok
KWOK = Family("kwok", "v0.8.0", {"sigs.k8s.io/kwok/pkg/consts.Version": "v0.8.0"})
# renovate: datasource=github-releases depName=helm/helm
HELM = Family(
    "helm",
    "v3.19.0",
    {
        "helm.sh/helm/v3/internal/version.version": "v3.19.0",
        # The Kubernetes version that charts are rendered for when there is no cluster to ask: that of its client-go.
        "helm.sh/helm/v3/pkg/chartutil.k8sVersionMajor": "1",
        "helm.sh/helm/v3/pkg/chartutil.k8sVersionMinor": "34",
    },
)
# renovate: datasource=github-releases depName=Kuadrant/kuadrant-operator
KUADRANT_OPERATOR = Family("kuadrant-operator", "v1.4.2")
# Where the upgrade begins that tests/conformance makes: it stays as it is (.github/renovate.json5 says so).
# renovate: datasource=github-releases depName=Kuadrant/kuadrant-operator-before
KUADRANT_OPERATOR_BEFORE = Family("kuadrant-operator-before", "v1.1.0")
# renovate: datasource=github-releases depName=Kuadrant/limitador-operator
LIMITADOR_OPERATOR = Family("limitador-operator", "v0.15.0")
# renovate: datasource=github-releases depName=Kuadrant/authorino-operator
AUTHORINO_OPERATOR = Family("authorino-operator", "v0.26.0")
# renovate: datasource=github-releases depName=Kuadrant/authorino
AUTHORINO = Family("authorino", "v0.25.0")

# The module proxy has commits of Istio only, no releases: this one is of August 2026.
# renovate: datasource=go depName=istio.io/istio
ISTIO = Family("istio", "v0.0.0-20260827124520-eed52ebb66ad")
# renovate: datasource=github-releases depName=kserve/kserve
KSERVE = Family("kserve", "v0.15.2")
# renovate: datasource=github-releases depName=cert-manager/cert-manager
CERT_MANAGER = Family("cert-manager", "v1.18.2")

# renovate: datasource=github-releases depName=prometheus/prometheus
PROMETHEUS = Family(
    "prometheus",
    "v3.16.0",
    {"github.com/prometheus/common/version.Version": "3.16.0"},
    # No clouds to discover targets in, and no copy of the web interface, which is no part of the module.
    tags=("remove_all_sd",),
    module_version="v0.316.0",
)
# renovate: datasource=github-releases depName=rhysd/actionlint
ACTIONLINT = Family("actionlint", "v1.7.7", {"github.com/rhysd/actionlint.version": "v1.7.7"})


def _kubernetes(name: str, build_seconds: float) -> Tool:
    url = "https://dl.k8s.io/release/{version}/bin/{os}/{arch}/" + name
    download = Download(url, url + ".sha256", systems=("linux",))
    return Tool(name, KUBERNETES, f"k8s.io/kubernetes/cmd/{name}", download, build_seconds)


def _kwok(name: str) -> Tool:
    download = Download(
        f"https://github.com/kubernetes-sigs/kwok/releases/download/{{version}}/{name}-{{os}}-{{arch}}",
        "https://api.github.com/repos/kubernetes-sigs/kwok/releases/tags/{version}",  # the release has no checksum file
    )
    return Tool(name, KWOK, f"sigs.k8s.io/kwok/cmd/{name}", download, build_seconds=50)


def _prometheus(name: str, build_seconds: float) -> Tool:
    release = "https://github.com/prometheus/prometheus/releases/download/{version}/"
    return Tool(
        name,
        PROMETHEUS,
        f"github.com/prometheus/prometheus/cmd/{name}",
        Download(
            release + "prometheus-{number}.{os}-{arch}.tar.gz",
            release + "sha256sums.txt",
            member="prometheus-{number}.{os}-{arch}/" + name,
        ),
        build_seconds,
        compatible="any",
    )


def _operator(name: str, family: Family, package: str, build_seconds: float) -> Tool:
    """An operator, which its project gives out as an image only."""
    return Tool(name, family, package, None, build_seconds, version_arguments=())


_GITHUB_ETCD = "https://github.com/etcd-io/etcd/releases/download/{version}/"
_GITHUB_PULUMI = "https://github.com/pulumi/pulumi/releases/download/{version}/"
_GITHUB_ACTIONLINT = "https://github.com/rhysd/actionlint/releases/download/{version}/"
_HELM = "https://get.helm.sh/helm-{version}-{os}-{arch}.tar.gz"

TOOLS: Mapping[str, Tool] = {
    tool.name: tool
    for tool in (
        Tool(
            "pulumi",
            PULUMI,
            "github.com/pulumi/pulumi/pkg/v3/cmd/pulumi",
            Download(
                _GITHUB_PULUMI + "pulumi-{version}-{os}-{arch}.tar.gz",
                _GITHUB_PULUMI + "pulumi-{number}-checksums.txt",
                member="pulumi/pulumi",
                architectures={"amd64": "x64"},
            ),
            build_seconds=200,
            version_arguments=("version",),
            compatible="newer",
        ),
        _kubernetes("kube-apiserver", 200),
        _kubernetes("kube-controller-manager", 50),
        _kubernetes("kube-scheduler", 20),
        replace(_kubernetes("kubectl", 20), version_arguments=("version", "--client"), compatible="major"),
        Tool(
            "etcd",
            ETCD,
            "go.etcd.io/etcd/server/v3",
            Download(
                _GITHUB_ETCD + "etcd-{version}-{os}-{arch}.tar.gz",
                _GITHUB_ETCD + "SHA256SUMS",
                member="etcd-{version}-{os}-{arch}/etcd",
                systems=("linux",),  # the release for macOS is a .zip
            ),
            build_seconds=40,
        ),
        _kwok("kwok"),
        _kwok("kwokctl"),
        Tool(
            "helm",
            HELM,
            "helm.sh/helm/v3/cmd/helm",
            Download(_HELM, _HELM + ".sha256sum", member="{os}-{arch}/helm"),
            build_seconds=120,
            version_arguments=("version", "--short"),
            compatible="newer",
        ),
        _prometheus("promtool", 300),
        _prometheus("prometheus", 60),
        Tool(
            "actionlint",
            ACTIONLINT,
            "github.com/rhysd/actionlint/cmd/actionlint",
            Download(
                _GITHUB_ACTIONLINT + "actionlint_{number}_{os}_{arch}.tar.gz",
                _GITHUB_ACTIONLINT + "actionlint_{number}_checksums.txt",
                member="actionlint",
            ),
            build_seconds=20,
            version_arguments=("-version",),
        ),
        _operator("kuadrant-operator", KUADRANT_OPERATOR, "github.com/kuadrant/kuadrant-operator/cmd", 150),
        _operator(
            "telemetry-policy",
            KUADRANT_OPERATOR,
            "github.com/kuadrant/kuadrant-operator/cmd/extensions/telemetry-policy",
            5,
        ),
        _operator(
            "kuadrant-operator-before", KUADRANT_OPERATOR_BEFORE, "github.com/kuadrant/kuadrant-operator/cmd", 150
        ),
        _operator("limitador-operator", LIMITADOR_OPERATOR, "github.com/kuadrant/limitador-operator", 60),
        _operator("authorino-operator", AUTHORINO_OPERATOR, "github.com/kuadrant/authorino-operator", 60),
        _operator("authorino", AUTHORINO, "github.com/kuadrant/authorino", 60),
        _operator("istiod", ISTIO, "istio.io/istio/pilot/cmd/pilot-discovery", 345),
        _operator("kserve-controller", KSERVE, "github.com/kserve/kserve/cmd/manager", 180),
        # A program of ours (sandbox/tools/cert-manager/main.go) around cert-manager's own parts.
        _operator("cert-manager", CERT_MANAGER, "github.com/cert-manager/cert-manager/maas", 120),
    )
}
"""Every tool by its name."""
