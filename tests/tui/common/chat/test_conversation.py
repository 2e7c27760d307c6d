"""A conversation: each message once and in order, whatever comes in, in whatever order."""

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from server.features.chat.frame_schemas import (
    PresenceFrame,
    ReadFrame,
    ReadMark,
    TakenFrame,
    TypingFrame,
)
from server.features.chat.schemas import ChatMessage, MessagePage
from server.features.shared.schemas import Actor
from tui.common.chat.model import TYPING_SECONDS, Conversation
from tui.common.client.outbox import UnsentMessage

ANA = Actor(id="ana", name="Ana", role="customer")
MAYA = Actor(id="maya", name="Maya", role="employee")
NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
SCRAMBLE = 7919
"""Cursors must not be ordered by anything but where they stand."""


def message(number: int, sender: Actor = MAYA, client_id: str = "") -> ChatMessage:
    return ChatMessage(
        chat_id="c",
        cursor=f"{number * SCRAMBLE % 10007:05d}",
        client_id=client_id or f"id-{number}",
        sender=sender,
        text=f"message {number}",
        sent_at=NOON,
    )


def page(messages: list[ChatMessage], before: int, limit: int) -> MessagePage:
    """As the server answers: the newest `limit` before that place."""
    start = max(0, before - limit)
    cursor = messages[-1].cursor if messages else "none"
    return MessagePage(
        items=list(reversed(messages[start:before])),
        next=str(start) if start else None,
        cursor=cursor,
    )


def conversation(*messages: ChatMessage) -> Conversation:
    found = Conversation(ANA.id)
    found.apply_newest_page(page(list(messages), len(messages), 50))
    return found


def texts(of: Conversation) -> list[str]:
    return [one.text for one in of.messages]


@given(st.data())
def test_each_message_once_in_order_and_ones_own_unsent_ones_last(data: st.DataObject) -> None:
    """The room's law: history pages, live frames, repeats, resets and echoes come as they like."""
    log: list[ChatMessage] = [message(number) for number in range(data.draw(st.integers(0, 12)))]
    view = Conversation(ANA.id)
    view.apply_newest_page(page(log, len(log), 4))
    told = len(log)
    written: list[UnsentMessage] = []
    sent = 0
    steps = st.sampled_from(["other", "write", "send", "tell", "repeat", "older", "again", "reset"])
    for step in data.draw(st.lists(steps, max_size=40)):
        if step == "other":
            log.append(message(len(log)))
        elif step == "write":
            written.append(UnsentMessage(f"mine {len(written)}", f"mine-{len(written)}"))
            view.add_pending(written[-1])
        elif step == "send" and sent < len(written):
            log.append(message(len(log), ANA, written[sent].client_id))
            sent += 1
        elif step == "tell" and told < len(log):
            view.apply(log[told], 0)
            told += 1
        elif step == "repeat" and view.messages:
            at = data.draw(st.integers(0, len(view.messages) - 1))
            view.apply(view.messages[at], 0)
        elif step == "again" and sent:
            own = next(one for one in log if one.client_id == written[sent - 1].client_id)
            view.apply(own.model_copy(update={"again": True}), 0)
        elif step == "older" and view.before is not None:
            view.prepend_page(page(log, int(view.before), 3))
        elif step == "reset":
            view.apply_newest_page(page(log, len(log), 4))
            told = len(log)
        # what is shown is one stretch of the log, up to what has been told
        assert view.messages == log[told - len(view.messages) : told]
        assert view.end - view.first == len(view.messages)
        # and then what has not come back, in the order it was written
        pending = [draft.message for draft in view.pending]
        assert pending == [one for one in written if one in pending]
        shown = {one.client_id for one in view.messages if one.sender == ANA}
        assert not shown & {one.client_id for one in pending}
        back = [one.client_id for one in log[:told] if one.sender == ANA]
        assert all(
            one in pending or one.client_id in back or view.has_own(one.client_id)
            for one in written
        )
    while view.before is not None:
        view.prepend_page(page(log, int(view.before), 3))
    for left in log[told:]:
        view.apply(left, 0)
    assert view.messages == log
    assert [draft.message for draft in view.pending] == written[sent:]


def test_pages_go_in_front_and_the_numbers_stay() -> None:
    log = [message(number) for number in range(9)]
    view = Conversation(ANA.id)
    view.apply_newest_page(page(log, 9, 3))
    assert (view.first, view.end, view.before) == (0, 3, "6")
    view.prepend_page(page(log, 6, 4))
    assert (view.first, view.end) == (-4, 3)
    assert view.messages == log[2:]
    view.prepend_page(page(log, 2, 4))
    assert (view.before, view.messages) == (None, log)
    assert view.generation == 1


def test_a_history_that_does_not_go_on_takes_the_old_ones_place() -> None:
    view = conversation(message(1), message(2))
    generation = view.generation
    view.add_pending(UnsentMessage("mine", "mine-1"))
    view.apply_newest_page(page([message(7), message(8)], 2, 50))
    assert texts(view) == ["message 7", "message 8"]
    assert view.generation == generation + 1
    assert [draft.message.text for draft in view.pending] == ["mine"]


