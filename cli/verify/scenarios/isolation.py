"""That there is no way to a model but the gateway."""

from collections.abc import Iterator, Mapping
from typing import Any

from cli.doctor.case import dig, labels_of, name_of
from cli.program.recorder import Object
from cli.service.calls import Way
from cli.verify.client import NOBODY
from cli.verify.facts import Facts
from cli.verify.scenario import Bench, Case, Cost, Need, Scenario, SkippedError, expect_that
from components.isolation import MODEL_LABEL

GROUP = "isolation"
_NETWORKING = "networking.k8s.io/v1"


async def network_policies(bench: Bench, _: object) -> str:
    """Each pod of a model is selected by a policy of ours that says who may call it."""
    cluster = bench.means.cluster
    assert cluster is not None  # noqa: S101 - needed
    where = bench.facts.settings.platform.namespace
    ours = [each for each in bench.means.wanted if each.kind == "NetworkPolicy" and each.namespace == where]
    if not ours:
        raise SkippedError("the stack makes no NetworkPolicies")
    live = {name_of(each): each for each in await cluster.list(_NETWORKING, "NetworkPolicy", where)}
    for wanted in ours:
        found = live.get(wanted.metadata_name)
        expect_that(found is not None, f"NetworkPolicy {where}/{wanted.metadata_name}", "it is not on the cluster")
        same = all(dig(found, "spec", part) == dig(wanted.body, "spec", part) for part in ("podSelector", "ingress"))
        expect_that(
            same, f"NetworkPolicy {where}/{wanted.metadata_name} as the stack has it", "another one of that name"
        )
    pods = [each for each in await cluster.list("v1", "Pod", where) if MODEL_LABEL in labels_of(each)]
    if not pods:
        raise SkippedError(f"no pod of a model is in {where}")
    for pod in pods:
        guards = [each for each in ours if _guards(each, labels_of(pod))]
        expect_that(
            bool(guards), f"a NetworkPolicy that selects pod {name_of(pod)}", "none does: everybody may call it"
        )
    return f"{len(pods)} pods of models are selected"


async def direct_access(bench: Bench, url: str) -> None:
    """An address behind the gateway does not answer."""
    way = Way(url, "", url.rstrip("/"), url.partition("//")[2].partition("/")[0])
    reply = await bench.client.send(way, NOBODY, "/v1/models")
    expect_that(reply.status == 0, f"no connection to {url} from here", f"an answer: {reply.words}", reply)


def _guards(policy: Object, labels: Mapping[str, str]) -> bool:
    spec = policy.body["spec"]
    return "Ingress" in spec.get("policyTypes", ()) and _selects(spec["podSelector"], labels)


def _selects(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    """Kubernetes' label selectors."""
    return selector.get("matchLabels", {}).items() <= labels.items() and all(
        _holds(each, labels) for each in selector.get("matchExpressions", ())
    )


def _holds(each: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    key, values = each["key"], each.get("values", ())
    match each["operator"]:
        case "In":
            return labels.get(key) in values
        case "NotIn":
            return labels.get(key) not in values
        case "Exists":
            return key in labels
        case _:
            return key not in labels


def _each_pod_network(facts: Facts) -> Iterator[Case]:
    inside = [each for each in facts.models if not facts.settings.models[each].external]
    yield Case(cost=Cost(0)) if inside else Case(skip="no model runs in the cluster")


SCENARIOS = (
    Scenario(
        "network-policies",
        GROUP,
        "A NetworkPolicy selects each model's pods, and lets the gateway and the scraper in.",
        network_policies,
        needs=frozenset({Need.CLUSTER}),
        cases=_each_pod_network,
        hint="somebody has changed or deleted the policy: ./maas refresh, ./maas up",
    ),
)
DIRECT = Scenario(
    "direct-access",
    GROUP,
    "A model's own address does not answer from here.",
    direct_access,
    hint="the cluster's network plugin does not enforce NetworkPolicies, or verify runs where it may pass",
)
"""Has a case for each address that the command line names."""
