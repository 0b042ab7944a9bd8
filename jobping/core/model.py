"""What is asked of a language model and what it answers, whoever serves it."""

import enum

import attrs


class Dialect(enum.Enum):
    """How a server of models is spoken to."""

    OPENAI = "openai"
    COMPATIBLE = "compatible"
    """Another one that takes chat completions: it gets only the fields that all of them accept."""


class Role(enum.Enum):
    """Who speaks in a message; a model follows the system's words before the user's."""

    SYSTEM = "system"
    USER = "user"


@attrs.frozen(kw_only=True)
class Message:
    """One message of a prompt."""

    role: Role
    text: str


@attrs.frozen(kw_only=True)
class ModelRequest:
    """One call of a model: one attempt, one reservation.

    Attributes:
        schema: The strict JSON schema of the answer, as JSON, or None for free text.
        max_output_tokens: Most tokens it may answer, reasoning included.
        service_tier: The tier to ask for, or None to leave it to the server.
        prompt_tokens_bound: Upper bound of the prompt's tokens, schema and framing included.
        request_id: Sent as `X-Client-Request-Id`; the reservation's id.
    """

    model: str
    messages: tuple[Message, ...]
    schema: bytes | None
    max_output_tokens: int
    service_tier: str | None
    prompt_tokens_bound: int
    request_id: str = ""


@attrs.frozen(kw_only=True)
class Usage:
    """The tokens billed for one answer, all >= 0.

    A prompt token is exactly one of cached, written to the cache, or plain; reasoning is part of
    the output.
    """

    input_tokens: int
    cached_tokens: int = 0
    cache_write_tokens: int = 0
    output_tokens: int
    reasoning_tokens: int = 0

    def __attrs_post_init__(self) -> None:
        """Refuse what cannot be a bill."""
        if min(attrs.astuple(self)) < 0:
            raise ValueError("a negative number of tokens")
        if self.cached_tokens + self.cache_write_tokens > self.input_tokens:
            raise ValueError("more cached tokens than the prompt has")
        if self.reasoning_tokens > self.output_tokens:
            raise ValueError("more reasoning than output")


@attrs.frozen(kw_only=True)
class ModelAnswer:
    """An answer that came whole, whatever it says.

    Attributes:
        text: The content, perhaps empty or cut short; see `finish`.
        usage: What was billed; None where the server did not say it in a usable way.
        model: The name of the model that answered; as asked where the server names none.
        service_tier: The tier that answered, or None where the server names none.
        finish: `stop`, or why the answer is not complete (`length`, `content_filter`, `refusal`).
        request_id: The server's own id of the call, or an empty text.
        headers: The rate-limit headers, names in lower case; `core.model_pace` reads them.
    """

    text: str
    usage: Usage | None
    model: str
    service_tier: str | None
    finish: str
    request_id: str
    headers: tuple[tuple[str, str], ...] = ()
