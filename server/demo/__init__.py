"""The demo's small town."""

from server.demo.photos import hang_photos
from server.demo.town import build_town, refuse_town

__all__ = ["build_town", "hang_photos", "refuse_town"]
