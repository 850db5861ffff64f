from simulator.refusals import MOST_REMEMBERED, Refusals


def test_a_request_is_refused_as_often_as_asked_and_then_begins_anew() -> None:
    refusals = Refusals()
    assert [refusals.refuse(b"a", 2) for _ in range(6)] == [True, True, False, True, True, False]


def test_requests_that_differ_do_not_use_up_each_others_refusals() -> None:
    refusals = Refusals()
    assert [refusals.refuse(body, 1) for body in (b"a", b"b", b"a", b"b")] == [True, True, False, False]


def test_no_refusal_at_all_may_be_asked_for() -> None:
    assert not Refusals().refuse(b"a", 0)


def test_the_memory_is_bounded_and_forgets_the_oldest() -> None:
    refusals = Refusals()
    for number in range(MOST_REMEMBERED + 1):
        refusals.refuse(b"%d" % number, 1)
    assert refusals.refuse(b"0", 1), "forgotten, so refused anew"
    assert not refusals.refuse(b"%d" % MOST_REMEMBERED, 1)
