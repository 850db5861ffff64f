"""DSPy's format of words, as its ChatAdapter describes it."""

import json

from simulator.named_fields import END, read_named_fields, write_named_fields

SYSTEM = """All interactions will be structured in the following way, with the appropriate values filled in.

[[ ## question ## ]]
{question}

[[ ## reply ## ]]
{reply}

[[ ## river ## ]]
{river}        # note: the value you produce must adhere to the JSON schema: {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}

[[ ## count ## ]]
{count}        # note: the value you produce must be a single int value

[[ ## is_long ## ]]
{is_long}        # note: the value you produce must be True or False

[[ ## kind ## ]]
{kind}        # note: the value you produce must exactly match (no extra characters) one of: stream; river

[[ ## broken ## ]]
{broken}        # note: the value you produce must adhere to the JSON schema: {"type

[[ ## completed ## ]]"""  # noqa: E501 - DSPy's own line
ASK = "Respond with the corresponding output fields, starting with the field `[[ ## reply ## ]]`, then `[[ ## river ## ]]` (must be formatted as a valid Python River), then `[[ ## count ## ]]`, then `[[ ## is_long ## ]]`, then `[[ ## kind ## ]]`, then `[[ ## broken ## ]]`, and then ending with the marker for `[[ ## completed ## ]]`."  # noqa: E501
PROMPT = f"[[ ## question ## ]]\nTell me about rivers\n\n{ASK}"


def test_the_answer_has_each_field_under_its_heading_with_a_value_that_fits() -> None:
    fields = read_named_fields(PROMPT, [SYSTEM, PROMPT])
    answer = write_named_fields(fields, PROMPT)
    _, *parts = answer.split("[[ ## ")
    found = dict(part.split(" ## ]]", 1) for part in parts)
    assert list(found) == ["reply", "river", "count", "is_long", "kind", "broken", END]
    assert json.loads(found["river"]) == {"name": "rivers"}
    assert isinstance(json.loads(found["count"]), int)
    assert isinstance(json.loads(found["is_long"]), bool)
    assert found["kind"].strip() in ("stream", "river")
    assert "rivers" in found["reply"]


def test_a_prompt_that_describes_no_such_format_has_none_of_them() -> None:
    assert read_named_fields("[[ ## question ## ]]\nHi", [SYSTEM]) == ()
