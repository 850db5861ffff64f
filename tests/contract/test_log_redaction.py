"""What logs say of ids."""

from contract.log_redaction import abbreviate
from contract.stream_id import is_stream_id


def test_an_id_in_a_log_is_recognised_by_its_beginning_and_is_none_itself() -> None:
    for stream_id in ("Zk3v9cWq1xTtYbN0aUj2Rg", "p_Zk3v9cWq1xTtYbN0aUj2Rg", "x" * 64):
        shown = abbreviate(stream_id)
        assert stream_id.startswith(shown.removesuffix("…"))
        assert shown.endswith("…")
        assert not is_stream_id(shown.removesuffix("…"))
