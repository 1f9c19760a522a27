"""What the dashboards show: panels and their queries.

Sums over a range add up what the recording rules counted minute by minute, so a restart of the limiter changes nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass

_HALF, _THIRD, _WHOLE, _QUARTER = 12, 8, 24, 6


@dataclass(frozen=True)
class Query:
    """One query of a panel; `legend` is Grafana's pattern, such as `{{user}}`."""

    expression: str
    legend: str = ""


@dataclass(frozen=True)
class Panel:
    """One panel.

    Attributes:
        title: What it shows.
        kind: `number`, `lines` (over time), `bars` (one for each value, largest first) or `table`.
        unit: Grafana's name of the unit.
        queries: What is asked.
        width: Of the 24 columns.
        about: Shown with the panel.
        stacked: Whether lines stand on one another.
    """

    title: str
    kind: str
    unit: str
    queries: Sequence[Query]
    width: int = _HALF
    about: str = ""
    stacked: bool = False

    @property
    def instant(self) -> bool:
        """Whether only the last value is asked for."""
        return self.kind != "lines"


@dataclass(frozen=True)
class Variable:
    """A choice at the top of a dashboard: the values of a label of a series."""

    name: str
    series: str

    @property
    def query(self) -> str:
        """As Grafana asks a Prometheus data source."""
        return f"label_values({self.series}, {self.name})"


@dataclass(frozen=True)
class Board:
    """One dashboard."""

    uid: str
    title: str
    about: str
    panels: Sequence[Panel]
    variables: Sequence[Variable] = ()
    since: str = "now-24h"


def _number(title: str, unit: str, expression: str, about: str = "") -> Panel:
    return Panel(title, "number", unit, [Query(expression)], _QUARTER, about)


def _lines(  # noqa: PLR0913 - what lines have
    title: str, unit: str, expression: str, legend: str, *, width: int = _HALF, about: str = "", stacked: bool = False
) -> Panel:
    return Panel(title, "lines", unit, [Query(expression, legend)], width, about, stacked=stacked)


def _bars(title: str, unit: str, expression: str, legend: str, about: str = "") -> Panel:
    return Panel(title, "bars", unit, [Query(expression, legend)], about=about)


def _over(series: str, labels: str = "", *, where: str = "", window: str = "$__range") -> str:
    grouping = f" by ({labels})" if labels else ""
    return f"sum{grouping} (sum_over_time(maas:{series}:increase1m{where}[{window}]))"


_LOST = "What a restart of the limiter can lose is at most the traffic of one scrape interval."
_LATENCY = "histogram_quantile(0.95, sum by (le{more}) (rate({series}_bucket[5m])))"

OVERVIEW = Board(
    "maas-overview",
    "MaaS / Service overview",
    "Is the service up, how much is it used, what is refused and why.",
    [
        _number("Tokens", "short", _over("tokens"), _LOST),
        _number("Cost", "none", _over("cost"), "In the currency of the prices."),
        _number("Requests", "short", _over("requests"), "Requests that passed all limits."),
        _number("Users", "short", f"count({_over('requests', 'user')} > 0)", "Users with at least one request."),
        _lines("Tokens per second", "short", "sum by (tier) (maas:tokens:rate5m)", "{{tier}}", stacked=True),
        _lines("Requests per second", "reqps", "sum by (tier) (maas:requests:rate5m)", "{{tier}}", stacked=True),
        _lines(
            "Share of requests with 429",
            "percentunit",
            "maas:limited:ratio5m",
            "{{tier}}",
            width=_THIRD,
            about="They never reach a model, so Istio's own metrics do not have them.",
        ),
        _lines(
            "Answers of the gateway",
            "reqps",
            "sum by (response_code) (rate(istio_requests_total[5m]))",
            "{{response_code}}",
            width=_THIRD,
        ),
        _lines(
            "Time to answer, 95th percentile",
            "ms",
            _LATENCY.format(more="", series="istio_request_duration_milliseconds"),
            "gateway",
            width=_THIRD,
        ),
        _lines(
            "Decisions about keys",
            "reqps",
            "sum by (status) (rate(auth_server_authconfig_response_status[5m]))",
            "{{status}}",
            width=_THIRD,
        ),
        _lines("Time to decide, 95th percentile", "s", "maas:authentication:p95", "Authorino", width=_THIRD),
        Panel(
            "Errors and misses of the filter in five minutes",
            "lines",
            "short",
            [
                Query(f'sum(increase({{__name__=~"(wasmcustom_)?kuadrant_{name}"}}[5m]))', name)
                for name in ("errors", "misses")
            ],
            _THIRD,
            "Errors: requests may have passed without limits. Misses: they met no policy at all.",
        ),
        _bars(
            "Budgets used this month",
            "percentunit",
            "maas:budget_used:ratio",
            "{{budget}}",
            about="Since the first of the month, in UTC.",
        ),
        Panel(
            "Alerts",
            "table",
            "short",
            [Query('count by (alertname, severity) (ALERTS{alertname=~"Maas.*", alertstate="firing"}) or vector(0)')],
            about="Those that fire now; one line with 0 when none does.",
        ),
    ],
)

