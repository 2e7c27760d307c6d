"""The pilot of these tests waits for what an app has begun, whatever the machine is busy with."""

import asyncio
import time

from textual.app import App


class SlowApp(App[None]):
    """Each step takes time, but none of the processor's: as if another process had it."""

    left = 20

    def step(self) -> None:
        time.sleep(0.01)
        self.left -= 1
        if self.left:
            asyncio.get_running_loop().call_soon(self.step)


async def test_the_pilot_waits_for_an_app_that_gets_no_processor_time() -> None:
    app = SlowApp()
    async with app.run_test() as pilot:
        app.step()
        await pilot.pause()
        assert app.left == 0
