"""A stack for the tests of rules, and its rules as files that promtool reads."""

import re
from pathlib import Path

from components.observability.rule_folder import document, documents
from components.observability.rules import RuleFile
from components.observability.values import values_files
from config.settings import Settings
from tests.unit.config.bad import GOOD

RULE_TESTS = Path(__file__).parent / "rules"
TESTED = Settings.load(
    "rules",
    GOOD
    | {
        "tiers": {
            **GOOD["tiers"],
            "enterprise": {"level": 2, "requests": "50 per 2m", "tokens": "unlimited", "price": 0.006},
            "batch": {"level": 3, "requests": "unlimited", "tokens": "1000000 per 720h", "price": 0.001},
        },
        "models": {
            "simulator": {"profile": "simulator", "servedName": "simulator-model"},
            "qwen3": {
                "source": "hf://Qwen/Qwen3-0.6B",
                "profile": "small-gpu",
                "gpu": {"count": 2},
                "replicas": 2,
                "priceFactor": 2,
            },
            "sometimes": {
                "source": "hf://Qwen/Qwen3-0.6B",
                "profile": "small-gpu",
                "autoscaling": {"min": 0, "max": 2},
            },
            "busy": {"source": "hf://Qwen/Qwen3-0.6B", "profile": "small-gpu", "autoscaling": {"min": 2, "max": 4}},
            "elsewhere": {"source": "https://api.example.com/v1", "profile": "external"},
        },
        "serving": {"autoscaler": "keda"},
        "gateway": {"tls": {"mode": "self-signed"}},
        "observability": {
            "thresholds": {"series": 3},
            "budgets": {"everything": {"amount": 5000}, "search": {"amount": 800, "team": "search"}},
        },
    },
)


def write_rules(folder: Path, *, every: str = "1m") -> None:
    """The files of `rules/` and those of the stack; and `amounts.yaml`, its budgets without what is spent of them.

    Args:
        folder: Where to.
        every: How often the rules are evaluated, where a test is about months and their own interval would be too slow.
    """
    texts = documents() | {f"{file.name}.yaml": document(file) for file in values_files(TESTED)}
    amounts = [
        rule for file in values_files(TESTED) for rule in file.rules if rule["record"] == "maas:budget_amount:info"
    ]
    texts["amounts.yaml"] = document(RuleFile("amounts", "Budgets.", "usage", amounts))
    for name, text in texts.items():
        thinned = text if every == "1m" else re.sub(r"(?m)^  interval: .*", f"  interval: {every}", text)
        (folder / name).write_text(thinned, encoding="utf-8")
