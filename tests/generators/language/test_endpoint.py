"""The endpoint against a real HTTP server: slow, rate-limiting, breaking off, HTML, and never a key anywhere."""

from __future__ import annotations

import email.utils
import logging
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fairshards.generators.language.answer_cache import AnswerCache
from fairshards.generators.language.conversation import Conversation, Message, ask
from fairshards.generators.language.endpoint import Endpoint, EndpointError, EndpointSettings, RefusedRequest
from fairshards.generators.language.replies import CutAnswer
from fairshards.generators.language.retries import Retries, retry_after
from fairshards.generators.language.sampling import Decoding
from tests.chat_server import CUT, HTML, SLOW, ChatServer, Reply, chat_server, fails, says, scripted

SCHEMA = {"type": "object"}
KEY = "sk-very-secret-123"
QUICK = Retries(attempts=3, first_wait=0.01, longest_wait=2)


def question(text: str = "hello", schema: Any = None) -> Conversation:
    return Conversation((Message("user", text),), text, 7, schema)


def endpoint(server: ChatServer, decoding: Decoding | None = None, **settings: Any) -> Endpoint:
    return Endpoint(
        EndpointSettings(server.url, "small", **{"retries": QUICK, "timeout": 30, **settings}), decoding or Decoding(50)
    )


def test_what_is_sent_and_what_comes_back() -> None:
    with chat_server(scripted(says("a bird"))) as server:
        assert endpoint(server).answer([question(schema=SCHEMA)]) == ["a bird"]
        (body,) = server.bodies
    assert body["messages"] == [{"role": "user", "content": "hello"}]
    assert (body["model"], body["max_tokens"], body["temperature"]) == ("small", 50, 0.0)
    assert body["response_format"]["json_schema"] == {"name": "phrases", "strict": True, "schema": {"type": "object"}}
    assert "seed" not in body


def test_sampling_sends_the_seed_and_extra_fields_come_and_go() -> None:
    extra = (("temperature", None), ("max_tokens", None), ("max_completion_tokens", 9), ("top_k", 3))
    with chat_server(scripted(says("x"))) as server:
        endpoint(server, Decoding(50, 0.8, 0.9), extra=extra).answer([question()])
        (body,) = server.bodies
    assert (body["seed"], body["top_p"], body["max_completion_tokens"], body["top_k"]) == (7, 0.9, 9, 3)
    assert "temperature" not in body and "max_tokens" not in body


@pytest.mark.parametrize(
    "bad",
    [
        fails(429),
        fails(500),
        fails(503),
        fails(408),
        CUT,
        SLOW,
        Reply(b"<html>bad gateway</html>", 502, "text/html"),
        Reply(b'{"choices": [{"mess'),
    ],
)
def test_a_fault_that_passes_is_tried_again(bad: Reply) -> None:
    with chat_server(scripted(bad, says("at last"))) as server:
        assert endpoint(server, timeout=1 if bad is SLOW else 30).answer([question()]) == ["at last"]
        assert len(server.bodies) == 2


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        (fails(429, "slow down"), r"status 429: .*slow down.* \(after 3 attempts\)"),
        (Reply(b"<html>\n  bad gateway</html>", 502, "text/html"), "status 502: <html> bad gateway"),
        (CUT, "no connection, or it broke off"),
        (SLOW, "didn't answer in time; raise timeout"),
        (Reply(b'{"choices": [{"mess'), "no whole JSON"),
    ],
)
def test_attempts_are_bounded_and_the_last_fault_is_told(bad: Reply, said: str) -> None:
    with chat_server(scripted(bad)) as server:
        with pytest.raises(EndpointError, match=said):
            endpoint(server, timeout=0.3 if bad is SLOW else 30).answer([question()])
        assert len(server.bodies) == 3


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        (HTML, r"web page \(text/html.*base_url, which usually ends in /v1"),
        (Reply(b"<html>", kind="application/json"), "web page"),
        (Reply(b'{"object": "list"}'), "no chat completion"),
        (Reply(b"[]"), "no chat completion"),
        (fails(401, "bad key"), "status 401.*is the key right"),
        (fails(404), "are base_url and model right"),
        (fails(429, "you exceeded your plan: insufficient_quota"), "quota is used up"),
    ],
)
def test_a_fault_of_the_set_up_is_told_at_once(bad: Reply, said: str) -> None:
    with chat_server(scripted(bad)) as server:
        with pytest.raises(EndpointError, match=said):
            endpoint(server).answer([question()])
        assert len(server.bodies) == 1


