"""Where data goes unless `TIFFIN_DATA_DIR` says."""

from pathlib import Path

from platformdirs import user_data_path

_SOURCES = Path(__file__).resolve().parents[1]


def default_data_dir(*, demo: bool) -> Path:
    """`.tiffin` where the sources are, as make runs them; the platform's folder for an installed
    command, which runs from anywhere. A demo's data is in `demo` below it."""
    from_sources = (_SOURCES / "pyproject.toml").exists()
    home = Path(".tiffin") if from_sources else user_data_path("tiffin", appauthor=False)
    return home / "demo" if demo else home
