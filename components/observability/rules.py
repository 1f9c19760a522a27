"""Recording rules and alerts. What differs between stacks comes in as series (`values.py`), so that these do not."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from components.observability.growth import BY, WITHOUT_MODEL, growth

_MINUTE = "1m"
Rules = list[dict[str, Any]]


@dataclass(frozen=True)
class RuleFile:
    """One file of rules, which is one PrometheusRule.

    Attributes:
        name: Of the file in `rules/`, and of the object after `maas-`.
        about: What it is for; a comment in the file.
        beside: What the rules read: `usage` (the counters by user, wherever they are), `limiter` (Limitador,
            Authorino), `gateway` (the gateway and the models), `certificates` (cert-manager). OpenShift shows a rule
            only the series of its own namespace.
        rules: The rules in order.
        interval: How often they are evaluated.
    """

    name: str
    about: str
    beside: str
    rules: Rules
    interval: str = _MINUTE

    @property
    def groups(self) -> Rules:
        """As Prometheus wants them."""
        return [{"name": f"maas-{self.name}", "interval": self.interval, "rules": self.rules}]


def record(name: str, expression: str, labels: Mapping[str, str] | None = None) -> dict[str, Any]:
    """A recording rule."""
    return {"record": name, "expr": expression} | ({"labels": dict(labels)} if labels else {})


@dataclass(frozen=True)
class _Alert:
    name: str
    expression: str
    severity: str
    summary: str
    description: str
    pending: str = "5m"
    labels: Mapping[str, str] = field(default_factory=dict[str, str])

    def rule(self) -> dict[str, Any]:
        """The alert as Prometheus wants it; `runbook_url` is added where the page is known."""
        return {
            "alert": self.name,
            "expr": self.expression,
            "for": self.pending,
            "labels": {"severity": self.severity, **self.labels},
            "annotations": {"summary": self.summary, "description": self.description},
        }


def _threshold(name: str) -> str:
    return f'on () group_left () maas:threshold:info{{name="{name}"}}'


_LIMITADOR_UP = "limitador_up"
_GATEWAY_UP = 'up{job=~".*(maas-gateway|istio-pod-monitor).*"}'

USAGE = RuleFile(
    "usage",
    "Tokens and requests, from Limitador's counters with the labels of the TelemetryPolicy. Hits "
    "are tokens where they\n"
    "have a model, which is known only from the answer, and requests where they have none.",
    "usage",
    [
        record("maas:tokens:increase1m", growth('authorized_hits{model!=""}', BY, _LIMITADOR_UP)),
        record("maas:request_hits:increase1m", growth('authorized_hits{model=""}', WITHOUT_MODEL, _LIMITADOR_UP)),
        record("maas:calls:increase1m", growth("authorized_calls", WITHOUT_MODEL, _LIMITADOR_UP)),
        record("maas:limited:increase1m", growth("limited_calls", WITHOUT_MODEL, _LIMITADOR_UP)),
        # The request limit and the token limit of a tier ask the limiter once each, and every tier has the latter.
        # Request hits are the calls of the request limit: what is left passed both.
        record(
            "maas:requests:increase1m",
            "clamp_min(maas:calls:increase1m - maas:request_hits:increase1m, 0)\nor maas:calls:increase1m",
        ),
    ],
)
_HITS = growth("authorized_hits", WITHOUT_MODEL, _LIMITADOR_UP)
_TOKENS_ONLY = 'maas:tier_limits:info{requests="unlimited"}'
USAGE_WITHOUT_MODEL = RuleFile(
    "usage-without-model",
    "Tokens and requests where the TelemetryPolicy has no label for the model. Hits are then tokens and requests\n"
    "together. A tier with a request limit has two calls and one hit for a request, so half the calls are taken off;\n"
    "that is too little by half a token for each request that the token limit refused. Where the tier is not known\n"
    "either, a request limit is assumed, as bills do.",
    "usage",
    [
        record("maas:hits:increase1m", _HITS),
        record("maas:calls:increase1m", growth("authorized_calls", WITHOUT_MODEL, _LIMITADOR_UP)),
        record("maas:limited:increase1m", growth("limited_calls", WITHOUT_MODEL, _LIMITADOR_UP)),
        record(
            "maas:tokens:increase1m",
            f"clamp_min((maas:hits:increase1m unless on (tier) {_TOKENS_ONLY}) - maas:calls:increase1m / 2, 0)\n"
            f"or (maas:hits:increase1m and on (tier) {_TOKENS_ONLY})",
        ),
        record(
            "maas:requests:increase1m",
            f"(maas:calls:increase1m unless on (tier) {_TOKENS_ONLY}) / 2\nor maas:calls:increase1m",
        ),
    ],
)


def _as_tier(expression: str) -> str:
    return f'sum by (user, tier) (\n  label_replace(\n{expression},\n    "tier", "$1", "group", "(.*)"\n  )\n)'


USAGE_BY_GATEWAY = RuleFile(
    "usage-by-gateway",
    "Tokens and requests as the filter of the original demonstration counts them at the gateway, by user and group.",
    "usage",
    [
        record(
            f"maas:{name}:increase1m",
            _as_tier(growth(f"{counter}_with_user_and_group", ("user", "group"), _GATEWAY_UP)),
        )
        for name, counter in (("tokens", "token_usage"), ("requests", "authorized_calls"), ("limited", "limited_calls"))
    ],
)

_PRICED = "* on (tier) group_left () maas:tier_price:info"
_FACTOR = "* on (model) group_left () maas:model_price_factor:info"
COST = RuleFile(
    "cost",
    "What tokens cost: the price of the tier, times the factor of the model where it has one.",
    "usage",
    [
        record(
            "maas:cost:increase1m",
            f"maas:tokens:increase1m {_PRICED} {_FACTOR}\n"
            f"or\n(maas:tokens:increase1m {_PRICED} unless on (model) maas:model_price_factor:info)",
        ),
        record("maas:tokens:increase1h", "sum_over_time(maas:tokens:increase1m[59m59s])"),
        record("maas:requests:increase1h", "sum_over_time(maas:requests:increase1m[59m59s])"),
        record("maas:limited:increase1h", "sum_over_time(maas:limited:increase1m[59m59s])"),
        record("maas:cost:increase1h", "sum_over_time(maas:cost:increase1m[59m59s])"),
        record("maas:tokens:rate5m", "sum_over_time(maas:tokens:increase1m[4m59s]) / 300"),
        record("maas:requests:rate5m", "sum_over_time(maas:requests:increase1m[4m59s]) / 300"),
        record("maas:limited:rate5m", "sum_over_time(maas:limited:increase1m[4m59s]) / 300"),
        record(
            "maas:limited:ratio5m",
            "sum by (tier) (maas:limited:rate5m)\n/\n"
            "(sum by (tier) (maas:limited:rate5m) + (sum by (tier) (maas:requests:rate5m) or\n"
            "  0 * sum by (tier) (maas:limited:rate5m)) > 0)",
        ),
        _Alert(
            "MaasUsageWithoutPrice",
            'sum by (tier) (maas:tokens:increase1h{tier!=""}) > 0 unless on (tier) maas:tier_price:info',
            "warning",
            "Tokens of tier {{ $labels.tier }} have no price",
            "The stack knows no tier of that name, so {{ $value }} tokens of the last hour are in no bill.",
        ).rule(),
    ],
)
_HOURS = """sum_over_time(
  (
    maas:budget_spend:increase1h and on () (month(vector(time() - 1)) == on () maas:clock:month @ end())
  )[31d:1h] offset 1s
)"""
_MINUTES = """sum_over_time(
  (maas:budget_spend:increase1m and on () (hour(vector(time() - 1)) == on () maas:clock:hour @ end()))[59m:1m]
)"""
BUDGETS = RuleFile(
    "budgets",
    "What was spent of each budget since the first of the month (UTC): the hours of this month, and "
    "the minutes of this\n"
    "hour. A subquery asks at each step which month or hour it is, and compares with those of the evaluation.",
    "usage",
    [
        record("maas:clock:month", "month(vector(time() - 1))"),
        record("maas:clock:hour", "hour(vector(time() - 1))"),
        record("maas:budget_spend:increase1h", "sum_over_time(maas:budget_spend:increase1m[59m59s])"),
        record("maas:budget_spend:month", f"({_HOURS} + {_MINUTES})\nor {_MINUTES}\nor {_HOURS}"),
        record("maas:budget_used:ratio", "maas:budget_spend:month / on (budget) maas:budget_amount:info"),
        *(
            _Alert(
                f"MaasBudget{percent}",
                f"maas:budget_used:ratio >= {percent / 100:g}" + (f" < {below / 100:g}" if below else ""),
                severity,
                f"{percent} percent of budget {{{{ $labels.budget }}}} are spent",
                "{{ $value | humanizePercentage }} of this month's budget {{ $labels.budget }} are spent.",
                pending="0m",
            ).rule()
            for percent, below, severity in ((80, 90, "info"), (90, 100, "warning"), (100, 0, "critical"))
        ),
    ],
)
LIMITS = RuleFile(
    "limits",
    "Who runs into limits, and whether they hold.",
    "usage",
    [
        _Alert(
            "MaasManyRequestsLimited",
            f"maas:limited:ratio5m > {_threshold('limited_ratio')}",
            "warning",
            "Tier {{ $labels.tier }} runs into its limits",
            "{{ $value | humanizePercentage }} of the requests of tier {{ $labels.tier }} get 429.",
            pending="10m",
        ).rule(),
        _Alert(
            "MaasTokensNotCounted",
            # Without the label `tier` all are one.
            "sum by (tier) (sum_over_time(maas:requests:increase1m[14m59s]) > 0) >= 10\n"
            "unless on (tier) sum by (tier) (sum_over_time(maas:tokens:increase1m[14m59s])) > 0",
            "critical",
            "No tokens are counted{{ with $labels.tier }} for tier {{ . }}{{ end }}",
            "{{ $value }} requests passed in 15 minutes and no token was counted: answers carry no usage, "
            "or the limiter "
            "does not hear of them. Token limits do not hold.",
        ).rule(),
        _Alert(
            "MaasQuotaNearlyUsed",
            # Ten hours or more, however the stack file writes them.
            'maas:quota_used:ratio{window=~"[0-9]{2,}h.*|[6-9][0-9]{2}m.*|[0-9]{4,}m.*|[0-9]{5,}s.*"} > 0.9',
            "info",
            "{{ $labels.user }} has used {{ $value | humanizePercentage }} of a quota",
            "{{ $labels.limit }} per {{ $labels.window }} of tier {{ $labels.tier }}. Then come 429s until it ends.",
        ).rule(),
    ],
)
_OF_LIMITER = 'job=~".*limitador.*", job!~".*operator.*"'
_OF_AUTHORISER = 'job=~".*authorino.*", job!~".*operator.*"'
_AUTHENTICATIONS = "sum(rate(auth_server_authconfig_response_status[5m]))"
LIMITER = RuleFile(
    "limiter",
    "Limitador and Authorino: whether limits hold, and whether keys are looked at.",
    "limiter",
    [
        record(
            "maas:authentication:p95",
            "histogram_quantile(0.95, sum by (le) (rate(auth_server_authconfig_duration_seconds_bucket[5m])))",
        ),
        _Alert(
            "MaasLimiterDown",
            "absent(limitador_up == 1)",
            "critical",
            "No limiter is up",
            "No Limitador was scraped. Requests are refused, or pass without limits where the stack fails open.",
            pending="2m",
        ).rule(),
        _Alert(
            "MaasLimiterReplicaDown",
            f"up{{{_OF_LIMITER}}} == 0",
            "warning",
            "A replica of the limiter cannot be scraped",
            "{{ $labels.instance }} does not answer. What it counted since its last scrape may be lost.",
        ).rule(),
        _Alert(
            "MaasLimiterStoreLost",
            "max(datastore_partitioned) == 1",
            "critical",
            "The limiter has lost its store",
            "Limitador cannot reach Redis: replicas count alone, and quotas are larger than they should be.",
            pending="1m",
        ).rule(),
        _Alert(
            "MaasLimiterScrapedTwice",
            "count by (namespace, pod) (limitador_up) > 1",
            "critical",
            "Usage is counted {{ $value }} times",
            "Limitador's pod {{ $labels.pod }} is scraped by more than one monitor, so tokens and cost are too high.",
        ).rule(),
        _Alert(
            "MaasAuthoriserDown",
            f"absent(up{{{_OF_AUTHORISER}}} == 1)",
            "critical",
            "No authoriser is up",
            "No Authorino was scraped. Without one, every request is refused.",
            pending="2m",
        ).rule(),
        _Alert(
            "MaasAuthenticationSlow",
            f"maas:authentication:p95 > {_threshold('authentication_latency_seconds')}",
            "warning",
            "Authentication is slow",
            "The 95th percentile is {{ $value | humanizeDuration }}. Beyond the gateway's time limit requests fail.",
        ).rule(),
        _Alert(
            "MaasAuthenticationFailing",
            '(\n  sum(rate(auth_server_authconfig_response_status{status="UNAUTHENTICATED"}[5m]))\n'
            f"  / ({_AUTHENTICATIONS} > 0.1)\n) > {_threshold('authentication_failure_ratio')}",
            "warning",
            "Many keys are not accepted",
            "{{ $value | humanizePercentage }} of requests come with no valid key: a rotation that went "
            "wrong, or guesses.",
        ).rule(),
        _Alert(
            "MaasTooManySeries",
            f'count({{__name__=~"authorized_hits|authorized_calls|limited_calls"}}) > {_threshold("series")}',
            "warning",
            "The limiter has {{ $value }} time series",
            "They grow with users times models. Turn labels off (maas:observability.telemetryLabels) or give "
            "Prometheus more memory.",
            pending="15m",
        ).rule(),
    ],
)
_FILTER = '__name__=~"(wasmcustom_)?kuadrant_{}"'
GATEWAY = RuleFile(
    "gateway",
    "The gateway: whether requests pass without being looked at, and how long its certificate is valid.",
    "gateway",
    [
        _Alert(
            "MaasFailOpen",
            f"sum by (namespace, pod) (increase({{{_FILTER.format('errors')}}}[5m])) > 0",
            "critical",
            "The gateway's filter had errors: requests may pass without limits",
            "{{ $value | humanize }} errors in 5 minutes at {{ $labels.pod }}. Where the stack fails open, "
            "those requests "
            "were not limited; where it fails closed, callers got 500.",
            pending="1m",
        ).rule(),
        _Alert(
            "MaasRequestsWithoutPolicy",
            f"sum by (namespace, pod) (increase({{{_FILTER.format('misses')}}}[5m])) > 0",
            "critical",
            "Requests pass without authentication",
            "{{ $value | humanize }} requests in 5 minutes met no policy at {{ $labels.pod }}: a host that "
            "Kuadrant does "
            "not know, or one in another case.",
            pending="1m",
        ).rule(),
        _Alert(
            "MaasGatewayDown",
            f"absent({_GATEWAY_UP} == 1)",
            "critical",
            "No gateway is up",
            "No pod of the gateway was scraped.",
            pending="2m",
        ).rule(),
    ],
)
CERTIFICATES = RuleFile(
    "certificates",
    "The gateway's certificate, where cert-manager makes it.",
    "certificates",
    [
        _Alert(
            "MaasCertificateExpires",
            "(\n  (certmanager_certificate_expiration_timestamp_seconds > 0 and on (name) "
            "maas:gateway_certificate:info)\n"
            f"  - time()\n) / 86400 < {_threshold('certificate_days')}",
            "critical",
            "The gateway's certificate ends soon",
            "Certificate {{ $labels.name }} is valid for {{ $value | humanize }} more days: cert-manager "
            "did not renew it.",
            pending="15m",
        ).rule(),
    ],
)
MODELS = RuleFile(
    "models",
    "The models: whether they are there, and whether the GPUs that are paid for work.",
    "gateway",
    [
        record("maas:model_replicas_up:count", 'count by (inference_service) (up{inference_service!=""} == 1)'),
        record(
            "maas:model_tokens:increase2h",
            "sum by (inference_service) (\n"
            "  increase(vllm:generation_tokens_total[2h]) + increase(vllm:prompt_tokens_total[2h])\n"
            ")",
        ),
        record(
            "maas:model_gpus_idle:count",
            "maas:model_gpus:info and on (inference_service) (maas:model_tokens:increase2h == 0)",
        ),
        _Alert(
            "MaasModelNotReady",
            # A model elsewhere has none, and one that KEDA ends without requests may have none.
            "maas:model_replicas:info > 0\nunless on (inference_service) (\n"
            "  maas:model_replicas_up:count >= on (inference_service) maas:model_replicas:info\n)",
            "critical",
            "Model {{ $labels.inference_service }} is not ready",
            "It should have {{ $value }} replicas at least, and fewer answer.",
            pending="15m",
        ).rule(),
        _Alert(
            "MaasGpuIdle",
            "maas:model_gpus_idle:count > 0",
            "info",
            "{{ $value }} GPUs of model {{ $labels.inference_service }} are idle",
            "Nobody called it for 2 hours. Its GPUs are paid for all the same.",
            pending="30m",
        ).rule(),
    ],
)

FILES: Sequence[RuleFile] = (
    USAGE,
    USAGE_WITHOUT_MODEL,
    USAGE_BY_GATEWAY,
    COST,
    BUDGETS,
    LIMITS,
    LIMITER,
    GATEWAY,
    CERTIFICATES,
    MODELS,
)
"""Every file of `rules/`; a stack takes one of the three for usage."""
