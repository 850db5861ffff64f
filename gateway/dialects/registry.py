"""The dialects that a viewer may ask for, by name."""

from functools import partial

from gateway.dialects.ai_sdk import UIDialect
from gateway.dialects.base import NewDialect
from gateway.dialects.native import NativeDialect
from gateway.dialects.openai import OpenAIDialect
from gateway.dialects.text import TextDialect

NATIVE = "native"
OPENAI = "openai"
OPENAI_USAGE = "openai-usage"
TEXT = "text"
UI = "ui"
UI_CONTINUED = "ui-continued"

DIALECTS: dict[str, NewDialect] = {
    NATIVE: NativeDialect,
    OPENAI: partial(OpenAIDialect, with_usage=False),
    OPENAI_USAGE: partial(OpenAIDialect, with_usage=True),
    TEXT: TextDialect,
    UI: partial(UIDialect, continues=False),
    UI_CONTINUED: partial(UIDialect, continues=True),
}
