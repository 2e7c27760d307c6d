"""The desk's queue: its order, what needs somebody, and what is news."""

from datetime import UTC, datetime, timedelta
from typing import Any

from server.features.chat.schemas import Chat, ChatStatus, LastMessage, Unread
from server.features.shared.schemas import Actor
from tui.employee.support.queue import Queue

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
ANA = Actor(id="ana", name="Ana", role="customer")
MAYA = Actor(id="maya", name="Maya", role="employee")
ROBIN = Actor(id="robin", name="Robin", role="employee")
CLOSED = {"status": ChatStatus.CLOSED, "closed_at": NOON}


def chat_of(name: str, minutes: float = 0, **changes: Any) -> Chat:
    fields: dict[str, Any] = {
        "id": name,
        "subject": name,
        "status": ChatStatus.OPEN,
        "customer": ANA,
        "opened_at": NOON + timedelta(minutes=minutes),
        "waiting_since": NOON + timedelta(minutes=minutes),
        "unread": Unread(customer=0, support=0),
    }
    return Chat(**(fields | changes))


def taken(name: str, by: Actor, minutes: float = 0, unread: int = 0) -> Chat:
    return chat_of(
        name,
        employee=by,
        taken_at=NOON + timedelta(minutes=minutes),
        unread=Unread(customer=0, support=unread),
    )


def words(text: str, by: Actor = ANA) -> LastMessage:
    return LastMessage(sender=by, text=text, sent_at=NOON)


def queue_of(*chats: Chat) -> Queue:
    queue = Queue()
    queue.mine = MAYA.id
    queue.replace(list(chats))
    return queue


def test_unclaimed_chats_come_first_then_the_users_then_others() -> None:
    queue = queue_of(
        taken("theirs", ROBIN),
        taken("mine, later", MAYA, 2),
        chat_of("waits since five", 5),
        taken("mine", MAYA, 1, unread=3),
        chat_of("waits since one", 1),
    )
    assert [chat.id for chat in queue] == [
        "waits since one",
        "waits since five",
        "mine",
        "mine, later",
        "theirs",
    ]
    needing = [chat.id for chat in queue if queue.needs(chat)]
    assert needing == ["waits since one", "waits since five", "mine"]


def test_a_closed_chat_stays_only_where_it_is_kept() -> None:
    queue = queue_of(chat_of("a"), chat_of("b"))
    queue.kept.add("a")
    queue.put(chat_of("a", **CLOSED))
    queue.put(chat_of("b", **CLOSED))
    assert [chat.id for chat in queue] == ["a"]
    queue.replace([chat_of("c")])
    assert [chat.id for chat in queue] == ["c", "a"]
    queue.release("a")
    assert [chat.id for chat in queue] == ["c"]


def test_news_is_a_waiting_customer_or_a_message_in_the_users_chat() -> None:
    queue = queue_of()
    new = chat_of("a")
    assert queue.is_news(None, new)
    assert queue.is_news(chat_of("a", **CLOSED), new)
    assert not queue.is_news(None, taken("a", ROBIN))
    assert not queue.is_news(new, chat_of("a", **CLOSED))
    before = taken("a", MAYA)
    wrote = taken("a", MAYA, unread=1).model_copy(update={"last_message": words("hello?")})
    assert queue.is_news(before, wrote)
    assert not queue.is_news(wrote, wrote)
    own = before.model_copy(update={"last_message": words("hello", MAYA)})
    assert not queue.is_news(before, own)
    theirs = taken("a", ROBIN, unread=1).model_copy(update={"last_message": words("hello?")})
    assert not queue.is_news(taken("a", ROBIN), theirs)