USAGE = Board(
    "maas-usage",
    "MaaS / Tokens and cost",
    "Who used how many tokens, and what they cost.",
    [
        _number("Total tokens", "short", _over("tokens"), _LOST),
        _number("Total cost", "none", _over("cost")),
        _number("Tokens per minute now", "short", "sum(maas:tokens:rate5m) * 60"),
        _number(
            "Cost of a thousand tokens", "none", f"1000 * {_over('cost')} / ({_over('tokens')} > 0)", "On the average."
        ),
        _bars("Tokens by tier", "short", _over("tokens", "tier"), "{{tier}}"),
        _bars("Cost by tier", "none", _over("cost", "tier"), "{{tier}}"),
        _bars("Tokens by model", "short", _over("tokens", "model"), "{{model}}"),
        _bars("Cost by model", "none", _over("cost", "model"), "{{model}}"),
        Panel(
            "Top consumers: tokens",
            "table",
            "short",
            [Query(f"topk(20, {_over('tokens', 'user, tier')})")],
        ),
        Panel("Top consumers: cost", "table", "none", [Query(f"topk(20, {_over('cost', 'user, tier')})")]),
        _lines(
            "Tokens per minute by tier", "short", "sum by (tier) (maas:tokens:rate5m) * 60", "{{tier}}", stacked=True
        ),
        _lines(
            "Tokens per minute, top ten users", "short", "topk(10, sum by (user) (maas:tokens:rate5m)) * 60", "{{user}}"
        ),
        _lines("Cost per hour", "none", "sum by (tier) (maas:cost:increase1h)", "{{tier}}", stacked=True),
        _lines("Tokens per hour by model", "short", "sum by (model) (maas:tokens:increase1h)", "{{model}}"),
        _bars(
            "Cost by cost centre",
            "none",
            f"sum by (cost_centre) ({_over('cost', 'user')} * on (user) group_left (cost_centre) maas:user:info)",
            "{{cost_centre}}",
            about="As the stack file has it for each user.",
        ),
        _bars(
            "Cost by team",
            "none",
            f"sum by (team) ({_over('cost', 'user')} * on (user) group_left (team) maas:user:info)",
            "{{team}}",
        ),
    ],
)


def _of_team(expression: str) -> str:
    return f'({expression} and on (user) maas:user:info{{team=~"$team", user=~"$user"}})'


TEAM = Board(
    "maas-team",
    "MaaS / A team's usage",
    "What one team, or one user, has used, and how near its limits are.",
    [
        _number("Tokens", "short", f"sum({_of_team(_over('tokens', 'user'))})", _LOST),
        _number("Cost", "none", f"sum({_of_team(_over('cost', 'user'))})"),
        _number("Requests", "short", f"sum({_of_team(_over('requests', 'user'))})"),
        _number("Requests with 429", "short", f"sum({_of_team(_over('limited', 'user'))}) or vector(0)"),
        _bars("Tokens by user", "short", _of_team(_over("tokens", "user")), "{{user}}"),
        _bars("Tokens by model", "short", f"sum by (model) ({_of_team(_over('tokens', 'user, model'))})", "{{model}}"),
        _lines(
            "Tokens per minute",
            "short",
            f"{_of_team('sum by (user) (maas:tokens:rate5m)')} * 60",
            "{{user}}",
            stacked=True,
        ),
        _lines("Requests per minute", "short", f"{_of_team('sum by (user) (maas:requests:rate5m)')} * 60", "{{user}}"),
        _bars(
            "Limits used",
            "percentunit",
            _of_team("max by (user, limit, window) (maas:quota_used:ratio)"),
            "{{user}}: {{limit}} per {{window}}",
            about="Over the last window of that length; tokens on the model that is nearest to its limit.",
        ),
        _lines("Cost per hour", "none", _of_team("sum by (user) (maas:cost:increase1h)"), "{{user}}", stacked=True),
    ],
    (Variable("team", "maas:user:info"), Variable("user", 'maas:user:info{team=~"$team"}')),
    "now-7d",
)

