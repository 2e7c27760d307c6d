"""A driver's track: the last reliable position, one that is in doubt, and the recent speed.

A track is stored as JSON with its fields' names.
"""

from math import exp

from pydantic import AwareDatetime, BaseModel, ConfigDict

from server.geo.sphere import LatLng, bearing, distance

GPS_ERROR_METRES = 150.0
"""Two positions this near to each other are both plausible, however short the time between."""
MAX_SPEED = 70.0
"""Metres a second that no vehicle exceeds."""
STANDSTILL_SPEED = 0.5
"""Metres a second; below that a driver stands still."""
COUNTED_STOP_SECONDS = 20.0
"""How much of a stop counts as driving time: a red light is part of the trip, a break is not."""
PAUSE_SECONDS = 300.0
"""After a stop or a silence this long, the speed before it says nothing about the speed now."""
SMOOTHING_SECONDS = 60.0
"""The time constant of the recent speed: older driving weighs 1/e as much."""
PRIOR_SECONDS = 5.0
"""How much driving at the vehicle's usual speed a new track begins with."""
MIN_HEADING_METRES = 3.0
"""A driver who has moved less keeps the heading."""
MIN_SPEED_SECONDS = 0.5
"""Positions that follow each other faster give no speed."""
USUAL_SPEEDS = {"bicycle": 5.0, "cargo bike": 4.5, "scooter": 8.0, "car": 9.0}
"""Metres a second in town, stops included."""


def usual_speed(vehicle: str) -> float:
    """The vehicle's, in metres a second; a bicycle's where the vehicle is unknown."""
    return USUAL_SPEEDS.get(vehicle.strip().lower(), USUAL_SPEEDS["bicycle"])


class Fix(BaseModel):
    """A position that a driver has reported, and when they were there."""

    model_config = ConfigDict(frozen=True)

    lat: float
    lng: float
    at: AwareDatetime

    @property
    def position(self) -> LatLng:
        """Its coordinates."""
        return self.lat, self.lng

    def metres_to(self, other: "Fix") -> float:
        """The straight distance."""
        return distance(self.position, other.position)

    def seconds_to(self, other: "Fix") -> float:
        """Never negative."""
        return max(0.0, (other.at - self.at).total_seconds())

    def can_reach(self, other: "Fix") -> bool:
        """Whether a vehicle can drive from here to there in the time between."""
        metres = self.metres_to(other)
        return metres <= GPS_ERROR_METRES or metres <= MAX_SPEED * self.seconds_to(other)


class Track(BaseModel):
    """What the fixes so far say.

    A fix that no vehicle could reach from the last `good` one is a `doubt`. A second fix that
    agrees with the doubt makes both good; a good fix in between refutes it.
    """

    model_config = ConfigDict(frozen=True)

    good: Fix
    doubt: Fix | None = None
    heading: float | None = None
    speed: float | None = None
    way: float
    """Metres driven recently; older ones weigh less."""
    seconds: float
    """How long they took, weighted alike."""
    stood: float = PAUSE_SECONDS
    """Seconds since the driver last moved."""

    @classmethod
    def start(cls, fix: Fix, vehicle: str) -> "Track":
        """A new track with its first fix."""
        return cls(good=fix, way=usual_speed(vehicle) * PRIOR_SECONDS, seconds=PRIOR_SECONDS)

    @property
    def last(self) -> Fix:
        """The last fix, good or in doubt."""
        return self.doubt or self.good

    @property
    def suspect(self) -> bool:
        """Whether the last fix is in doubt."""
        return self.doubt is not None

    @property
    def recent_speed(self) -> float:
        """Smoothed, in metres a second."""
        return self.way / self.seconds

    def after(self, fix: Fix, vehicle: str) -> "Track":
        """The track with one more fix, which is not older than the last."""
        before = next(
            (one for one in (self.good, self.doubt) if one is not None and one.can_reach(fix)),
            None,
        )
        if before is None:
            return self.model_copy(update={"doubt": fix})
        metres, seconds = before.metres_to(fix), before.seconds_to(fix)
        heading = self.heading
        if metres >= MIN_HEADING_METRES:
            heading = round(bearing(before.position, fix.position), 1) % 360
        speed = None
        if MIN_SPEED_SECONDS <= seconds <= PAUSE_SECONDS and metres <= MAX_SPEED * seconds:
            speed = round(metres / seconds, 2)
        changes = {"good": fix, "doubt": None, "heading": heading, "speed": speed}
        return self.model_copy(update=changes | self._recent(metres, seconds, vehicle))

    def _recent(self, metres: float, seconds: float, vehicle: str) -> dict[str, float]:
        """`way`, `seconds` and `stood` after driving that far in that time."""
        stands = metres <= STANDSTILL_SPEED * seconds
        stood = min(PAUSE_SECONDS, self.stood + seconds) if stands else 0.0
        if stood >= PAUSE_SECONDS or seconds > PAUSE_SECONDS:
            prior = usual_speed(vehicle) * PRIOR_SECONDS
            return {"way": prior, "seconds": PRIOR_SECONDS, "stood": stood}
        counted = seconds
        if stands:
            counted = min(seconds, max(0.0, COUNTED_STOP_SECONDS - self.stood))
        # Several fixes that were held back and arrive together say nothing about the speed.
        metres = min(metres, MAX_SPEED * seconds)
        if counted <= 0:
            return {"stood": stood}
        kept = exp(-counted / SMOOTHING_SECONDS)
        weight = SMOOTHING_SECONDS * (1 - kept)
        return {
            "way": self.way * kept + metres / counted * weight,
            "seconds": self.seconds * kept + weight,
            "stood": stood,
        }
