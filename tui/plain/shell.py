"""What both apps' plain modes share: log-in, the loop of commands, news, and how it ends."""

import asyncio
import contextlib
import inspect
import shlex
import signal
from collections.abc import Callable, Coroutine, Sequence
from typing import ClassVar, Literal

from pydantic import Secret, ValidationError

from server.features.accounts.schemas import Account, Role
from server.features.announcements.schemas import ReadAnnouncement, Scope
from server.features.chat.schemas import Chat, ChatMessage
from tui.common.announcements.feed import AnnouncementFeed
from tui.common.announcements.model import AnnouncementStore
from tui.common.auth_flow import make_client
from tui.common.chat.session import ChatSession
from tui.common.client.address import clean_address
from tui.common.client.errors import ClientError, SignedOut
from tui.common.client.meter import Meter, Pattern, State, Wire
from tui.common.client.outbox import Outbox
from tui.common.client.retry import retry
from tui.common.client.token_store import TokenStore
from tui.common.crash import REPORT
from tui.common.format import ROLES, message_for
from tui.common.language import _
from tui.plain import words
from tui.plain.console import Console, ConsoleClosed
from tui.plain.errors import Failed, UsageError

SENT_SECONDS = 20.0
"""How long a command waits until the server has a message; it is sent later otherwise."""
ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
NOT_LOGGED_IN = _(
    "You are not logged in. Type demo to enter a demo server, or login and your e-mail."
)
BEFORE_LOGIN = frozenset({"demo", "login", "help", "quit"})


