"""A scroll bar that is cheap to draw.

In a window of 160x48 Textual's takes a third of the time of a page of a list: it makes each of its
lines anew, though most are alike.
"""

from rich.color import Color
from rich.segment import Segment
from rich.style import Style
from textual.geometry import Region
from textual.scroll_view import ScrollView
from textual.scrollbar import ScrollBar, ScrollBarRender
from textual.strip import Strip


class ThinScrollBar(ScrollBar):
    """A vertical scroll bar, one column wide."""

    def render_lines(self, crop: Region) -> list[Strip]:
        """Textual's segments; a strip for each different one."""
        if self.parent is None:  # removed, and drawn a last time
            return [Strip.blank(crop.width)] * crop.height
        bar = self.render()
        assert isinstance(bar, ScrollBarRender)
        assert isinstance(bar.style, Style)
        default = Color.default()
        segments = bar.render_bar(
            size=self.size.height,
            virtual_size=bar.virtual_size,
            window_size=bar.window_size,
            position=bar.position,
            back_color=bar.style.bgcolor or default,
            bar_color=bar.style.color or default,
        ).segments
        base = self.rich_style
        strips = {
            id(segment): Strip(Segment.apply_style([segment], base), 1) for segment in segments
        }
        background = self.background_colors[1]
        for line_filter in self.app.get_line_filters():
            strips = {at: one.apply_filter(line_filter, background) for at, one in strips.items()}
        return [strips[id(segment)] for segment in segments][crop.y : crop.bottom]


class ThinBarView(ScrollView):
    """A view with such a bar."""

    @property
    def vertical_scrollbar(self) -> ScrollBar:
        """The bar; made when it is first asked for."""
        if self._vertical_scrollbar is None:
            self._vertical_scrollbar = ThinScrollBar(vertical=True, name="vertical", thickness=1)
            self._vertical_scrollbar.display = False
            self.app._start_widget(self, self._vertical_scrollbar)
        return self._vertical_scrollbar
