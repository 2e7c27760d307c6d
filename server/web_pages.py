"""The apps as pages, as the settings have it: the only module that knows `web`."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

from server.core.addresses import address_key
from server.core.errors import Problem
from server.core.limits import RateLimit
from server.core.temp_files import locked_folder, remove_abandoned
from server.features.uploads.rembg_models import model_home
from server.settings import Settings, SettingsError, make_folder
from server.urls import is_loopback
from web.host import Limits, NoTerminalPage, WebHost
from web.town import Towns


def web_host(settings: Settings) -> WebHost:
    """The host of the pages. Raises SettingsError."""
    if not settings.demo and not settings.web_without_demo:
        raise SettingsError(
            "--web lets every visitor run the apps on this machine, so it is for a demo: add"
            " --demo, or set TIFFIN_WEB_WITHOUT_DEMO=1"
        )
    limits = Limits(
        settings.web_windows,
        settings.web_windows_per_address,
        settings.web_idle_seconds,
        settings.web_memory_mb,
    )
    # A name that an attacker points at this machine would make a stranger's page one of ours.
    local = settings.demo and not settings.demo_public
    try:
        allowed, opening = is_loopback if local else bool, _counted(settings)
        return WebHost(limits, address_key, allowed, opening, _towns(settings))
    except NoTerminalPage:
        raise SettingsError(
            "--web needs the package textual-serve: install tiffin[web], or run `make web`"
        ) from None


def _counted(settings: Settings) -> Callable[[str], bool]:
    limit = RateLimit(settings.web_windows_per_minute, "windows")

    def may_open(address: str) -> bool:
        try:
            limit.consume(address)
        except Problem:
            return False
        return True

    return may_open


def _towns(settings: Settings) -> Towns | None:
    """A town for each visitor, where that is set. Raises SettingsError."""
    if settings.web_town == "shared":
        return None
    if not settings.demo:
        raise SettingsError("TIFFIN_WEB_TOWN=own gives each visitor a demo's town: add --demo")
    environment = {
        "U2NET_HOME": str(model_home(settings.rembg_model, settings.model_dir).resolve()),
        "TIFFIN_REMBG_MODEL": settings.rembg_model,
        "TIFFIN_PHOTO_WORKERS": str(min(settings.photo_workers, 1)),
        "TIFFIN_PHOTO_MB_PER_ACCOUNT": "20",
        "TIFFIN_LOG_LEVEL": "WARNING",  # into a file in its folder, which has no other bound
    }
    folder = (settings.data_dir / "towns").resolve()

    def new_folder() -> AbstractContextManager[Path]:
        make_folder(folder)
        remove_abandoned(folder)
        return locked_folder(folder, "town-")

    return Towns(settings.web_towns, settings.web_memory_mb, environment, new_folder)
