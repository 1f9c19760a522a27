"""A model server without a model: it answers the OpenAI API the way vLLM does, with made-up but reproducible text.

One file, standard library only: it is mounted from a ConfigMap into a stock Python image, and it is started as a local
process. The same request with the same options gives the same text and the same token counts, always.

The parts, top to bottom: options, errors, tokens and text, reading a request, answers, metrics, the server, `main`.
"""

import argparse
import base64
import hashlib
import hmac
import itertools
import json
import logging
import math
import os
import re
import signal
import socket
import socketserver
import struct
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Literal, cast

VERSION = "0.1.0+simulator"
log = logging.getLogger("maas.simulator")

Json = dict[str, object]
FinishReason = Literal["stop", "length", "abort"]

# --- Options ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Options:
    """All that can be chosen. Each field is a flag and a variable: latency_ms is --latency-ms and SIM_LATENCY_MS."""

    model: tuple[str, ...] = ("simulator",)
    served_model_name: tuple[str, ...] = ()  # replaces `model` in the API, as in vLLM
    host: str = "0.0.0.0"  # noqa: S104  a pod is reached from outside; a local process says --host 127.0.0.1
    port: int = 8080
    latency_ms: float = 0.0
    token_ms: float = 0.0
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    max_model_len: int = 8192
    max_num_seqs: int = 256
    max_connections: int = 1024
    max_body_bytes: int = 4 * 1024 * 1024
    api_key: tuple[str, ...] = field(default=(), repr=False)
    enable_force_include_usage: bool = False
    drain_seconds: float = 25.0

    @property
    def names(self) -> tuple[str, ...]:
        """The model names that requests may use; the first one answers requests that name none."""
        return self.served_model_name or self.model


def _whole(least: int, most: int = 2**31) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not re.fullmatch(r"[0-9]{1,10}", text) or not least <= int(text) <= most:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from {least} to {most}")
        return int(text)

    return parse


def _duration(text: str) -> float:
    if not re.fullmatch(r"[0-9]+(\.[0-9]+)?", text) or float(text) > 3_600_000:  # noqa: PLR2004  an hour in milliseconds
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 to 3600000")
    return float(text)


def _name(text: str) -> str:
    if not text.strip():
        raise argparse.ArgumentTypeError("is empty")
    return text.strip()


def _option_parser(env: Mapping[str, str]) -> argparse.ArgumentParser:
    defaults = Options()
    parser = argparse.ArgumentParser(
        prog="maas_simulator", description="A model server without a model.", epilog="Every flag is also SIM_<FLAG>."
    )

    def option(flag: str, parse: Callable[[str], object], text: str) -> None:
        variable = flag.removeprefix("--").replace("-", "_")
        default = env.get(f"SIM_{variable.upper()}", "") or getattr(defaults, variable)
        parser.add_argument(flag, type=parse, default=default, metavar="X", help=text)

    def repeatable(flag: str, text: str) -> None:
        # The default stays None: argparse would append what the command line says to what the environment says.
        parser.add_argument(flag, type=_name, action="append", metavar="X", help=f"{text} (repeatable; commas in SIM_)")

    repeatable("--model", "model to stand in for; default: simulator")
    repeatable("--served-model-name", "name in the API instead of --model")
    repeatable(
        "--api-key", "accept only these bearer tokens on /v1; better set by SIM_API_KEY, which `ps` does not show"
    )
    option("--host", _name, "address to listen on; default: all")
    option("--port", _whole(0, 65535), "port to listen on, 0 for any free one; default: 8080")
    option("--latency-ms", _duration, "milliseconds to the first token; default: 0")
    option("--token-ms", _duration, "milliseconds for every further token; default: 0")
    option("--prompt-tokens", _whole(0), "say that every prompt has this many tokens")
    option("--completion-tokens", _whole(1), "want this many tokens in every choice (max_tokens still cuts)")
    option("--max-model-len", _whole(1, 2**20), "prompt and completion together, in tokens; default: 8192")
    option("--max-num-seqs", _whole(1), "requests that run at once, others wait; default: 256")
    option("--max-connections", _whole(1), "connections held at once, others are closed; default: 1024")
    option("--max-body-bytes", _whole(1), "largest request body; default: 4 MiB")
    option("--drain-seconds", _duration, "time for running requests after SIGTERM; default: 25")
    flag = env.get("SIM_ENABLE_FORCE_INCLUDE_USAGE", "").lower()
    if flag not in {"", "0", "1", "false", "true"}:
        parser.error("SIM_ENABLE_FORCE_INCLUDE_USAGE must be true or false")
    parser.add_argument(
        "--enable-force-include-usage",
        action="store_true",
        default=flag in {"1", "true"},
        help="end every stream with usage, asked for or not (token limits at the gateway need it)",
    )
    return parser


def parse_options(arguments: Sequence[str], env: Mapping[str, str]) -> Options:
    """Read flags, then SIM_* variables, then defaults. Exits with status 2 and a message on values that cannot be."""
    values = cast("dict[str, object]", vars(_option_parser(env).parse_args(arguments)))
    for name in ("model", "served_model_name", "api_key"):
        from_env = tuple(part.strip() for part in env.get(f"SIM_{name.upper()}", "").split(",") if part.strip())
        given = cast("list[str] | None", values[name])
        values[name] = tuple(given) if given else from_env or getattr(Options(), name)
    return Options(**values)  # pyright: ignore[reportArgumentType]  argparse has checked each value's type


