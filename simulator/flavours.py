"""The texts of the answers, in markdown. They quote words of the prompt. No I/O.

The simulator does not understand the prompt, so each text fits any subject or explains the stream that the reader
watches.
"""

from collections.abc import Callable

from simulator.topic import Topic

NOTICE = "> Written by Manycast's simulator: no model was asked. Set `OPENAI_API_KEY` to ask a real one.\n\n"


def plan(topic: Topic) -> str:
    one, two, three, four = topic.words
    return f"""## A plan for “{topic.title}”

{NOTICE}Four short rounds beat one long one. Each ends with something you can **show**, so that a wrong turn \
costs an hour and not a week.

### The rounds

1. **Say what done means.** One sentence about *{one}* that a stranger could check.
2. **Find the part that could sink it.** Most likely *{two}*: try that first, as small as it goes.
3. **Build the thin line through everything.** From {one} to {three}, ugly but whole.
4. **Only then make it good.** Measure, change one thing, measure again.

### How to tell that it works

| round | question | it is done when |
|---|---|---|
| 1 | What is “{one}” for? | two people give the same answer |
| 2 | What if “{two}” fails? | you saw it fail, and it was dull |
| 3 | Does “{three}” hold together? | someone else used it without you |
| 4 | Is “{four}” good enough? | the number stopped moving |

### A list to tick off

```python
rounds = ["{one}", "{two}", "{three}", "{four}"]
for number, name in enumerate(rounds, start=1):
    print(f"[ ] {{number}}. {{name}}: what would prove me wrong?")
```

If you have ten minutes only, do round two. The idea is an old one: see \
[proof of concept](https://en.wikipedia.org/wiki/Proof_of_concept).
"""


def questions(topic: Topic) -> str:
    one, two, three, four = topic.words
    return f"""## Good questions about “{topic.title}”

{NOTICE}A question that is well put is half the answer. These work on *{one}* as well as on anything else:

- **Who** has this problem today, and what do they do instead?
- **What** would we see if the opposite were true of *{two}*?
- **When** does it stop mattering? Everything has an end.
- **Where** is the number that settles it, and who owns it?
- **Why** has nobody done it yet? “Nobody thought of it” is rarely so.

### Weigh before you choose

| way | good for | costs | choose it if |
|---|---|---|---|
| leave “{one}” as it is | calm | the same trouble next year | nobody complains |
| change “{two}” a little | learning | an afternoon | you are unsure |
| start again with “{three}” | a clean shape | months, and “{four}” | the small step failed twice |

### Ask a model better

Give it the goal, the limits and an example. This body works with any OpenAI-compatible provider:

```json
{{
  "model": "gpt-4o-mini",
  "messages": [
    {{"role": "system", "content": "Answer in five points, the surest first."}},
    {{"role": "user", "content": "What would change your mind about {one}?"}}
  ],
  "stream": true
}}
```

More on this in the [prompting guide](https://platform.openai.com/docs/guides/text).
"""


def tour(topic: Topic) -> str:
    one, two, _, _ = topic.words
    return f"""## “{topic.title}”, and what you can try while it is being written

{NOTICE}You asked about *{one}*. More interesting just now is how these words reach you: a worker runs the \
answer, Redis keeps every piece, and any number of people may watch.

### Try it, now

1. **Reload this page.** Nothing is lost, nothing comes twice.
2. **Open the link in another browser.** It catches up at once and then keeps in step.
3. **Switch the network off and on.** The rest arrives as soon as you are back.
4. **Press Stop in the other window.** It stops here as well, and at the provider.

### What breaks, and what you would see

| what breaks | what you see |
|---|---|
| your own network | a pause, then the rest |
| a gateway | the same: it keeps nothing that matters |
| the worker | the answer begins again, and says so |
| the provider | the reason, in its own words |

### Follow it from a terminal

```sh
# Any position you have seen is a place to go on from.
curl -N -H "Last-Event-ID: 1-7" "$ADDRESS/v1/streams/$STREAM/events"
```

It is plain [server-sent events](https://html.spec.whatwg.org/multipage/server-sent-events.html), so *{two}* \
or anything else that speaks HTTP can listen.
"""


def anatomy(topic: Topic) -> str:
    one, two, three, _ = topic.words
    return f"""## How an answer to “{topic.title}” is put together

{NOTICE}A model does not send text: it sends small **chunks**, each with a few letters in it. Joined in \
order they are the answer. Lose one, and *{one}* turns into nonsense.

### What is in a chunk

| field | holds | changes? |
|---|---|---|
| `id` | one name for the whole answer | no |
| `model` | who wrote it | no |
| `choices[0].delta.content` | the next letters | each time |
| `choices[0].finish_reason` | why it ended | in the last one only |

### What to look out for

- The first chunk has the **role** and no text.
- `finish_reason` tells apart *it is finished* and *it broke off*; check it before you trust {two}.
- The number of tokens comes in a chunk of its own, and only on request.

### Read one yourself

```python
from openai import OpenAI

client = OpenAI(base_url="http://127.0.0.1:8000/v1", api_key="not-needed")
question = [{{"role": "user", "content": "{one} and {three}"}}]
for chunk in client.chat.completions.create(model="demo", messages=question, stream=True):
    print(chunk.choices[0].delta.content or "", end="", flush=True)
```

Every field is described in the \
[API reference](https://platform.openai.com/docs/api-reference/chat/create).
"""


FLAVOURS: tuple[Callable[[Topic], str], ...] = (plan, questions, tour, anatomy)