def test_a_draft_that_the_history_already_has_is_none() -> None:
    view = conversation()
    view.add_pending(UnsentMessage("mine", "mine-1"))
    view.apply_newest_page(page([message(1, ANA, "mine-1")], 1, 50))
    assert not view.pending
    assert view.has_own("mine-1")


def test_another_persons_client_id_is_not_ones_own() -> None:
    view = conversation()
    view.add_pending(UnsentMessage("mine", "same"))
    view.apply(message(1, MAYA, "same"), 0)
    assert [draft.message.text for draft in view.pending] == ["mine"]


def test_a_refused_draft_stays_with_its_reason_until_it_is_discarded() -> None:
    view = conversation()
    view.add_pending(UnsentMessage("mine", "mine-1"))
    view.mark_refused("mine-1", "The chat is closed.")
    assert view.pending[0].refusal == "The chat is closed."
    found = view.discard("mine-1")
    assert found is not None
    assert not view.pending
    assert view.discard("mine-1") is None


def read(*marks: tuple[Actor, ChatMessage]) -> ReadFrame:
    reads = [ReadMark(reader=who, cursor=one.cursor, at=NOON) for who, one in marks]
    return ReadFrame(chat_id="c", reads=reads)


def test_read_marks_say_how_far_others_have_read_and_what_one_has_not() -> None:
    log = [message(0, ANA), message(1), message(2, ANA), message(3)]
    view = conversation(*log)
    assert (view.unread, view.read_by_others) == (2, -1)
    view.apply(read((MAYA, log[2]), (ANA, log[1])), 0)
    assert (view.unread, view.read_by_others) == (1, 2)
    assert view.last_unread == log[3]
    view.apply(read((MAYA, log[2]), (ANA, log[3])), 0)
    assert view.unread == 0
    assert view.last_unread is None


def test_unread_is_what_the_server_has_counted_until_the_mark_is_among_the_messages() -> None:
    log = [message(number) for number in range(9)]
    view = Conversation(ANA.id)
    view.apply_newest_page(page(log[:7], 7, 3).model_copy(update={"unread": 502}))
    assert view.unread == 502
    view.apply(log[7], 0)
    view.apply(message(20, ANA), 0)
    assert view.unread == 503
    view.apply(read((ANA, log[1])), 0)  # older than what is here
    assert view.unread == 503
    view.apply(read((ANA, log[5])), 0)
    assert view.unread == 2
    view.apply(log[8], 0)
    view.apply(read((ANA, log[8])), 0)
    assert view.unread == 0


def test_a_mark_may_come_before_its_message_and_never_goes_back() -> None:
    log = [message(number, ANA) for number in range(3)]
    view = conversation(log[0])
    view.apply(read((MAYA, log[2])), 0)
    assert view.read_by_others == -1
    view.apply(log[1], 0)
    view.apply(log[2], 0)
    assert view.read_by_others == 2
    view.apply(read((MAYA, log[0])), 0)
    assert view.read_by_others == 2


def test_a_mark_in_older_history_is_found_when_that_is_there() -> None:
    log = [message(number, ANA) for number in range(6)]
    view = Conversation(ANA.id)
    view.apply_newest_page(page(log, 6, 2))
    view.apply(read((MAYA, log[3])), 0)
    assert view.read_by_others == view.first - 1
    view.prepend_page(page(log, 4, 2))
    assert view.messages[view.read_by_others - view.first] == log[3]


def test_a_mark_on_what_is_no_message_is_good_for_those_before_it() -> None:
    view = conversation(message(1, ANA))
    view.apply(TakenFrame(chat_id="c", cursor="taken", by=MAYA, at=NOON), 0)
    mark = ReadMark(reader=MAYA, cursor="taken", at=NOON)
    view.apply(ReadFrame(chat_id="c", reads=[mark]), 0)
    assert view.read_by_others == 0


def test_typing_runs_out_and_ends_with_a_message() -> None:
    view = conversation()
    view.apply(TypingFrame(chat_id="c", sender=MAYA), 100)
    view.apply(TypingFrame(chat_id="c", sender=ANA), 100)
    assert view.typing(100 + TYPING_SECONDS - 0.1) == [MAYA]
    assert view.typing(100 + TYPING_SECONDS) == []
    view.apply(TypingFrame(chat_id="c", sender=MAYA), 200)
    view.apply(message(1), 201)
    assert view.typing(201) == []


def test_presence_is_who_is_there_now() -> None:
    view = conversation()
    view.apply(PresenceFrame(chat_id="c", present=[ANA, MAYA]), 0)
    assert view.present == [ANA, MAYA]
    view.apply(PresenceFrame(chat_id="c", present=[ANA]), 0)
    assert view.present == [ANA]
