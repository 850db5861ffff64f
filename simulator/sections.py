"""The sections of the demo's answers, in markdown: each explains one side of Manycast. No I/O.

This is the first answer that a new user reads, so it must be true, and worth reading.
"""

import re
from dataclasses import dataclass
from functools import cached_property

MARKS = {"table": r"^\|[-:|]+\|$", "code": r"^```", "formula": r"\$.+\$"}
"""How to find in a text what every answer shows at least once, besides the list at its end."""


@dataclass(frozen=True)
class Section:
    """`asked_by`: patterns of the words of a question that this section answers, in lower case. `name` completes the
    sentence "You can also ask about …".
    """

    title: str
    name: str
    asked_by: str
    text: str

    @cached_property
    def kinds(self) -> frozenset[str]:
        """Which of `MARKS` the text has."""
        return frozenset(kind for kind, mark in MARKS.items() if re.search(mark, self.text, re.MULTILINE))

    def count_matches(self, question: str) -> int:
        """How many different words of the question speak of this section."""
        return len({match.group() for match in re.finditer(rf"\b(?:{self.asked_by})\b", question.lower())})


FAN_OUT = Section(
    "How one answer reaches many screens",
    "many screens",
    r"many|screens?|viewers?|audience|everyone|reach\w*|fan\W?out|broadcast\w*|shar\w+|links?|watch\w*|same|relay\w*|manycast|"
    r"how does (?:it|this) work|architecture|gateways?",
    """\
A **worker** asks the model once, and appends each piece of the answer to a **log** in Redis. Any number of \
**gateways** read this log, and send the same bytes to every viewer. The model is paid once, however many people \
watch.

```mermaid
flowchart LR
  model["Language model"] -- pieces --> worker["Worker"]
  worker -- append --> log[("Log in Redis")]
  log --> one["Gateway"]
  log --> two["Gateway"]
  one --> laptop["Your browser"]
  one --> phone["A phone"]
  two --> terminal["A terminal"]
```

Every answer has a link. Press **Share** below this one and open the link on another device: both screens show the \
same words at the same time.
""",
)

LATE = Section(
    "What a late viewer gets",
    "late viewers",
    r"late\w*|join\w*|history|resum\w+|reload\w*|refresh\w*|reconnect\w*|miss\w*|offline|network|connection|gap|again|sleep\w*|"
    r"position|catch\w*|tomorrow|expire\w*|kept|keep|keeps|stored?",
    """\
Each piece of an answer has a **position**. `1-72` is the 72nd event of the first attempt. A viewer that joins late \
gets the log from its start, and then the live pieces. A viewer that lost its connection names the last position that \
it has seen, and gets the rest from any gateway. Browsers do this by themselves; so can you:

```sh
curl -N -H "Last-Event-ID: 1-72" http://127.0.0.1:8000/v1/streams/ID/events
```

| You do this | You see this |
|---|---|
| reload the page in the middle of an answer | the answer so far, at once, and then the rest |
| open the link a minute later | the same |
| switch the network off and on | a pause, and then the rest |
| open the link after some hours | the whole answer: the server keeps it for a day |

Nothing is missing, and nothing comes twice.
""",
)

STOP = Section(
    "What Stop does",
    "stopping an answer",
    r"stop\w*|cancel\w*|abort\w*|interrupt\w*|leav\w+|clos\w+|end|ends|ending|quit|hang up|pause\w*",
    """\
**Stop** ends an answer for everybody, not only on your screen. The gateway tells the worker, and the worker closes \
its connection to the model, so that nobody pays for words that nobody wants. Every viewer sees that the answer was \
stopped, and keeps the text so far.

- **Only the person who asked** can stop an answer. People who have its link can watch it.
- **Closing the page stops nothing.** Come back, and the answer is there.
- **A program can ask for the opposite**: this answer ends when nobody has watched it for 30 seconds.

```json
{
  "model": "demo",
  "messages": [{"role": "user", "content": "Hello"}],
  "manycast": {"when_unwatched": {"cancel_after_s": 30}}
}
```
""",
)