# --- Errors ----------------------------------------------------------------------------------------------------------


class ApiError(Exception):
    """A request that is refused. `kind` is vLLM's name for the error, `param` the field that is to blame."""

    def __init__(
        self, status: HTTPStatus, message: str, *, kind: str = "BadRequestError", param: str | None = None
    ) -> None:
        super().__init__(message)
        self.status, self.message, self.kind, self.param = status, message, kind, param

    def body(self) -> Json:
        """The error as OpenAI clients expect it; `code` repeats the status, as in vLLM."""
        return {"error": {"message": self.message, "type": self.kind, "param": self.param, "code": int(self.status)}}


def _bad(param: str, rule: str) -> ApiError:
    return ApiError(HTTPStatus.BAD_REQUEST, f"'{param}' {rule}", param=param)


# --- Tokens and text -------------------------------------------------------------------------------------------------

TOKEN = re.compile(r"\w{1,12}|[^\w\s]")
TOKENS_PER_MESSAGE = 4  # what a chat template adds around one message: role and turn markers
SENTENCE_TOKENS = 12  # eleven words and a full stop
EMBEDDING_DIMENSIONS = 384
WORDS = (
    "gateway", "request", "answer", "model", "token", "limit", "window", "tenant", "quota", "stream", "cluster", "node",
    "a", "the", "each", "every", "this", "one", "another", "some", "serves", "counts", "routes", "meets", "keeps",
    "sends", "takes", "gives", "holds", "opens", "small", "steady", "quiet", "plain", "fair", "open", "early", "late",
    "near", "under", "over", "with", "for", "from", "before", "after", "until", "while", "and", "but", "so", "then",
    "today", "here", "again", "always", "often", "soon", "well", "once", "team", "budget", "signal", "path",
)  # fmt: skip


def count_tokens(text: str) -> int:
    """Count tokens by a simple rule: a word is one token per 12 characters begun, a punctuation mark is one."""
    return sum(1 for _ in TOKEN.finditer(text))


@dataclass(frozen=True, slots=True)
class Choice:
    """One completion: the text of each token (joined they are the answer) and why it ended."""

    pieces: tuple[str, ...]
    finish_reason: FinishReason
    stop_reason: str | None = None

    @property
    def text(self) -> str:
        """The whole answer."""
        return "".join(self.pieces)


def _pieces(seed: bytes, count: int) -> tuple[str, ...]:
    def piece(index: int, byte: int) -> str:
        place = index % SENTENCE_TOKENS
        if place == SENTENCE_TOKENS - 1:
            return "."
        word = WORDS[byte % len(WORDS)]
        return (" " if index else "") + (word if place else word.capitalize())

    return tuple(piece(index, byte) for index, byte in enumerate(hashlib.shake_256(seed).digest(count)))


def _cut_at_stop(pieces: tuple[str, ...], stops: Sequence[str]) -> Choice | None:
    """End at the stop string that is complete first: the tokens that spell it count, its text is not in the answer."""
    text = "".join(pieces)
    found = [(text.find(stop) + len(stop), stop) for stop in stops if stop in text]
    if not found:
        return None
    end, stop = min(found)
    kept: list[str] = []
    position = 0
    for piece in pieces:
        if position >= end:
            break
        kept.append(piece[: max(0, end - len(stop) - position)])
        position += len(piece)
    return Choice(tuple(kept), "stop", stop)


def complete(seed: bytes, *, wanted: int | None, limit: int, stops: Sequence[str] = ()) -> Choice:
    """Make up one answer from `seed`.

    Args:
        seed: What the text depends on, and nothing else does.
        wanted: Tokens the model would say by itself; None lets the seed choose two to six sentences.
        limit: Most tokens that may be said, at least 1. Reaching it before the end is finish reason "length".
        stops: Strings that end the answer where they would appear.
    """
    natural = wanted if wanted is not None else SENTENCE_TOKENS * (2 + hashlib.sha256(seed).digest()[0] % 5)
    pieces = _pieces(seed, min(natural, limit))
    return _cut_at_stop(pieces, stops) or Choice(pieces, "stop" if natural <= limit else "length")


def embed(seed: bytes, dimensions: int) -> list[float]:
    """Make up a vector of length 1 from `seed`."""
    raw = struct.unpack(f"<{dimensions}h", hashlib.shake_256(seed).digest(2 * dimensions))
    values = [value + 0.5 for value in raw]  # never all zero
    norm = math.hypot(*values)
    return [value / norm for value in values]


# --- Reading a request -----------------------------------------------------------------------------------------------

CREDENTIALS = ("authorization", "proxy-authorization", "cookie", "x-api-key", "api-key")
"""Headers that a gateway must not pass on. Each answer names those that came, so that a caller can tell; no value."""
MAX_CHOICES = 128  # prompts times n in one request; OpenAI's bound on n
MAX_DIMENSIONS = 4096


@dataclass(frozen=True, slots=True)
class Prompt:
    """What was asked: the content that seeds the answer, and its size."""

    content: str
    tokens: int


