"""A conversation of 10,000 messages on the screen: opened, scrolled through, at other widths.

`python -m benchmarks.chat_view [MESSAGES]`. The widget is real, in an app without a terminal: what
is measured is the processor time until the lines of a frame are there. A message in ten has emoji,
Arabic or combining characters in it.
"""

import asyncio
import random
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from statistics import median
from typing import ClassVar

from textual.app import App, ComposeResult

from benchmarks._terminal import machine
from server.features.chat.schemas import ChatMessage, MessagePage
from server.features.shared.schemas import Actor
from tui.common.chat.layout import wrap
from tui.common.chat.message_view import MessageView
from tui.common.chat.model import Conversation
from tui.common.themes import NIGHT

MESSAGES = 10_000
PAGE = 200
SIZE = (160, 48)
WIDTHS = (100, 60, 140, 80, 160)
STEPS = 400
FRAME_MS = 50.0
"""The apps paint at most 20 times a second."""
WORDS = [
    "the",
    "rider",
    "is",
    "on",
    "the",
    "way",
    "and",
    "rings",
    "twice",
    "please",
    "extra",
    "napkins",
    "thank",
    "you",
    "about",
    "six",
]
UNUSUAL = ("🙂", "👨‍👩‍👧", "شكرا جزيلا", "cafe\u0301", "漢字", "🇩🇪")


def made(count: int) -> list[ChatMessage]:
    """Messages of both sides, as long as people write them, from the oldest on."""
    dice = random.Random(7)
    start = datetime(2026, 1, 1, tzinfo=UTC)
    sides = (
        Actor(id="ana", name="Ana", role="customer"),
        Actor(id="maya", name="Maya", role="employee"),
    )
    messages = []
    for number in range(count):
        words = dice.choices(WORDS, k=max(1, int(dice.expovariate(1 / 14))))
        if number % 10 == 0:
            words.insert(dice.randrange(len(words) + 1), dice.choice(UNUSUAL))
        messages.append(
            ChatMessage(
                chat_id="c",
                cursor=f"c-{number}",
                client_id=f"id-{number}",
                sender=dice.choice(sides),
                text=" ".join(words),
                sent_at=start + timedelta(minutes=7 * number),
            )
        )
    return messages


class Window(App[None]):
    """One conversation."""

    CSS = "MessageView { width: 100%; height: 100%; }"
    ENABLE_COMMAND_PALETTE: ClassVar[bool] = False

    def __init__(self, conversation: Conversation) -> None:
        super().__init__()
        self.register_theme(NIGHT)
        self.theme = NIGHT.name
        self.view = MessageView()
        self.conversation = conversation

    def get_theme_variable_defaults(self) -> dict[str, str]:
        """The theme's own."""
        return NIGHT.variables

    def compose(self) -> ComposeResult:
        """The view alone."""
        yield self.view

    def on_mount(self) -> None:
        """Show it."""
        self.view.show(self.conversation)

    def frame(self) -> None:
        """The lines that are in view."""
        for y in range(self.view.size.height):
            self.view.render_line(y)


def took(work: Callable[[], object]) -> float:
    """Milliseconds of processor time."""
    began = time.thread_time()
    work()
    return (time.thread_time() - began) * 1000


def say(name: str, times: list[float]) -> float:
    """Print median and worst; the median."""
    worst = f", worst {max(times):.1f} ms" if len(times) > 1 else ""
    print(f"{name:<44}{median(times):8.2f} ms{worst}")
    return median(times)


async def measure(count: int) -> bool:
    """Print the figures; whether every median is within a frame."""
    messages = made(count)
    # The first emoji makes rich read its tables, once for all.
    wrap("🙂" * 80, 60, single_width=False)
    conversation = Conversation("ana")
    conversation.apply_newest_page(
        MessagePage(items=[messages[0]], next=None, cursor=messages[0].cursor)
    )
    app = Window(conversation)
    async with app.run_test(size=SIZE) as pilot:
        await pilot.pause()
        view = app.view

        def come() -> None:
            for message in messages[1:]:
                conversation.apply(message, 0)
            view.redraw()
            app.frame()

        say(f"{count:,} messages come in at once", [took(come)])
        medians = []

        def one_more(number: int) -> None:
            conversation.apply(messages[0].model_copy(update={"cursor": f"more-{number}"}), 0)
            view.redraw()
            app.frame()

        medians.append(
            say("one more, and its frame", [took(lambda n=n: one_more(n)) for n in range(200)])
        )
        await pilot.pause()
        dice = random.Random(3)

        def scroll() -> None:
            view.scroll_to(y=dice.randrange(view.max_scroll_y), animate=False)
            app.frame()

        medians.append(say("a frame anywhere in it", [took(scroll) for _ in range(STEPS)]))

        def line_by_line() -> None:
            view.scroll_to(y=view.scroll_offset.y - 1, animate=False)
            app.frame()

        medians.append(say("a line further up", [took(line_by_line) for _ in range(STEPS)]))
        wraps = [took(lambda w=w: view.message_layout.update(conversation, w)) for w in WIDTHS]
        medians.append(say("all of it at another width", wraps))
        older = Conversation("ana")
        older.apply_newest_page(
            MessagePage(items=messages[:-PAGE:-1], next="x", cursor=messages[-1].cursor)
        )
        view.show(older)
        pages = []
        for end in range(len(messages) - PAGE + 1, 0, -PAGE):
            page = list(reversed(messages[max(0, end - PAGE) : end]))

            def put(page: list[ChatMessage] = page) -> None:
                older.prepend_page(MessagePage(items=page, next="x", cursor=messages[-1].cursor))
                view.redraw()
                app.frame()

            pages.append(took(put))
        medians.append(say(f"{PAGE} older ones above, {len(pages)} times", pages))
    return max(medians) <= FRAME_MS


def main() -> int:
    """Exit code 1 where something takes longer than a frame."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else MESSAGES
    print(machine())
    good = asyncio.run(measure(count))
    print(f"every median within a frame of {FRAME_MS:g} ms: {'yes' if good else 'NO'}")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