RESTART = Section(
    "What happens when something crashes",
    "crashes",
    r"crash\w*|restart\w*|fail\w*|die|dies|dead|kill\w*|lease|break\w*|broken|freez\w+|frozen|lost|lose|loses|happens?|wrong|"
    r"workers?|servers?|reliab\w+|robust\w*|surviv\w+|outage",
    """\
An answer does not depend on one process, so any of them may crash:

| What fails | What a viewer sees |
|---|---|
| a gateway, or the viewer's own network | a pause, and then the rest, from any gateway |
| the worker that writes the answer | within ten seconds the answer begins again, and the page says so |
| Redis, which restarts | a pause, and then the rest |
| the provider of the model | the text so far, and the reason |

A worker holds a **lease** for each answer that it writes, and renews it all the time. If the worker dies, the lease \
expires, and another worker asks the model again. If the lease lasts $T$ seconds, and the model needs $m$ seconds for \
its first word, viewers wait at most this many seconds for new words:

$$t = T + m$$

A worker that was only frozen, and wakes up too late, does no harm: Redis checks the lease at every write.
""",
)

SCALING = Section(
    "What many viewers cost",
    "the cost of many viewers",
    r"scal\w+|fast\w*|quick\w*|slow\w*|speed|perform\w*|costs?|thousands?|millions?|load|cpu|cores?|memory|latency|"
    r"expensive|cheap|benchmarks?|capacity|throughput|big|large",
    """\
A gateway encodes each piece once, and gives the same bytes to all its viewers. With $v$ viewers, $r$ pieces per \
second, and $c$ microseconds of work for each piece and viewer, it needs

$$\\text{cores} = \\frac{c \\cdot v \\cdot r}{1\\,000\\,000}$$

On a small shared machine we measured $c \\approx 10$. This gives:

| Viewers | Pieces per second | Cores |
|---|--:|--:|
| 100 | 50 | 0.05 |
| 1,000 | 50 | 0.5 |
| 10,000 | 50 | 5, on as many gateways as you like |

Gateways and workers keep nothing that matters, so you can add some while answers are running:

```sh
docker compose up --build --scale gateway=3 --scale worker=2
```
""",
)

LOG = Section(
    "Redis streams and pub/sub",
    "Redis streams and pub/sub",
    r"redis|valkey|pub\W?sub|streams?|logs?|queues?|kafka|database|compar\w+|differen\w+|durab\w+|lua|messages?",
    """\
Manycast uses both, because each has what the other one lacks:

| | Redis stream | Redis pub/sub |
|---|---|---|
| keeps what was sent | yes, until it is deleted | no |
| gives a late reader | everything after any position | only what comes from now on |
| after a lost connection | the reader goes on where it was | the messages are lost |
| a new entry arrives | when the reader asks again | at once |
| in Manycast | the log of an answer | the news that the log has grown |

A gateway subscribes first and reads the log after that, so no piece falls between the two. Each message names the \
position before it. If a message is missing, the gateway notices, and reads the log:

```python
def take(known: Position, message: Message) -> list[Event]:
    if message.follows(known):
        return message.events
    return read_log(after=known)  # something was lost on the way
```
""",
)

SDK = Section(
    "How your code uses it",
    "the OpenAI SDK",
    r"openai|sdks?|python|javascript|typescript|node|react|api|clients?|code|programs?|use (?:it|this|manycast)|"
    r"langchain|curl|generator|async|functions?|integrat\w+|library|write|usechat|vercel|eventsource",
    """\
Change the base URL of your OpenAI client. Your code works as before, and each answer now has a link:

```python
from openai import OpenAI

client = OpenAI(base_url="http://127.0.0.1:8000/v1", api_key="any")
question = [{"role": "user", "content": "Why is the sky blue?"}]

stream = client.chat.completions.create(model="demo", messages=question, stream=True)
print("watch it at", f"http://127.0.0.1:8000/watch#{stream.response.headers['x-stream-id']}")
for chunk in stream:
    print(chunk.choices[0].delta.content or "", end="")
```

To watch an answer, you need no library at all:

- **in a browser**, `EventSource` is enough, and it resumes by itself;
- **in a terminal**, type `manycast watch LINK`, or `curl -N` with `?dialect=text`;
- **with the AI SDK**, `useChat` works, and resumes after a reload.
""",
)