@dataclass(frozen=True, slots=True)
class Work:
    """A checked request for text."""

    model: str
    prompts: tuple[Prompt, ...]
    choices: tuple[Choice, ...]
    stream: bool
    usage_in_stream: bool

    @property
    def usage(self) -> Json:
        """Token counts of the whole request."""
        return usage(sum(p.tokens for p in self.prompts), sum(len(c.pieces) for c in self.choices))


def usage(prompt: int, completion: int) -> Json:
    """The usage object that token limits are fed from."""
    return {"prompt_tokens": prompt, "total_tokens": prompt + completion, "completion_tokens": completion}


def parse_json(raw: bytes) -> Json:
    """Decode a body that must be one JSON object."""
    try:
        value: object = json.loads(raw)
    except (ValueError, RecursionError):  # the parser's own message could quote the body
        raise ApiError(HTTPStatus.BAD_REQUEST, "The body is not valid JSON.") from None
    if not isinstance(value, dict):
        raise ApiError(HTTPStatus.BAD_REQUEST, "The body must be a JSON object.")
    return cast("Json", value)


def _model(body: Json, options: Options) -> str:
    model = body.get("model")
    if model is None:  # vLLM too takes a request without a model for its only one
        return options.names[0]
    if not isinstance(model, str):
        raise _bad("model", "must be a string.")
    if model not in options.names:
        message = f"The model `{model}` does not exist."
        raise ApiError(HTTPStatus.NOT_FOUND, message, kind="NotFoundError", param="model")
    return model


def _integer(body: Json, name: str, least: int, most: int) -> int | None:
    value = body.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise _bad(name, f"must be an integer from {least} to {most}.")
    return value


def _flag(body: Json, name: str) -> bool:
    value = body.get(name)
    if value is not None and not isinstance(value, bool):
        raise _bad(name, "must be true or false.")
    return value is True


def _list(value: object) -> list[object] | None:
    return cast("list[object]", value) if isinstance(value, list) else None


def _prompt(content: str, tokens: int, options: Options) -> Prompt:
    return Prompt(content, tokens if options.prompt_tokens is None else options.prompt_tokens)


def _message_text(message: object, where: str) -> str:
    if not isinstance(message, dict):
        raise _bad(where, "must be an object.")
    fields = cast("Json", message)
    if not isinstance(fields.get("role"), str):
        raise _bad(f"{where}.role", "is required and must be a string.")
    content = fields.get("content")
    calls = json.dumps(fields["tool_calls"]) if fields.get("tool_calls") else ""
    if content is None or isinstance(content, str):
        return (content or "") + calls
    texts: list[str] = []
    for part in _list(content) or [None]:
        text = cast("Json", part).get("text") if isinstance(part, dict) else None
        if not isinstance(text, str):
            raise _bad(f"{where}.content", "must be a string or a list of parts of type text.")
        texts.append(text)
    return "\n".join(texts) + calls


def chat_prompts(body: Json, options: Options) -> tuple[Prompt, ...]:
    """Read `messages` (and `tools`, which a template puts in front of them)."""
    messages = _list(body.get("messages"))
    if not messages:
        raise _bad("messages", "is required and must be a list with at least one message.")
    texts = [_message_text(message, f"messages[{index}]") for index, message in enumerate(messages)]
    if body.get("tools"):
        texts.append(json.dumps(body["tools"]))
    tokens = sum(map(count_tokens, texts)) + TOKENS_PER_MESSAGE * len(messages)
    return (_prompt(json.dumps([texts, messages]), tokens, options),)


def plain_prompts(body: Json, name: str, options: Options) -> tuple[Prompt, ...]:
    """Read a field that is a string, a list of strings, a list of token ids or a list of such lists."""
    value = body.get(name)
    many = _list(value)
    entries: list[object] = [value] if many is None or (many and isinstance(many[0], int)) else many
    prompts: list[Prompt] = []
    for entry in entries:
        ids = _list(entry)
        if isinstance(entry, str):
            prompts.append(_prompt(json.dumps(entry), count_tokens(entry), options))
        elif ids and all(isinstance(token, int) and not isinstance(token, bool) for token in ids):
            prompts.append(_prompt(json.dumps(ids), len(ids), options))
        else:
            raise _bad(name, "is required and must be a string, a list of token ids, or a list of either.")
    if not 1 <= len(prompts) <= MAX_CHOICES:
        raise _bad(name, f"must hold 1 to {MAX_CHOICES} entries.")
    return tuple(prompts)


def _stops(body: Json) -> list[str]:
    value = body.get("stop")
    many = _list(value)
    stops: list[object] = many if many is not None else [value] if value is not None else []
    if not all(isinstance(stop, str) and stop for stop in stops):
        raise _bad("stop", "must be a string or a list of strings, none of them empty.")
    return cast("list[str]", stops)


def check_length(prompt: Prompt, asked: int, options: Options) -> None:
    """Refuse what does not fit into the context, in vLLM's words."""
    if prompt.tokens + asked > options.max_model_len:
        raise ApiError(
            HTTPStatus.BAD_REQUEST,
            f"This model's maximum context length is {options.max_model_len} tokens. However, you requested {asked} "
            f"output tokens and your prompt contains {prompt.tokens} input tokens, for a total of "
            f"{prompt.tokens + asked} tokens. Please reduce the length of the input prompt or the number of requested "
            "output tokens.",
            param="input_tokens",
        )