def test_nobody_listens() -> None:
    with chat_server(scripted(says("x"))) as server:
        pass
    with pytest.raises(EndpointError, match=r"endpoint http://127\.0\.0\.1:\d+/v1: no connection"):
        endpoint(server).answer([question()])


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (fails(400, "picture too large"), "refused"),
        (fails(422), "refused"),
        (says(None, refusal="I won't"), "refused"),
        (says(""), "empty_answer"),
        (says(None), "empty_answer"),
    ],
)
def test_a_request_that_is_refused_stands_in_its_place(bad: Reply, reason: str) -> None:
    with chat_server(lambda number, body: bad if body["messages"][0]["content"] == "bad" else says("ok")) as server:
        answers = ask(endpoint(server), [question("bad"), question("good")])
    assert isinstance(answers[0], RefusedRequest) and answers[0].reason == reason
    assert answers[1] == "ok"


def test_an_endpoint_that_refuses_everything_is_an_error_of_the_set_up() -> None:
    with (
        chat_server(scripted(fails(400, "response_format is not supported"))) as server,
        pytest.raises(RuntimeError, match=r"answers nothing, not even .*response_format is not supported"),
    ):
        ask(endpoint(server), [question("one"), question("two")])


def picky(number: int, body: dict[str, Any]) -> Reply:
    """A server that knows no response_format, and takes no text with "bad" in it."""
    if "response_format" in body:
        return fails(400, "response_format is not supported")
    return fails(400, "no") if "bad" in body["messages"][0]["content"] else says("ok")


def test_a_server_that_takes_no_schema_is_asked_without_one_from_then_on() -> None:
    asked = [question(text, SCHEMA) for text in ("one", "two", "bad", "three")]
    with chat_server(picky) as server:
        model = endpoint(server, concurrency=1)
        answers = ask(model, asked)
        assert model.takes_schemas is False
        assert ["response_format" in body for body in server.bodies] == [True, *[False] * 4]
    assert [answer for answer in answers if isinstance(answer, str)] == ["ok"] * 3
    assert isinstance(answers[2], RefusedRequest)


def test_a_refusal_is_no_verdict_on_schemas() -> None:
    """Of a request that is refused in both forms nothing is learnt, nor of one once schemas were taken."""
    with chat_server(
        lambda number, body: picky(
            1,
            {**body, "response_format": 1}
            if number == 2
            else {name: value for name, value in body.items() if name != "response_format"},
        )
    ) as server:
        model = endpoint(server, concurrency=1)
        assert isinstance(model.answer([question("bad", SCHEMA)])[0], RefusedRequest) and model.takes_schemas is None
        assert len(server.bodies) == 2  # with and without
        assert isinstance(model.answer([question("third", SCHEMA)])[0], str) and model.takes_schemas is False
    with chat_server(lambda number, body: fails(400) if number else says("ok")) as server:
        model = endpoint(server, concurrency=1)
        assert model.answer([question("a", SCHEMA)]) == ["ok"] and model.takes_schemas
        assert isinstance(model.answer([question("b", SCHEMA)])[0], RefusedRequest) and len(server.bodies) == 2


@pytest.mark.parametrize("form", [None, {"type": "json_object"}])
def test_a_response_format_of_the_recipes_own_stands(form: Any) -> None:
    with chat_server(scripted(says("ok"))) as server:
        model = endpoint(server, extra=(("response_format", form),))
        assert model.answer([question(schema=SCHEMA)]) == ["ok"] and model.takes_schemas is None
        assert server.bodies[0].get("response_format") == form


def test_an_answer_that_the_limit_cut_is_known_as_such_from_the_cache_too(tmp_path: Path) -> None:
    cache = AnswerCache(str(tmp_path))
    with chat_server(lambda number, body: says("half an", finish="length" if number else "stop")) as server:
        whole, cut = ask(endpoint(server, concurrency=1), [question("a"), question("b")], cache)
        assert (type(whole), type(cut), cut) == (str, CutAnswer, "half an")
        again = ask(endpoint(server), [question("a"), question("b")], cache)
        assert [type(one) for one in again] == [str, CutAnswer] and len(server.bodies) == 2
    with chat_server(scripted(says(None, finish="length"))) as server:
        (thought,) = endpoint(server).answer([question()])
        assert thought == "" and isinstance(thought, CutAnswer)


def test_a_schema_counts_for_the_cache_and_none_changes_nothing(tmp_path: Path) -> None:
    assert "schema" not in question().content and question(schema=SCHEMA).content["schema"] == SCHEMA
    cache = AnswerCache(str(tmp_path))
    with chat_server(scripted(says("x"))) as server:
        for schema in (None, SCHEMA, None, SCHEMA):
            ask(endpoint(server), [question(schema=schema)], cache)
        assert len(server.bodies) == 2


def test_retry_after_is_honoured() -> None:
    with chat_server(scripted(fails(429, Retry_After="0.4"), says("now"))) as server:
        assert endpoint(server).answer([question()]) == ["now"]
        assert server.times[1] - server.times[0] >= 0.4


def test_a_server_that_asks_for_too_long_a_wait_is_not_waited_for() -> None:
    with chat_server(scripted(fails(429, Retry_After="3600"))) as server:
        with pytest.raises(EndpointError, match=r"asks to wait 3600 s, more than longest_wait \(2 s\); run again"):
            endpoint(server).answer([question()])
        assert len(server.bodies) == 1


