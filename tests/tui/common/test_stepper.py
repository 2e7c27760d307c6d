from textual.app import App, ComposeResult

from tui.common.theme import NIGHT
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


async def test_steps_taken_the_one_at_hand_and_those_to_come() -> None:
    line, names = await drawn("out_for_delivery")
    assert line.count("●") == 3
    assert line.count("◉") + line.count("◎") == 1
    assert line.count("○") == 1
    assert names.split("  ")[0].strip() == ""
    for name in ("Placed", "Accepted", "Cooking", "On its way", "Delivered"):
        assert name in names


async def test_ready_is_said_where_cooking_was() -> None:
    _, names = await drawn("ready")
    assert "Ready" in names
    assert "Cooking" not in names


async def test_a_delivered_order_has_no_step_left() -> None:
    line, _ = await drawn("delivered")
    assert line.count("●") == 5


async def test_a_cancelled_order_says_so_after_the_step_it_had_reached() -> None:
    line, names = await drawn("cancelled", "accepted")
    assert line.count("●") == 2
    assert line.count("✕") == 1
    assert "Cancelled" in names
    assert "On its way" in names
    line, names = await drawn("cancelled", "out_for_delivery")
    assert line.count("●") == 4
    assert names.strip().endswith("Cancelled")


async def test_it_fits_a_narrow_panel() -> None:
    for width in (30, 36, 44):
        for status in ("placed", "ready", "delivered", "cancelled"):
            for line in await drawn(status, "preparing", width):
                assert len(line) <= width, (width, status, line)


async def test_without_room_for_all_names_it_says_the_one_it_is_at() -> None:
    _, names = await drawn("accepted", width=28)
    assert names.strip() == "Taken"