def _usage_in_stream(body: Json, options: Options, *, stream: bool) -> bool:
    value = body.get("stream_options")
    if value is None:
        return options.enable_force_include_usage
    if not isinstance(value, dict):
        raise _bad("stream_options", "must be an object.")
    if not stream:
        raise ApiError(
            HTTPStatus.BAD_REQUEST, "Stream options can only be defined when `stream=True`.", param="stream_options"
        )
    return _flag(cast("Json", value), "include_usage") or options.enable_force_include_usage


def read_work(body: Json, options: Options, *, chat: bool) -> Work:
    """Check a chat or completion request and make up its answer.

    Raises:
        ApiError: With the field that is wrong, before anything has been sent.
    """
    model = _model(body, options)
    prompts = chat_prompts(body, options) if chat else plain_prompts(body, "prompt", options)
    most = 2**53
    limit = _integer(body, "max_tokens", 1, most)
    limit = (_integer(body, "max_completion_tokens", 1, most) or limit) if chat else limit or 16  # 16: OpenAI's default
    n = _integer(body, "n", 1, MAX_CHOICES) or 1
    if n * len(prompts) > MAX_CHOICES:
        raise _bad("n", f"times the number of prompts must be at most {MAX_CHOICES}.")
    stops, stream, ignore_eos = _stops(body), _flag(body, "stream"), _flag(body, "ignore_eos")
    seed = _integer(body, "seed", -most, most)
    in_stream = _usage_in_stream(body, options, stream=stream)
    choices: list[Choice] = []
    for prompt in prompts:
        check_length(prompt, limit or 1, options)
        room = limit or options.max_model_len - prompt.tokens
        wanted = options.max_model_len if ignore_eos else options.completion_tokens
        for index in range(n):
            key = json.dumps([prompt.content, seed, index]).encode()
            choices.append(complete(key, wanted=wanted, limit=room, stops=stops))
    return Work(model, prompts, tuple(choices), stream, in_stream)


# --- Answers ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Dialect:
    """What differs between /v1/chat/completions and /v1/completions."""

    chat: bool
    id_prefix: str
    kind: str
    chunk_kind: str

    def whole(self, choice: Choice) -> Json:
        """The text part of a choice in an answer that comes in one piece."""
        return {"message": {"role": "assistant", "content": choice.text}} if self.chat else {"text": choice.text}

    def part(self, text: str) -> Json:
        """The text part of a choice in a stream."""
        return {"delta": {"content": text}} if self.chat else {"text": text}


CHAT = Dialect(chat=True, id_prefix="chatcmpl", kind="chat.completion", chunk_kind="chat.completion.chunk")
TEXT = Dialect(chat=False, id_prefix="cmpl", kind="text_completion", chunk_kind="text_completion")


def _choice(index: int, content: Json, reason: str | None, stop_reason: str | None) -> Json:
    return {"index": index, **content, "logprobs": None, "finish_reason": reason, "stop_reason": stop_reason}


def whole_choices(dialect: Dialect, work: Work) -> list[Json]:
    """The choices of an answer that comes in one piece."""
    return [_choice(i, dialect.whole(c), c.finish_reason, c.stop_reason) for i, c in enumerate(work.choices)]


def stream_steps(dialect: Dialect, work: Work) -> Iterator[list[Json]]:
    """Yield what each token step adds: the choices advance side by side, and an ended one is silent."""
    longest = max(len(choice.pieces) for choice in work.choices)
    for step in range(longest):
        events: list[Json] = []
        for index, choice in enumerate(work.choices):
            if step == 0 and dialect.chat:
                events.append(_choice(index, {"delta": {"role": "assistant", "content": ""}}, None, None))
            if step >= len(choice.pieces):
                continue
            last = step == len(choice.pieces) - 1
            if last or choice.pieces[step]:
                reason, stop = (choice.finish_reason, choice.stop_reason) if last else (None, None)
                events.append(_choice(index, dialect.part(choice.pieces[step]), reason, stop))
        yield events


def embeddings(body: Json, options: Options) -> tuple[str, Json, int]:
    """Answer an embeddings request: the model, the answer and the number of prompt tokens."""
    model = _model(body, options)
    prompts = plain_prompts(body, "input", options)
    dimensions = _integer(body, "dimensions", 1, MAX_DIMENSIONS) or EMBEDDING_DIMENSIONS
    encoding = body.get("encoding_format") or "float"
    if encoding not in {"float", "base64"}:
        raise _bad("encoding_format", "must be float or base64.")
    data: list[Json] = []
    for index, prompt in enumerate(prompts):
        check_length(prompt, 0, options)
        vector = embed(prompt.content.encode(), dimensions)
        packed = base64.b64encode(struct.pack(f"<{dimensions}f", *vector)).decode() if encoding == "base64" else vector
        data.append({"index": index, "object": "embedding", "embedding": packed})
    tokens = sum(prompt.tokens for prompt in prompts)
    return model, {"object": "list", "model": model, "data": data, "usage": usage(tokens, 0)}, tokens


# --- Metrics ---------------------------------------------------------------------------------------------------------

