"""Which dialects a viewer may ask for, by name. Pure: no I/O."""

from gateway.dialect import NewDialect
from gateway.native_dialect import NativeDialect

NATIVE = "native"

DIALECTS: dict[str, NewDialect] = {NATIVE: NativeDialect}
