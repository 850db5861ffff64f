"""Text completions, embeddings and moderations, through OpenAI's own client."""

import math

import httpx2
import openai
import pytest


async def test_an_embedding_is_the_same_in_both_encodings_and_has_length_one(sdk: openai.AsyncOpenAI) -> None:
    # The SDK asks for base64 unless it is told otherwise, and decodes it.
    encoded = await sdk.embeddings.create(model="demo", input=["one", "two"], dimensions=32)
    plain = await sdk.embeddings.create(model="demo", input=["one", "two"], dimensions=32, encoding_format="float")
    assert [one.embedding for one in encoded.data] == [one.embedding for one in plain.data]
    assert plain.data[0].embedding != plain.data[1].embedding
    assert all(math.isclose(math.hypot(*one.embedding), 1, rel_tol=1e-5) for one in plain.data)
    assert len(plain.data[0].embedding) == 32
    assert encoded.usage.total_tokens == 2


async def test_tokens_are_embedded_as_well(sdk: openai.AsyncOpenAI) -> None:
    assert len((await sdk.embeddings.create(model="demo", input=[1, 2, 3])).data) == 1
    assert len((await sdk.embeddings.create(model="demo", input=[[1, 2], [3]])).data) == 2


async def test_a_text_completion_is_the_same_streamed_and_whole(sdk: openai.AsyncOpenAI) -> None:
    whole = await sdk.completions.create(model="demo-echo", prompt="to be or not")
    chunks = [one async for one in await sdk.completions.create(model="demo-echo", prompt="to be or not", stream=True)]
    assert whole.choices[0].text == "".join(one.choices[0].text for one in chunks) == "to be or not"
    assert whole.choices[0].finish_reason == chunks[-1].choices[0].finish_reason == "stop"
    assert {one.object for one in (whole, *chunks)} == {"text_completion"}


async def test_a_moderation_flags_one_word_and_needs_no_model(sdk: openai.AsyncOpenAI) -> None:
    results = (await sdk.moderations.create(input=["peace", "Violence!"])).results
    assert [result.flagged for result in results] == [False, True]
    assert results[1].categories.violence


@pytest.mark.parametrize("call", ["embeddings", "completions", "moderations"])
async def test_the_models_that_fail_fail_here_too(http: httpx2.AsyncClient, call: str) -> None:
    for model, status in (("fault-500", 500), ("fault-error-frame", 500), ("none", 404)):
        answer = await http.post(f"/v1/{call}", json={"model": model, "input": "x", "prompt": "x"})
        assert answer.status_code == status
    with pytest.raises(httpx2.RemoteProtocolError):
        await http.post(f"/v1/{call}", json={"model": "fault-drop", "input": "x", "prompt": "x"})


@pytest.mark.parametrize(
    ("call", "body", "param"),
    [
        ("embeddings", {}, "input"),
        ("embeddings", {"input": []}, "input"),
        ("embeddings", {"input": [""]}, "input"),
        ("embeddings", {"input": 1}, "input"),
        ("embeddings", {"input": ["a"] * 2049}, "input"),
        ("embeddings", {"input": "a", "encoding_format": "hex"}, "encoding_format"),
        ("embeddings", {"input": "a", "dimensions": 0}, "dimensions"),
        ("completions", {}, "prompt"),
        ("completions", {"prompt": [1]}, "prompt"),
        ("moderations", {}, "input"),
    ],
)
async def test_a_wrong_field_is_named(http: httpx2.AsyncClient, call: str, body: dict[str, object], param: str) -> None:
    answer = await http.post(f"/v1/{call}", json={"model": "demo", **body})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)