# Bucket bounds in seconds, vLLM's own, so that its dashboards and recording rules fit.
FIRST_TOKEN_BUCKETS = (
    0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, 20.0, 40.0, 80.0,
    160.0, 640.0, 2560.0,
)  # fmt: skip
LATENCY_BUCKETS = (
    0.3, 0.5, 0.8, 1.0, 1.5, 2.0, 2.5, 5.0, 10.0, 15.0, 20.0, 30.0, 40.0, 50.0, 60.0, 120.0, 240.0, 480.0, 960.0,
    1920.0, 7680.0,
)  # fmt: skip
FINISH_REASONS: tuple[FinishReason, ...] = ("stop", "length", "abort")


class Histogram:
    """Cumulative counts of durations in seconds. Guarded by the lock of its owner."""

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds, self.counts, self.count, self.sum = bounds, [0] * len(bounds), 0, 0.0

    def observe(self, seconds: float) -> None:
        """Add one duration."""
        self.count += 1
        self.sum += seconds
        for index, bound in enumerate(self.bounds):
            self.counts[index] += seconds <= bound

    def samples(self, name: str, labels: str) -> Iterator[str]:
        """Yield the lines of the exposition format."""
        for bound, count in zip((*self.bounds, "+Inf"), (*self.counts, self.count), strict=True):
            yield f'{name}_bucket{{{labels},le="{bound}"}} {count}'
        yield f"{name}_sum{{{labels}}} {self.sum}"
        yield f"{name}_count{{{labels}}} {self.count}"


class ModelMetrics:
    """What is counted for one model name. Guarded by the lock of its owner."""

    def __init__(self) -> None:
        self.running = self.waiting = self.prompt_tokens = self.generation_tokens = 0
        self.finished: dict[FinishReason, int] = dict.fromkeys(FINISH_REASONS, 0)
        self.first_token, self.latency = Histogram(FIRST_TOKEN_BUCKETS), Histogram(LATENCY_BUCKETS)


class Run:
    """One request on its way through the model; the tokens said so far are counted even when it ends early."""

    def __init__(self, engine: "Engine", metrics: ModelMetrics) -> None:
        self.generated = 0
        self._engine, self._metrics, self._start, self._open = engine, metrics, time.monotonic(), True

    def first_token(self, prompt_tokens: int) -> None:
        """Note that the prompt has been read."""
        with self._engine.lock:
            self._metrics.prompt_tokens += prompt_tokens
            self._metrics.first_token.observe(time.monotonic() - self._start)

    def finish(self, reason: FinishReason) -> None:
        """Close the books, once. Called before the last byte is sent, so that a scrape after the answer agrees."""
        if not self._open:
            return
        self._open = False
        with self._engine.lock:
            self._metrics.running -= 1
            self._metrics.generation_tokens += self.generated
            self._metrics.finished[reason] += 1
            self._metrics.latency.observe(time.monotonic() - self._start)
        self._engine.seats.release()


