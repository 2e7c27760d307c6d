"""Reads what a list shows, until there is an answer, telling of trouble in its place."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from textual.content import Content

from tui.common.client.errors import ClientTrouble, SignedOut
from tui.common.client.reconnect import Backoff, is_final
from tui.common.trouble import words_of
from tui.common.widgets.row_list import RowList

MOST_SECONDS = 4.0
"""Between two attempts: somebody is looking at it."""

ResultT = TypeVar("ResultT")


async def read_for(rows: RowList, ask: Callable[[], Awaitable[ResultT]]) -> ResultT | None:
    """The answer, or None where asking again is no use, or nobody is signed in any more."""
    backoff = Backoff(cap=MOST_SECONDS)
    while True:
        try:
            return await ask()
        except SignedOut:
            return None
        except ClientTrouble as trouble:
            final = is_final(trouble)
            again = "Esc leads back." if final else "Trying again by itself; esc leads back."
            rows.message = Content.assemble(
                ("✕ ", "bold $error"), words_of(trouble), (f"\n{again}", "$wire-ink")
            )
            rows.renew()
            if final:
                return None
            await asyncio.sleep(backoff.lost())