def test_retry_after_as_seconds_as_a_date_and_as_neither() -> None:
    soon = email.utils.formatdate(time.time() + 30, usegmt=True)
    assert retry_after({"retry-after": "2.5"}) == 2.5
    assert 25 < (retry_after({"retry-after": soon}) or 0) <= 30
    assert retry_after({"retry-after": "Mon, 01 Jan 2001 00:00:00 GMT"}) == 0
    assert [retry_after({"retry-after": text}) for text in ("", "soon", "inf", "nan")] == [None] * 4


def test_the_key_is_sent_and_is_nowhere_else(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("SMALL_KEY", KEY)
    caplog.set_level(logging.DEBUG)
    cache = AnswerCache(str(tmp_path))
    with chat_server(lambda n, body: fails(401, f"bad key {KEY}") if n else says(f"your key is {KEY}")) as server:
        asked = endpoint(server, key_variable="SMALL_KEY")
        assert ask(asked, [question()], cache) == ["your key is ***"]
        with pytest.raises(EndpointError) as caught:
            asked.answer([question()])
        assert server.keys == [f"Bearer {KEY}"] * 2
    held = [file.read_text() for file in tmp_path.rglob("*.json")]
    shown = [str(caught.value), repr(asked), repr(asked.settings), str(asked.identity), caplog.text, *held]
    assert held and not any(KEY in text for text in shown)
    assert caught.value.__cause__ is None and caught.value.__suppress_context__


def test_a_key_that_is_not_set_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SMALL_KEY", raising=False)
    with chat_server(scripted(says("x"))) as server:
        with pytest.raises(EndpointError, match="variable SMALL_KEY is not set on this worker"):
            endpoint(server, key_variable="SMALL_KEY").answer([question()])
        assert not server.bodies


def test_without_a_key_variable_no_other_key_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with chat_server(scripted(says("x"))) as server:
        endpoint(server).answer([question()])
        assert server.keys == ["Bearer none"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"base_url": "localhost:8000"}, "no http address"),
        ({"base_url": f"http://me:{KEY}@host/v1"}, "holds a user, password or query"),
        ({"base_url": f"http://host/v1?key={KEY}"}, "holds a user, password or query"),
        ({"key_variable": KEY}, "never the key itself"),
        ({"concurrency": 0}, "at least 1"),
    ],
)
def test_settings_that_cant_be_right_are_refused_without_showing_a_key(change: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said) as caught:
        EndpointSettings(**{"base_url": "http://host/v1", "model": "small", **change})
    assert KEY not in str(caught.value)


def test_many_at_once_keep_their_order() -> None:
    together = threading.Barrier(4)

    def script(number: int, body: dict[str, Any]) -> Reply:
        together.wait(timeout=60)  # none is answered before four have come
        text = body["messages"][0]["content"]
        return replace(says(text), delay=0.05 * (4 - int(text) % 4))

    with chat_server(script) as server:
        asked = [question(str(number)) for number in range(8)]
        assert ask(endpoint(server, concurrency=4), asked) == [str(number) for number in range(8)]


def test_equal_questions_are_paid_for_once_and_never_again(tmp_path: Path) -> None:
    cache = AnswerCache(str(tmp_path))
    with chat_server(scripted(says("yes"))) as server:
        assert ask(endpoint(server), [question(), question(), question("other")], cache) == ["yes"] * 3
        assert len(server.bodies) == 2
    with chat_server(scripted(says("new"))) as elsewhere:  # the same model on another port
        assert ask(endpoint(elsewhere), [question(), question("third")], cache) == ["yes", "new"]
        assert len(elsewhere.bodies) == 1
        assert ask(endpoint(elsewhere, revision="2"), [question()], cache) == ["new"]
        assert ask(endpoint(elsewhere, Decoding(51)), [question()], cache) == ["new"]
        assert ask(endpoint(elsewhere), [question(schema=SCHEMA)], cache) == ["new"]
        assert len(elsewhere.bodies) == 4


def test_what_was_finished_before_a_fault_is_kept(tmp_path: Path) -> None:
    cache = AnswerCache(str(tmp_path))
    asked = [question("one"), question("two"), question("three")]
    with chat_server(lambda n, body: says("ok") if n < 2 else fails(500)) as server, pytest.raises(EndpointError):
        ask(endpoint(server, concurrency=1), asked, cache)
    with chat_server(scripted(says("ok"))) as server:
        assert ask(endpoint(server, concurrency=1), asked, cache) == ["ok"] * 3
        assert [body["messages"][0]["content"] for body in server.bodies] == ["three"]


def test_refusals_are_not_kept(tmp_path: Path) -> None:
    cache = AnswerCache(str(tmp_path))
    with chat_server(scripted(fails(400), says("yes"), says("fine"))) as server:
        assert isinstance(ask(endpoint(server), [question()], cache)[0], RefusedRequest)
        assert ask(endpoint(server), [question()], cache) == ["fine"]