class Engine:
    """The pretended model: a number of seats, and the metrics of who sat there."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.lock = threading.Lock()
        self.seats = threading.BoundedSemaphore(options.max_num_seqs)
        self.models = {name: ModelMetrics() for name in options.names}

    @contextmanager
    def run(self, model: str) -> Generator[Run]:
        """Wait for a seat and hold it until the run is finished; leaving without finish() is an abort."""
        metrics = self.models[model]
        run = Run(self, metrics)
        with self.lock:
            metrics.waiting += 1
        self.seats.acquire()
        with self.lock:
            metrics.waiting -= 1
            metrics.running += 1
        try:
            yield run
        finally:
            run.finish("abort")

    def exposition(self) -> str:
        """All metrics in the Prometheus text format 0.0.4."""
        lines: list[str] = []

        def family(name: str, kind: str, text: str, samples: Callable[[ModelMetrics, str], Iterator[str]]) -> None:
            lines.extend((f"# HELP {name} {text}", f"# TYPE {name} {kind}"))
            for model, metrics in self.models.items():
                escaped = model.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
                lines.extend(samples(metrics, f'model_name="{escaped}"'))

        def single(name: str, kind: str, text: str, value: Callable[[ModelMetrics], float]) -> None:
            family(name, kind, text, lambda metrics, labels: iter([f"{name}{{{labels}}} {value(metrics)}"]))

        seats = self.options.max_num_seqs
        success, first, latency = (
            "vllm:request_success_total", "vllm:time_to_first_token_seconds", "vllm:e2e_request_latency_seconds",
        )  # fmt: skip
        with self.lock:
            single("vllm:num_requests_running", "gauge", "Requests that hold a seat.", lambda m: m.running)
            single("vllm:num_requests_waiting", "gauge", "Requests that wait for a seat.", lambda m: m.waiting)
            single("vllm:kv_cache_usage_perc", "gauge", "Seats taken; 1 means all.", lambda m: m.running / seats)
            single("vllm:prompt_tokens_total", "counter", "Prompt tokens read.", lambda m: m.prompt_tokens)
            single("vllm:generation_tokens_total", "counter", "Tokens generated.", lambda m: m.generation_tokens)
            family(success, "counter", "Requests that ended, by reason.", lambda m, labels: (
                f'{success}{{{labels},finished_reason="{reason}"}} {count}' for reason, count in m.finished.items()
            ))  # fmt: skip
            family(
                first,
                "histogram",
                "Time to the first token in seconds.",
                lambda m, la: m.first_token.samples(first, la),
            )
            family(latency, "histogram", "Time to the end in seconds.", lambda m, la: m.latency.samples(latency, la))
        return "\n".join(lines) + "\n"


# --- The server ------------------------------------------------------------------------------------------------------

IDLE_SECONDS = 75.0  # a kept-alive connection without a request, or a client that neither sends nor reads
LINGER_SECONDS = 2.0  # how long a refused body is still read, so that the client gets to see the refusal
ROUTES = {
    "/v1/chat/completions": "POST", "/v1/completions": "POST", "/v1/embeddings": "POST",
    "/v1/models": "GET", "/health": "GET", "/version": "GET", "/metrics": "GET",
}  # fmt: skip


class Server(ThreadingHTTPServer):
    """A thread per connection, a bounded number of them, and an orderly end."""

    request_queue_size = 128
    daemon_threads = True

    def __init__(self, options: Options) -> None:
        self.options, self.engine = options, Engine(options)
        self.started, self.numbers = time.time_ns(), itertools.count(1)
        self.draining = False
        self._busy: dict[socket.socket, bool] = {}  # every open connection, and whether a request is under way on it
        self._change = threading.Condition()
        self.address_family = socket.AF_INET6 if ":" in options.host else socket.AF_INET
        super().__init__((options.host, options.port), Handler)

    def server_bind(self) -> None:
        """Bind without the parent's reverse look-up of the host name, which can hang for seconds in a pod."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = self.options.host, int(self.server_address[1])

    def process_request(self, request: socket.socket, client_address: object) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Take a connection, or close it at once when there are too many."""
        with self._change:
            full = len(self._busy) >= self.options.max_connections
            if not full:
                self._busy[request] = False
        if full:
            log.warning("connection closed: %d are open already", self.options.max_connections)
            self.shutdown_request(request)
        else:
            super().process_request(request, client_address)

    def shutdown_request(self, request: socket.socket) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Close a connection and forget it."""
        super().shutdown_request(request)
        with self._change:
            self._busy.pop(request, None)
            self._change.notify_all()

    def set_busy(self, connection: socket.socket, *, busy: bool) -> None:
        """Note that a request has begun or ended on a connection."""
        with self._change:
            self._busy[connection] = busy

    def handle_error(self, request: object, client_address: object) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Say that a connection broke; the message of the error stays out, it could quote the request."""
        del request, client_address
        kind = sys.exc_info()[0]
        if kind is not None and not issubclass(kind, ConnectionError):
            log.error("connection ended by %s", kind.__name__)

    def drain(self, seconds: float) -> int:
        """Stop listening, let running requests end, and return how many connections were still open after `seconds`."""
        self.draining = True
        self.shutdown()
        self.server_close()
        with self._change:
            for connection, busy in self._busy.items():
                if not busy:
                    # Ends the wait for a next request. One that has already arrived can still be read, and is answered.
                    try:
                        connection.shutdown(socket.SHUT_RD)
                    except OSError:  # the client was faster
                        log.debug("idle connection already closed")
            self._change.wait_for(lambda: not self._busy, timeout=seconds)
            return len(self._busy)


class Handler(BaseHTTPRequestHandler):
    """One connection: reads requests, answers them, writes one log line for each."""

    server: Server  # pyright: ignore[reportIncompatibleVariableOverride]
    protocol_version = "HTTP/1.1"
    timeout = IDLE_SECONDS
    wbufsize = -1  # collect small writes; every answer and every event is flushed
    disable_nagle_algorithm = True

    # -- the connection

    def handle_one_request(self) -> None:
        """Serve one request and give the connection back."""
        self._status, self._begun = 0, time.monotonic()
        super().handle_one_request()
        self.server.set_busy(self.connection, busy=False)
        if self.server.draining:
            self.close_connection = True

    def parse_request(self) -> bool:
        """Mark the connection busy as soon as a request line is there."""
        self.server.set_busy(self.connection, busy=True)
        self._begun = time.monotonic()
        return super().parse_request()

    def handle_expect_100(self) -> bool:
        """Refuse a body that is too large before it is sent."""
        try:
            self._announced_length()
        except ApiError as error:
            self._refuse(error, close=True)
            self._log_line()
            return False
        return super().handle_expect_100()

    def version_string(self) -> str:
        """The Server header."""
        return "maas-simulator"

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the parent's name
        """Drop the parent's log lines: they quote the request."""

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Refuse what the parent could not parse, in the shape of the API."""
        del explain, message  # both can quote the request
        status = HTTPStatus(code)
        self._refuse(ApiError(status, status.phrase), close=True)
        self._log_line()

    # -- the request

    def answer(self) -> None:
        """Read the body, find the route, answer."""
        path = self.path.partition("?")[0]
        try:
            body = self._read_body()
            self._authorize(path)
            self._route(path, body)
        except ApiError as error:
            self._refuse(error)
        except (ConnectionError, TimeoutError):
            self.close_connection = True
            self._status = 499  # the client went away; the number is nginx's
        except Exception as error:  # noqa: BLE001  whatever it is, the next request must be served
            log.error("request failed with %s", type(error).__name__)  # noqa: TRY400  a traceback could quote the request
            self.close_connection = True
            if not self._status:
                self._refuse(ApiError(HTTPStatus.INTERNAL_SERVER_ERROR, "Internal error.", kind="InternalServerError"))
        self._log_line(path)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = do_OPTIONS = answer  # noqa: N815

    def _log_line(self, path: str = "") -> None:
        # Only what is known by name is logged: a path or method that someone made up could hold anything.
        method = self.command if self.command and hasattr(self, f"do_{self.command}") else "-"
        milliseconds = 1000 * (time.monotonic() - self._begun)
        log.info("%s %s %d %.0fms", method, path if path in ROUTES else "-", self._status, milliseconds)

    def _announced_length(self) -> int | None:
        """The length the headers announce; None for a chunked body."""
        lengths = set(self.headers.get_all("Content-Length") or ["0"])
        if "Transfer-Encoding" in self.headers:
            if self.headers["Transfer-Encoding"].strip().lower() != "chunked" or "Content-Length" in self.headers:
                raise ApiError(HTTPStatus.BAD_REQUEST, "The body must be chunked or have a Content-Length.")
            return None
        length = lengths.pop()
        if lengths or not re.fullmatch(r"[0-9]{1,18}", length):
            raise ApiError(HTTPStatus.BAD_REQUEST, "Content-Length must be one number.")
        return self._bounded(int(length))

    def _bounded(self, length: int) -> int:
        if length > self.server.options.max_body_bytes:
            message = f"The body is larger than {self.server.options.max_body_bytes} bytes."
            raise ApiError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, message, kind="RequestEntityTooLarge")
        return length

    def _read_body(self) -> bytes:
        try:
            length = self._announced_length()
            return self._read_chunked() if length is None else self._read_exactly(length)
        except ApiError:
            self.close_connection = True  # where the next request would begin is not known
            raise

    def _read_exactly(self, length: int) -> bytes:
        data = self.rfile.read(length)
        if len(data) < length:
            raise ConnectionResetError
        return data

    def _read_chunked(self) -> bytes:
        body = bytearray()
        while True:
            size_text = self.rfile.readline(1024).partition(b";")[0].strip()
            if not re.fullmatch(rb"[0-9a-fA-F]{1,8}", size_text):
                raise ApiError(HTTPStatus.BAD_REQUEST, "A chunk of the body has no valid size.")
            size = int(size_text, 16)
            self._bounded(len(body) + size)
            if size == 0:
                break
            body += self._read_exactly(size)
            if self._read_exactly(2) != b"\r\n":
                raise ApiError(HTTPStatus.BAD_REQUEST, "A chunk of the body is longer than its size.")
        while self.rfile.readline(1024).strip():  # trailers mean nothing here
            pass
        return bytes(body)

    def _authorize(self, path: str) -> None:
        keys = self.server.options.api_key
        if not keys or not path.startswith("/v1"):  # as in vLLM: probes and the scraper come without a key
            return
        scheme, _, token = (self.headers["Authorization"] or "").partition(" ")
        offered = hashlib.sha256(token.strip().encode("utf-8", "surrogateescape")).digest()
        known = [hmac.compare_digest(offered, hashlib.sha256(key.encode()).digest()) for key in keys]
        if scheme.lower() != "bearer" or not any(known):
            raise ApiError(HTTPStatus.UNAUTHORIZED, "Unauthorized", kind="AuthenticationError")

    def _route(self, path: str, raw: bytes) -> None:
        if path not in ROUTES:
            raise ApiError(HTTPStatus.NOT_FOUND, "Not Found", kind="NotFoundError")
        if self.command != ROUTES[path]:
            raise ApiError(HTTPStatus.METHOD_NOT_ALLOWED, f"Use {ROUTES[path]}.", kind="MethodNotAllowedError")
        match path:
            case "/v1/chat/completions" | "/v1/completions":
                dialect = CHAT if path == "/v1/chat/completions" else TEXT
                self._generate(dialect, read_work(parse_json(raw), self.server.options, chat=dialect.chat))
            case "/v1/embeddings":
                self._embed(parse_json(raw))
            case "/v1/models":
                self._send_json(HTTPStatus.OK, self._models())
            case "/version":
                self._send_json(HTTPStatus.OK, {"version": VERSION})
            case "/metrics":
                text = self.server.engine.exposition().encode()
                self._send(HTTPStatus.OK, text, "text/plain; version=0.0.4; charset=utf-8")
            case _:
                self._send(HTTPStatus.OK, b"", "text/plain; charset=utf-8")

    def _models(self) -> Json:
        options, created = self.server.options, self.server.started // 10**9
        card = {"object": "model", "created": created, "owned_by": "vllm", "root": options.model[0], "parent": None}
        return {
            "object": "list",
            "data": [{"id": name, **card, "max_model_len": options.max_model_len} for name in options.names],
        }

    # -- the model

    def _header(self, prefix: str, kind: str, model: str) -> Json:
        number = f"{self.server.started:x}{next(self.server.numbers):08x}"
        return {"id": f"{prefix}-{number}", "object": kind, "created": int(time.time()), "model": model}

    def _generate(self, dialect: Dialect, work: Work) -> None:
        options = self.server.options
        reason: FinishReason = "length" if any(c.finish_reason == "length" for c in work.choices) else "stop"
        with self.server.engine.run(work.model) as run:
            time.sleep(options.latency_ms / 1000)
            run.first_token(sum(prompt.tokens for prompt in work.prompts))
            if work.stream:
                self._stream(dialect, work, run, reason)
                return
            longest = max(len(choice.pieces) for choice in work.choices)
            time.sleep((longest - 1) * options.token_ms / 1000)
            run.generated = sum(len(choice.pieces) for choice in work.choices)
            run.finish(reason)
        header = self._header(dialect.id_prefix, dialect.kind, work.model)
        self._send_json(HTTPStatus.OK, {**header, "choices": whole_choices(dialect, work), "usage": work.usage})

    def _stream(self, dialect: Dialect, work: Work, run: Run, reason: FinishReason) -> None:
        header = self._header(dialect.id_prefix, dialect.chunk_kind, work.model)
        chunked = self.request_version != "HTTP/1.0"
        self.close_connection = self.close_connection or not chunked
        framing = {"Transfer-Encoding": "chunked"} if chunked else {}
        self._send_head(
            HTTPStatus.OK, {"Content-Type": "text/event-stream; charset=utf-8", "Cache-Control": "no-cache", **framing}
        )

        def event(data: str) -> None:
            payload = f"data: {data}\n\n".encode()
            self.wfile.write(b"%x\r\n%b\r\n" % (len(payload), payload) if chunked else payload)

        for step, choices in enumerate(stream_steps(dialect, work)):
            if step:
                time.sleep(self.server.options.token_ms / 1000)
            run.generated += sum(step < len(choice.pieces) for choice in work.choices)
            for choice in choices:
                event(json.dumps({**header, "choices": [choice]}))
            self.wfile.flush()
        run.finish(reason)
        # The gateway counts tokens from the event right before [DONE], so nothing may come between or after.
        if work.usage_in_stream:
            event(json.dumps({**header, "choices": [], "usage": work.usage}))
        event("[DONE]")
        self.wfile.write(b"0\r\n\r\n" if chunked else b"")
        self.wfile.flush()

    def _embed(self, body: Json) -> None:
        model, answer, tokens = embeddings(body, self.server.options)
        with self.server.engine.run(model) as run:
            time.sleep(self.server.options.latency_ms / 1000)
            run.first_token(tokens)
            run.finish("stop")
        header = self._header("embd", "list", model)
        self._send_json(HTTPStatus.OK, {**header, **answer})

    # -- the answer

    def _send_head(self, status: HTTPStatus, headers: Mapping[str, str]) -> None:
        self._status = int(status)
        self.send_response(status)
        came = getattr(self, "headers", ())  # what is no HTTP has none
        self.send_header("X-Simulator-Credentials", ", ".join(each for each in CREDENTIALS if each in came) or "none")
        for name, value in headers.items():
            self.send_header(name, value)
        if self.close_connection or self.server.draining:
            self.send_header("Connection", "close")
        self.end_headers()

    def _send(self, status: HTTPStatus, body: bytes, kind: str, headers: Mapping[str, str] | None = None) -> None:
        self._send_head(status, {"Content-Type": kind, "Content-Length": str(len(body)), **(headers or {})})
        if self.command != "HEAD":
            self.wfile.write(body)
        self.wfile.flush()

    def _send_json(self, status: HTTPStatus, body: Json, headers: Mapping[str, str] | None = None) -> None:
        self._send(status, json.dumps(body).encode(), "application/json", headers)

    def _refuse(self, error: ApiError, *, close: bool = False) -> None:
        self.close_connection = self.close_connection or close
        extra = {HTTPStatus.UNAUTHORIZED: {"WWW-Authenticate": "Bearer"}}.get(error.status, {})
        if error.status is HTTPStatus.METHOD_NOT_ALLOWED:
            extra = {"Allow": ROUTES[self.path.partition("?")[0]]}
        try:
            self._send_json(error.status, error.body(), extra)
            if error.status is HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
                self._linger()
        except OSError:
            self.close_connection = True

    def _linger(self) -> None:
        """Read on for a moment: closing with unread data would reset the connection and lose the answer."""
        self.connection.shutdown(socket.SHUT_WR)
        deadline = time.monotonic() + LINGER_SECONDS
        while (left := deadline - time.monotonic()) > 0:
            self.connection.settimeout(left)
            if not self.rfile.read1(65536):
                break


# --- main ------------------------------------------------------------------------------------------------------------


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT. Returns 0 after an orderly end, 1 when the address cannot be had."""
    options = parse_options(sys.argv[1:] if arguments is None else arguments, os.environ)
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    try:
        server = Server(options)
    except OSError as error:
        log.error("cannot listen on %s port %d: %s", options.host, options.port, error.strerror)  # noqa: TRY400
        return 1
    # Blocked before any thread exists and waited for below: a handler would depend on which thread the signal lands on.
    ends = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, ends)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True).start()
    host = f"[{options.host}]" if ":" in options.host else options.host
    sys.stdout.write(f"listening on http://{host}:{server.server_port}\n")
    sys.stdout.flush()
    signal.sigwait(ends)
    left = server.drain(options.drain_seconds)
    log.info("stopped; %d connections were cut", left)
    return 0


if __name__ == "__main__":
    sys.exit(main())
