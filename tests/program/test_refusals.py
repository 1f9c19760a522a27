import json
from collections.abc import Callable
from typing import cast

import pulumi
import pytest
from pulumi.runtime import mocks
from pulumi.runtime.proto import resource_pb2

from cli.program.recorder import record
from tests.unit.config.bad import BAD, GOOD, Bad


@pytest.mark.parametrize("bad", BAD, ids=lambda bad: f"{bad.key}-{bad.says or bad.fix}")
def test_a_bad_configuration_is_refused_before_any_resource_is_registered(
    bad: Bad, monkeypatch: pytest.MonkeyPatch
) -> None:
    registered: list[str] = []
    real = cast("Callable[..., object]", mocks.MockMonitor.RegisterResource)  # pyright: ignore[reportUnknownMemberType] - the SDK has no types here

    def watched(self: mocks.MockMonitor, request: resource_pb2.RegisterResourceRequest) -> object:
        registered.append(request.type)
        return real(self, request)

    monkeypatch.setattr(mocks.MockMonitor, "RegisterResource", watched)
    config = {
        f"maas:{key}": value if isinstance(value, str) else json.dumps(value) for key, value in bad.values().items()
    }
    with pytest.raises(pulumi.RunError, match="problem") as refused:
        record("bad", config, secrets=["maas:apiKeys", "maas:modelSecrets"])
    assert set(registered) <= {"pulumi:pulumi:Stack"}, "something was registered before the configuration was refused"
    assert f"{bad.key}" in str(refused.value)
    assert "c" * 40 not in str(refused.value), "a key is in the message"


def test_api_keys_in_plain_text_are_refused_and_not_repeated() -> None:
    config = {f"maas:{key}": value if isinstance(value, str) else json.dumps(value) for key, value in GOOD.items()}
    with pytest.raises(pulumi.RunError, match="stands in plain text") as refused:
        record("bad", config, secrets=[])
    assert "a" * 40 not in str(refused.value)