MODELS = Board(
    "maas-models",
    "MaaS / Models and GPUs",
    "Whether models answer, how fast, and whether their GPUs work.",
    [
        _number("Models", "short", "count(maas:model_replicas:info)"),
        _number("Replicas up", "short", "sum(maas:model_replicas_up:count) or vector(0)"),
        _number("GPUs", "short", "sum(maas:model_gpus:info) or vector(0)", "Of all replicas that the stack has."),
        _number(
            "GPUs idle", "short", "sum(maas:model_gpus_idle:count) or vector(0)", "Nobody called them for two hours."
        ),
        _lines("Requests running", "short", "sum by (model_name) (vllm:num_requests_running)", "{{model_name}}"),
        _lines("Requests waiting", "short", "sum by (model_name) (vllm:num_requests_waiting)", "{{model_name}}"),
        _lines(
            "Generated tokens per second",
            "short",
            "sum by (model_name) (rate(vllm:generation_tokens_total[5m]))",
            "{{model_name}}",
        ),
        _lines(
            "Prompt tokens per second",
            "short",
            "sum by (model_name) (rate(vllm:prompt_tokens_total[5m]))",
            "{{model_name}}",
        ),
        _lines(
            "Time to first token, 95th percentile",
            "s",
            _LATENCY.format(more=", model_name", series="vllm:time_to_first_token_seconds"),
            "{{model_name}}",
        ),
        _lines(
            "Time to answer, 95th percentile",
            "s",
            _LATENCY.format(more=", model_name", series="vllm:e2e_request_latency_seconds"),
            "{{model_name}}",
        ),
        _lines("KV cache used", "percentunit", "max by (model_name) (vllm:kv_cache_usage_perc)", "{{model_name}}"),
        Panel(
            "Replicas: up, and wanted",
            "table",
            "short",
            [Query("maas:model_replicas_up:count", "up"), Query("maas:model_replicas:info", "wanted")],
        ),
    ],
)

LIMITS = Board(
    "maas-limits",
    "MaaS / Limits and fairness",
    "Who runs into limits, how much of each is used, and how evenly the service is shared.",
    [
        _number("Requests with 429", "short", f"{_over('limited')} or vector(0)"),
        _number(
            "Share with 429",
            "percentunit",
            f"({_over('limited')} / ({_over('limited')} + {_over('requests')} > 0)) or vector(0)",
        ),
        _number(
            "Share of the largest user",
            "percentunit",
            f"max({_over('tokens', 'user')}) / ({_over('tokens')} > 0)",
            "Of all tokens.",
        ),
        _number(
            "Fairness",
            "percentunit",
            f"({_over('tokens')} ^ 2) / (count({_over('tokens', 'user')} > 0) * sum({_over('tokens', 'user')} ^ 2))",
            "Jain's index: 100 percent when all users have the same, one n-th when one of n has all.",
        ),
        _lines("Requests with 429 per minute", "short", "sum by (tier) (maas:limited:rate5m) * 60", "{{tier}}"),
        _lines("Share with 429 by tier", "percentunit", "maas:limited:ratio5m", "{{tier}}"),
        Panel("Users with most 429", "table", "short", [Query(f"topk(20, {_over('limited', 'user, tier')})")]),
        Panel(
            "Limits nearly used",
            "table",
            "percentunit",
            [Query("topk(20, max by (user, tier, limit, window) (maas:quota_used:ratio))")],
            about="Over the last window of that length.",
        ),
        _lines(
            "Share of tokens, top ten users",
            "percentunit",
            "topk(10, sum by (user) (maas:tokens:rate5m)) / on () group_left () (sum(maas:tokens:rate5m) > 0)",
            "{{user}}",
            width=_WHOLE,
        ),
    ],
)

BOARDS: Sequence[Board] = (OVERVIEW, USAGE, TEAM, MODELS, LIMITS)
"""Every dashboard."""
