"""What is remembered of a driver's ride: where they surely were, what is doubtful, how fast."""

from math import exp

from pydantic import AwareDatetime, BaseModel, ConfigDict

from server.features.shared.geo import bearing, metres

JUMP_METRES = 150.0
"""Two positions nearer than that may both be right, however short the time: satellites err."""
FASTEST = 70.0
"""Metres a second that no vehicle exceeds."""
STANDING = 0.5
"""Metres a second below which one stands."""
STAND_SECONDS = 20.0
"""So much of a stand counts as time on the way: a red light is part of it, a break is not."""
PAUSE_SECONDS = 300.0
"""After so long a stand, or without news, the speed before it says nothing any more."""
LATELY = 60.0
"""Seconds by which what was driven counts for 1/e of what is driven now."""
PRIOR = 5.0
"""Seconds that the vehicle's usual speed counts for at the beginning."""
TURN_METRES = 3.0
"""Who has moved less keeps their heading."""
SHORTEST = 0.5
"""Seconds between two positions below which they tell no speed."""
USUAL = {"bicycle": 5.0, "cargo bike": 4.5, "scooter": 8.0, "car": 9.0}
"""Metres a second in town, stops included."""


def usual_pace(vehicle: str) -> float:
    """What is usual for the vehicle, in metres a second; that of a bicycle for an unknown one."""
    return USUAL.get(vehicle.strip().lower(), USUAL["bicycle"])


class Fix(BaseModel):
    """Where a driver was said to be, and when."""

    model_config = ConfigDict(frozen=True)

    lat: float
    lng: float
    at: AwareDatetime

    def metres_to(self, other: "Fix") -> float:
        """As the crow flies."""
        return metres(self.lat, self.lng, other.lat, other.lng)

    def seconds_to(self, other: "Fix") -> float:
        """Never negative."""
        return max(0.0, (other.at - self.at).total_seconds())

    def may_lead_to(self, other: "Fix") -> bool:
        """Whether a vehicle can have come from here to there in that time."""
        way = self.metres_to(other)
        return way <= JUMP_METRES or way <= FASTEST * self.seconds_to(other)


class Track(BaseModel):
    """A driver's ride so far.

    A fix that no vehicle could have come to from the last `good` one is a `doubt`. A second one
    that agrees with it makes both good; a good one in between refutes it.
    """

    model_config = ConfigDict(frozen=True)

    good: Fix
    doubt: Fix | None = None
    heading: float | None = None
    speed: float | None = None
    way: float
    """Metres lately driven, older ones for less."""
    seconds: float
    """The time that took, weighted alike."""
    stood: float = PAUSE_SECONDS
    """Seconds it has stood still for."""

    @classmethod
    def begun(cls, fix: Fix, vehicle: str) -> "Track":
        """With the first fix ever."""
        return cls(good=fix, way=usual_pace(vehicle) * PRIOR, seconds=PRIOR)

    @property
    def last(self) -> Fix:
        """The last fix that was taken, good or not."""
        return self.doubt or self.good

    @property
    def suspect(self) -> bool:
        """Whether the last fix is doubtful."""
        return self.doubt is not None

    @property
    def pace(self) -> float:
        """The speed lately driven, smoothed, in metres a second."""
        return self.way / self.seconds

    def after(self, fix: Fix, vehicle: str) -> "Track":
        """With one more fix, which is not older than the last."""
        before = next(
            (one for one in (self.good, self.doubt) if one is not None and one.may_lead_to(fix)),
            None,
        )
        if before is None:
            return self.model_copy(update={"doubt": fix})
        way, seconds = before.metres_to(fix), before.seconds_to(fix)
        heading = self.heading
        if way >= TURN_METRES:
            heading = round(bearing(before.lat, before.lng, fix.lat, fix.lng), 1) % 360
        speed = None
        if SHORTEST <= seconds <= PAUSE_SECONDS and way <= FASTEST * seconds:
            speed = round(way / seconds, 2)
        changes = {"good": fix, "doubt": None, "heading": heading, "speed": speed}
        return self.model_copy(update=changes | self._driven(way, seconds, vehicle))

    def _driven(self, way: float, seconds: float, vehicle: str) -> dict[str, float]:
        stands = way <= STANDING * seconds
        stood = min(PAUSE_SECONDS, self.stood + seconds) if stands else 0.0
        if stood >= PAUSE_SECONDS or seconds > PAUSE_SECONDS:
            return {"way": usual_pace(vehicle) * PRIOR, "seconds": PRIOR, "stood": stood}
        counted = seconds
        if stands:
            counted = min(seconds, max(0.0, STAND_SECONDS - self.stood))
        # Many at once, held back on their way here, say nothing about speed.
        way = min(way, FASTEST * seconds)
        if counted <= 0:
            return {"stood": stood}
        kept = exp(-counted / LATELY)
        weight = LATELY * (1 - kept)
        return {
            "way": self.way * kept + way / counted * weight,
            "seconds": self.seconds * kept + weight,
            "stood": stood,
        }
