"""Windows with only the panels that a test is about."""

from collections.abc import Sequence
from functools import cache
from typing import TypeVar

from tui.common.app import TiffinApp
from tui.common.panel import Panel

AppT = TypeVar("AppT", bound=TiffinApp)


class EmptyPanel(Panel, can_focus=True):
    """Frame, title and key of a panel, without its contents and its connection."""


@cache
def _empty(kind: type[Panel]) -> type[Panel]:
    return type(kind.__name__, (EmptyPanel,), {"TITLE": kind.TITLE, "PATTERN": kind.PATTERN})


def only(app: AppT, *kinds: type[Panel]) -> AppT:
    """The same app, not run yet, with its panels of `kinds`; the others are empty, in their places.

    Six panels take half of a window's time to lay out, and open six connections. Without `kinds`,
    the app is as it was.
    """
    own = app.panel_classes

    def panel_classes() -> Sequence[type[Panel]]:
        return [kind if kind in kinds else _empty(kind) for kind in own()]

    if kinds:
        app.panel_classes = panel_classes  # type: ignore[method-assign]
    return app
