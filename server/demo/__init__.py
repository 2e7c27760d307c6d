"""The demo's town: its restaurants, people, history and photos."""

from server.demo.photos import add_photos
from server.demo.town import DemoRefusal, build_town

__all__ = ["DemoRefusal", "add_photos", "build_town"]