class Shell:
    """Every method `do_NAME` is a command; its docstring is its usage, a colon, what it does.

    News is printed while somebody types, and by `follow`; other commands ask the server anew.
    """

    ROLE: ClassVar[Literal["customer", "employee"]]

    def __init__(self, server: str, *, as_json: bool) -> None:
        """`server` is a base URL as it was typed."""
        address = clean_address(server)
        wire = Wire()
        self.client = make_client(address, wire, TokenStore.for_app(address, self.ROLE))
        self.session, self.api = self.client.session, self.client.api
        self.console = Console(as_json=as_json, now=self.session.server_now)
        self.one_shot = False
        """Whether the process ends after one command."""
        self.code = 0
        self._main: asyncio.Task[None] | None = None
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._chats: dict[str, ChatSession] = {}
        self._chat_changed = asyncio.Event()
        self._lost = False
        self._live = False
        self._store = AnnouncementStore()
        self._announcements: AnnouncementFeed | None = None
        wire.on_change = lambda _within: self._check_connection()
        self.session.on_signed_out = self._signed_out

    async def run(self, command: Sequence[str], *, demo: bool) -> int:
        """Carry out one command, or those that are typed; the exit code: 0, 1 after a failure, 2
        for one that was not understood, 128 and a signal's number where that ended it."""
        self.one_shot = bool(command)
        self._main = main = asyncio.ensure_future(self._run(command, demo))
        loop = asyncio.get_running_loop()
        for number in ENDING:
            if signal.getsignal(number) is not signal.SIG_IGN:  # ignored under nohup
                loop.add_signal_handler(number, self._end, 128 + number)
        try:
            await asyncio.wait([main])
            if not main.cancelled() and (fault := main.exception()) is not None:
                if not isinstance(fault, ConsoleClosed):
                    raise fault
                self.code = 1
        finally:
            await self._stop_news()
            await self.session.close()
            self.console.close()
        return self.code

    def _end(self, code: int) -> None:
        self.code = code
        if self._main is not None:
            self._main.cancel()

    async def _run(self, command: Sequence[str], demo: bool) -> None:
        await self._resume(demo)
        if command:
            await self.carry_out(command)
            return
        if self.console.interactive:
            if self.session.account is None:
                self.console.say(NOT_LOGGED_IN)
            self.console.say(_("Type help for the commands, quit to leave."))
        while (line := await self.console.read("tiffin> ")) is not None:
            try:
                # an apostrophe is one: only double quotes group words
                lexer = shlex.shlex(line, posix=True, punctuation_chars="")
                lexer.quotes, lexer.escape, lexer.commenters = '"', "", ""
                lexer.whitespace_split = True
                typed = list(lexer)
            except ValueError:
                self._failed(_("A quotation mark is missing its second one."), 2)
                continue
            if typed[:1] in (["quit"], ["exit"]):
                return
            if typed:
                await self.carry_out(typed)

    async def carry_out(self, typed: Sequence[str]) -> None:
        """Carry out a command; what is wrong with it is printed, and decides the exit code."""
        name, *arguments = typed
        command = self._commands().get(name.lower())
        try:
            if command is None:
                said = _("There is no command “{name}”. Type help for all commands.")
                raise UsageError(said.format(name=name))
            if self.session.account is None and name.lower() not in BEFORE_LOGIN:
                raise Failed(self._how_to_log_in())
            try:
                inspect.signature(command).bind(*arguments)
            except TypeError:
                usage = (command.__doc__ or "").partition(":")[0]
                raise UsageError(_("Usage: {usage}").format(usage=usage)) from None
            await command(*arguments)
        except UsageError as error:
            self._failed(str(error), 2)
        except Failed as error:
            self._failed(str(error), 1)
        except (ClientError, ValidationError) as error:
            if not isinstance(error, SignedOut):  # which has been said
                self._failed(message_for(error), 1)

    def _failed(self, message: str, code: int) -> None:
        self.console.say(message, "error")
        if not self.console.interactive or self.one_shot:
            self.code = self.code or code

    def _commands(self) -> dict[str, Callable[..., Coroutine[object, object, None]]]:
        names = [name for name in dir(self) if name.startswith("do_")]
        return {name[3:].replace("_", "-"): getattr(self, name) for name in names}

    async def _resume(self, demo: bool) -> None:
        told = False

        def tell(error: ClientError, wait: float | None) -> None:
            nonlocal told
            if wait is not None and not told:
                said = _("{error} Trying again until it answers.")
                self.console.say(said.format(error=message_for(error)), "error")
                told = True

        patient = self.console.interactive and not self.one_shot
        try:
            resumed = await retry(
                self.session.resume, attempts=None if patient else 1, on_error=tell
            )
            if demo and not resumed:
                await self.session.demo(Role(self.ROLE))
        except ClientError as error:
            self._failed(message_for(error), 1)
            return
        if self.session.notice:
            self.console.say(self.session.notice, "error")
        if self.session.account is not None:
            try:
                await self._signed_in(self.session.account)
            except Failed as error:
                self._failed(str(error), 1)

    async def _signed_in(self, account: Account) -> None:
        fits = (account.role is Role.CUSTOMER) == (self.ROLE == "customer")
        if not fits:
            await self.session.log_out()
            other = "employee" if self.ROLE == "customer" else "customer"
            said = _("{account} is a {role} account. Use tiffin-{other} --plain.")
            role = ROLES[account.role]
            raise Failed(said.format(account=account.name, role=role, other=other))
        if self.console.interactive and not self.one_shot:
            self.console.say(
                _("You are logged in as {value}.").format(value=account.name.rstrip("."))
            )
            self.start_news(account)

    def _signed_out(self, message: str) -> None:
        self.console.say(message, "error")
        self.code = self.code or (0 if self.console.interactive else 1)
        if not self.one_shot:
            self.work(self._stop_news(), "signed-out")

    def _how_to_log_in(self) -> str:
        if self.console.interactive and not self.one_shot:
            return NOT_LOGGED_IN
        return _(
            "Nobody is logged in. Run tiffin-{role} --plain in a terminal and log in "
            "once, or add --demo for a demo server."
        ).format(role=self.ROLE)

    async def do_demo(self) -> None:
        """demo: enter a demo server without an account of your own"""
        await self._signed_in(await self.session.demo(Role(self.ROLE)))

    async def do_login(self, email: str) -> None:
        """login EMAIL: log in; the password is asked for and not shown"""
        password = await self.console.read_secret(_("Password (not shown): "))
        if not password:
            raise Failed(_("No password was given; type login and your e-mail again."))
        await self._signed_in(await self.session.log_in(email, Secret(password)))

    async def do_logout(self) -> None:
        """logout: end the session here; nothing is remembered"""
        await self._stop_news()
        self.console.say(await self.session.log_out() or _("You are logged out."))

    async def do_help(self) -> None:
        """help: this list"""
        for command in self._commands().values():
            self.console.say(f"{_(command.__doc__ or '')}.", "help")

    async def do_quit(self) -> None:
        """quit: leave; your session is remembered"""

    def start_news(self, account: Account) -> None:
        """Print what happens from now on."""
        if self._live:
            return
        self._live = True
        self._store.set_reader(account)
        meter = self.session.wire.meter("announcements", Pattern.SSE)
        self._announcements = AnnouncementFeed(
            self._store, self.api, self.session, meter, self, Scope.OWN
        )
        self._announcements.reload()

    def meters(self) -> list[Meter]:
        """Of the connections that bring news."""
        return [] if self._announcements is None else [self._announcements.meter]

    async def _stop_news(self) -> None:
        self._live = self._lost = False
        self._announcements = None
        self._chats.clear()
        current = asyncio.current_task()
        tasks = [task for task in self._tasks.values() if task is not current]
        self._tasks.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def work(self, doing: Coroutine[object, object, None], group: str) -> None:
        """Run this; a new one of a group replaces the one before."""
        before = self._tasks.pop(group, None)
        if before is not None:
            before.cancel()
        task = self._tasks[group] = asyncio.create_task(doing)
        task.add_done_callback(self._worked)

    def _worked(self, task: "asyncio.Task[None]") -> None:
        for group in [group for group, one in self._tasks.items() if one is task]:
            del self._tasks[group]
        if not task.cancelled() and (fault := task.exception()) is not None:
            if not isinstance(fault, ConsoleClosed):
                REPORT.record(fault)
            self._end(1)

    def _check_connection(self) -> None:
        states = {meter.state for meter in self.meters()}
        lost = next((m for m in self.meters() if m.state in (State.RETRY, State.DOWN)), None)
        if lost is not None and not self._lost:
            self._lost = True
            self.console.say(
                _(
                    "Connection lost: {detail}. It comes back by itself, and brings what you "
                    "missed."
                ).format(detail=lost.detail),
                "connection.lost",
            )
        elif self._lost and states <= {State.LIVE, State.WAITING}:
            self._lost = False
            self.console.say(_("Connection is back."), "connection.back")

    async def follow(self, done: "asyncio.Future[int] | None" = None) -> None:
        """Print news until `done` gives the exit code, or a signal ends the process. On a terminal
        news comes by itself, between the commands: this returns at once."""
        if self.console.interactive and not self.one_shot:
            self.console.say(_("News is printed here as it comes."))
            return
        assert self.session.account is not None
        self.start_news(self.session.account)
        self.code = self.code or await (done or asyncio.get_running_loop().create_future())

    def start_worker(self, doing: Coroutine[object, object, None], group: str) -> None:
        """Run this for the feed of announcements."""
        self.work(doing, group)

    def changed(self) -> None:
        """The announcements have changed; those that arrive are reported by themselves."""

    def arrived(self, announcement: ReadAnnouncement) -> None:
        """Print a new announcement."""
        if self._store.is_unread(announcement):
            said = words.of_announcement(announcement, self.session.server_now())
            self.console.say(
                _("Announcement. {said}").format(said=said), "announcement", announcement
            )

    def acknowledge_failed(self, announcement: ReadAnnouncement, words: str) -> None:
        """Print why it is not acknowledged."""
        said = _("“{title}” is not marked as read: {words}")
        self.console.say(said.format(title=announcement.title, words=words), "error")

    async def do_announcements(self) -> None:
        """announcements: the newest announcements, with their numbers"""
        page = await self.api.announcements(limit=20)
        if not page.items:
            self.console.say(_("There are no announcements."))
        for number, one in enumerate(page.items, 1):
            read = _("read") if one.acknowledged else _("not read yet")
            said = words.of_announcement(one, self.session.server_now())
            self.console.say(f"{number}, {read}. {said}", data=one)

    async def do_ack(self, number: str) -> None:
        """ack NUMBER: mark an announcement of that list as read"""
        items = (await self.api.announcements(limit=20)).items
        one = words.choose(number, [item.title for item in items], items, _("announcement"))
        await self.api.acknowledge(one.id)
        self.console.say(_("“{title}” is marked as read.").format(title=one.title))

    def join(self, chat: Chat) -> ChatSession:
        """Stay in that chat, and print what others write."""
        if chat.id not in self._chats:
            room = ChatSession(
                self.session,
                self.api,
                chat,
                outbox=Outbox(self.client.outbox(), chat.id),
                on_change=self._chat_changed.set,
                on_message=self._on_message,
            )
            self._chats[chat.id] = room
            self.work(room.run(), f"chat-{chat.id}")
        return self._chats[chat.id]

    def _on_message(self, room: ChatSession, message: ChatMessage) -> None:
        self.console.say(
            _("{sender} writes: {text}").format(sender=message.sender.name, text=message.text),
            "chat",
            message,
        )
        room.mark_read()

    async def tell_newest(self, chat: Chat) -> None:
        """Print the newest messages of a chat, the oldest first."""
        for message in reversed((await self.api.messages(chat.id, limit=10)).items):
            self.console.say(
                _("{sender} wrote: {text}").format(sender=message.sender.name, text=message.text),
                data=message,
            )

    async def send(self, chat: Chat, text: str) -> None:
        """Send a message and wait until the server has it, `SENT_SECONDS` at most."""
        room = self.join(chat)
        room.send(text)
        sent = room.conversation.pending[-1].message.client_id
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(SENT_SECONDS):
                while not room.conversation.has_own(sent):
                    refused = [one for one in room.conversation.pending if one.refusal]
                    if refused or room.over:
                        why = refused[0].refusal if refused else room.error
                        room.pop_refused()
                        raise Failed(_("The message was not sent: {why}").format(why=why))
                    self._chat_changed.clear()
                    await self._chat_changed.wait()
            self.console.say(_("Sent: {text}").format(text=text))
            return
        raise Failed(_("The message is kept here, and sent when the server answers again."))
