"""The demo's town: its restaurants, people, history and photos."""

from server.demo.photos import add_photos
from server.demo.town import build_town, refuse_demo_database

__all__ = ["add_photos", "build_town", "refuse_demo_database"]
