"""A room: what its members are told, whoever they are."""

from support.cast import Cast
from support.room import history, open_chat, room


async def test_a_message_comes_to_everybody_sender_included(cast: Cast) -> None:
    chat_id = await open_chat(cast.customer)
    async with room(cast.customer, chat_id) as ana, room(cast.employee, chat_id) as desk:
        await ana.say("Hello", "one")
        mine, theirs = await ana.next("message"), await desk.next("message")
    assert mine == theirs
    assert mine["text"] == "Hello"
    assert mine["client_id"] == "one"
    assert mine["chat_id"] == chat_id
    assert mine["sender"]["name"] == "Ana"
    assert mine["sender"]["role"] == "customer"
    assert await history(cast.customer, chat_id) == [mine]
