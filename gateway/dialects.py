"""Which dialects a viewer may ask for, by name. Pure: no I/O."""

from functools import partial

from gateway.dialect import NewDialect
from gateway.native_dialect import NativeDialect
from gateway.openai_dialect import OpenAIDialect
from gateway.text_dialect import TextDialect
from gateway.ui_dialect import UIDialect

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
