from cli.program import redact


def test_a_secret_object_shows_its_keys_and_none_of_its_values() -> None:
    body = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a"}, "stringData": {"api_key": "hush"}}
    assert redact.manifest(body) == {**body, "stringData": {"api_key": "<redacted>"}}


def test_secret_inputs_of_other_kinds_are_redacted_at_their_path_and_only_there() -> None:
    body = {"kind": "Limitador", "spec": {"storage": {"redis": {"url": "redis://:pw@x", "db": 1}}, "args": ["a", "pw"]}}
    shown = redact.manifest(body, {"spec.storage.redis.url", "spec.args[1]"})
    assert shown["spec"] == {"storage": {"redis": {"url": "<redacted>", "db": 1}}, "args": ["a", "<redacted>"]}


def test_the_object_itself_is_left_alone() -> None:
    body = {"apiVersion": "v1", "kind": "Secret", "data": {"k": "aHVzaA=="}}
    redact.manifest(body)
    assert body["data"] == {"k": "aHVzaA=="}, "the recording is used by others after it was rendered"


def test_a_secret_output_of_the_engine_is_redacted_however_it_is_marked() -> None:
    wrapped = {"4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270", "ciphertext": "v1:abc"}
    assert redact.event_value({"a": wrapped, "b": ["[secret]", "x"]}) == {"a": "<redacted>", "b": ["<redacted>", "x"]}
