import pytest
from textual.app import App, ComposeResult
from textual.widgets import Input

from support.waiting import wait_until
from tui.common.base_app import BaseApp
from tui.common.config import Config, Motion
from tui.common.themes import NIGHT
from tui.common.widgets.stepper import Stepper


class Steps(App[None]):
    def compose(self) -> ComposeResult:
        yield Stepper()

    def get_theme_variable_defaults(self) -> dict[str, str]:
        return NIGHT.variables


async def drawn(status: str, reached: str = "placed", width: int = 80) -> list[str]:
    app = Steps()
    async with app.run_test(size=(width, 4)) as pilot:
        stepper = app.query_one(Stepper)
        stepper.show(status, reached)
        await pilot.pause()
        return stepper.render().plain.split("\n")


async def test_past_current_and_future_steps_are_told_apart() -> None:
    line, names = await drawn("out_for_delivery")
    assert line.count("●") == 3
    assert line.count("◉") + line.count("◎") == 1
    assert line.count("○") == 1
    assert names.split("  ")[0].strip() == ""
    for name in ("Placed", "Accepted", "Cooking", "On its way", "Delivered"):
        assert name in names


async def test_ready_is_shown_in_place_of_cooking() -> None:
    _, names = await drawn("ready")
    assert "Ready" in names
    assert "Cooking" not in names


async def test_a_delivered_order_has_no_step_left() -> None:
    line, _ = await drawn("delivered")
    assert line.count("●") == 5


async def test_a_cancelled_order_is_marked_after_the_step_it_had_reached() -> None:
    line, names = await drawn("cancelled", "accepted")
    assert line.count("●") == 2
    assert line.count("✕") == 1
    assert "Cancelled" in names
    assert "On its way" in names
    line, names = await drawn("cancelled", "out_for_delivery")
    assert line.count("●") == 4
    assert names.strip().endswith("Cancelled")


async def test_names_fit_the_width_and_stand_apart() -> None:
    app = Steps()
    async with app.run_test() as pilot:
        stepper = app.query_one(Stepper)
        for width in (30, 36, 44, 45, 50, 52, 60):
            await pilot.resize_terminal(width, 4)
            await wait_until(lambda width=width: stepper.size.width == width, what="the width")  # type: ignore[misc]
            for status in ("placed", "ready", "out_for_delivery", "delivered", "cancelled"):
                stepper.show(status, "preparing")
                line, names = stepper.render().plain.split("\n")
                assert max(len(line), len(names)) <= width, (width, status, line, names)
                if width >= 45:
                    steps = ["Placed", "Accepted", "Cooking", "On its way", "Delivered"]
                    if status == "cancelled":
                        steps[3] = "Cancelled"
                    elif status == "ready":
                        steps[2] = "Ready"
                    assert names.split() == " ".join(steps).split(), names


async def test_without_room_for_all_names_only_the_current_step_is_named() -> None:
    _, names = await drawn("accepted", width=28)
    assert names.strip() == "Accepted"
    _, names = await drawn("cancelled", "accepted", width=28)
    assert names.strip() == "Cancelled"


@pytest.mark.parametrize("motion", ["full", "reduced"])
async def test_nothing_blinks_where_less_motion_is_asked_for(
    motion: Motion, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Window(BaseApp):
        def compose(self) -> ComposeResult:
            yield Stepper()
            yield Input()

    monkeypatch.setattr("tui.common.widgets.stepper.BLINK_SECONDS", 0.005)
    app, seen, blinks = Window(Config(motion=motion)), list[str](), motion == "full"
    async with app.run_test(size=(60, 4)):
        stepper = app.query_one(Stepper)
        app.set_interval(0.002, lambda: seen.append(stepper.render().plain))
        await wait_until(
            lambda: len(seen) > 40 and (len({*seen}) > 1 or not blinks), what="many looks"
        )
        assert len({*seen}) == (2 if blinks else 1)
        assert app.query_one(Input).cursor_blink is blinks
