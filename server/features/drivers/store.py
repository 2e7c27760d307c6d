"""Reads and writes drivers' tracks."""

from server.core.database import Transaction
from server.core.queries import load_queries
from server.features.drivers.track import Track

_queries = load_queries(__file__)


async def track(tx: Transaction, driver_id: str) -> Track | None:
    """The driver's track, locked for the rest of the transaction; None where there is none yet."""
    text = await _queries.track(tx, driver_id=driver_id)
    return Track.model_validate_json(text) if text else None


async def save_track(tx: Transaction, driver_id: str, track: Track) -> None:
    """Store the track. The caller has read it with `track` in this transaction."""
    await _queries.save_track(tx, driver_id=driver_id, track=track.model_dump_json())