PRIVATE = Section(
    "Who can ask, and who can watch",
    "private links",
    r"privat\w+|privacy|secret\w*|secur\w+|safe\w*|who|permissions?|passwords?|keys?|tickets?|allow\w*|public|access\w*|"
    r"owner|sign\w*|login|hidden|hide|delet\w+",
    """\
Anyone who has the link of an answer can watch it. The link contains an id that nobody can guess. If that is not \
enough, choose a private answer in the settings:

| | Link | Private link |
|---|---|---|
| who can watch | everyone who has it | everyone who has it, until it expires |
| can be withdrawn | no | yes |
| who can stop the answer | the person who asked | the person who asked |

At first, only this computer can ask questions. Set a password, or create API keys, to let other people ask:

```sh
MANYCAST_PASSWORD=… make run HOST=0.0.0.0
```
""",
)

MODELS = Section(
    "How to ask a real model",
    "a real model",
    r"models?|providers?|ollama|vllm|azure|gpt\S*|claude|gemini|llama\S*|mistral|openrouter|real|demo|simulator|connect\w*|"
    r"configur\w+|switch\w*|you|your",
    """\
The demo answers as long as Manycast knows no provider. Any server that speaks OpenAI's API is one:

```sh
OPENAI_API_KEY=sk-… make run                          # OpenAI
OPENAI_BASE_URL=http://127.0.0.1:11434/v1 make run    # Ollama, and in the same way vLLM or LM Studio
MANYCAST_PROVIDERS=providers.toml make run            # several providers, with fallbacks
```

- The page then offers the models of your provider.
- Your own Python function can answer too: `MANYCAST_GENERATOR=my_module:answer`.
- If something is wrong, `manycast doctor` says what, and how to mend it.
""",
)

OPERATION = Section(
    "How to run it for other people",
    "running it for other people",
    r"run|runs|running|docker|compose|production|host\w*|install\w*|proxy|nginx|https|tls|phones?|wlan|wifi|start\w*|"
    r"set up|setup|kubernetes|cloud|team|colleagues?|update\w*|upgrad\w+|deploy\w*",
    """\
```sh
make run HOST=0.0.0.0                                                # phones and laptops nearby can watch
docker compose up --build --scale gateway=3 --scale worker=2         # everything in containers
SITE_ADDRESS=chat.example.com MANYCAST_PASSWORD=… docker compose up  # with HTTPS, and a password for asking
```

1. **Gateways** keep nothing. Stop, replace or add them at any time: their viewers go on elsewhere.
2. **Workers** write the answers. One that you stop gives its answers to another one.
3. **Redis** keeps the answers. Give it a disk, and answers survive its restart.
""",
)

EVENTS = Section(
    "What travels to your screen",
    "the events on the wire",
    r"chunks?|tokens?|sse|events?|protocol|format|wire|bytes|json|http|server.sent|pieces|word by word|typing|"
    r"stream(?:ed|ing)",
    """\
A model does not send its answer as a whole, but in pieces of a few letters. Manycast passes each one on as a \
[server-sent event](https://developer.mozilla.org/en-US/docs/Web/API/Server-sent_events):

```
event: chunk
data: {"choices":[{"index":0,"delta":{"content":" blue"},"finish_reason":null}]}
id: 1-72
```

| Event | Meaning |
|---|---|
| `start` | the first piece, with the fields that all pieces share |
| `chunk` | the next letters |
| `restart` | a worker was lost; forget the text so far |
| `ping` | nothing new, but the connection works |
| `done` | the end, and how the answer ended |

A piece has about four letters, so an answer of $n$ letters takes about $n/4$ events.
""",
)

SECTIONS = (FAN_OUT, LATE, STOP, RESTART, SCALING, LOG, SDK, PRIVATE, MODELS, OPERATION, EVENTS)
