"""Time limits of one attempt: how long it may take, and how long it may be silent."""

from __future__ import annotations

from collections.abc import Callable

from aion_core.failures import Failure, silence_failure, timeout_failure
from aion_core.policies import ActivityOptions
from aion_runtime.alarms import Alarm, Alarms

__all__ = ["TimeLimits"]

LATE_S = 0.25
"""An alarm that is later than this has waited for an event loop that somebody kept."""


class TimeLimits:
    """Watches ``start_to_close`` and ``heartbeat_timeout``, by the steady clock.

    Args:
        activity_type: named in what is said of a silent attempt.
        over: told once, by the failure that the attempt has, that a limit is passed.
        could_speak: for so many seconds, to now, nothing else has kept the attempt from sending a
            heartbeat. Asked before it counts as silent.
    """

    def __init__(
        self,
        options: ActivityOptions,
        activity_type: str,
        delays: Alarms[float],
        over: Callable[[Failure], None],
        could_speak: Callable[[float], bool],
    ) -> None:
        self._whole = options.start_to_close
        self._silence = options.heartbeat_timeout
        self._activity_type = activity_type
        self._delays = delays
        self._over = over
        self._could_speak = could_speak
        self._blame: Failure | None = None
        self._alarms: list[Alarm] = []
        self._heard_at = 0.0
        self._is_announced = False

    @property
    def blame(self) -> Failure | None:
        """How it failed because it kept its event loop for too long; None when it did not."""
        return self._blame

    def keeps_loop(self, seconds: float, stack: Callable[[], str]) -> bool:
        """It has kept its event loop for so long, as a thread has seen: is it too silent by that?

        True once. It has failed then, whatever it says when it lets go.

        Args:
            stack: where it is.
        """
        silence = self._silence
        if silence is None or seconds < silence or self._is_announced or self._blame is not None:
            return False
        self._blame = silence_failure(self._activity_type, silence, stack())
        return True

    def start(self) -> None:
        """Time runs from now."""
        self.stop()
        self._heard_at = self._delays.now()
        if self._whole is not None:
            self._alarms.append(self._delays.set(self._heard_at + self._whole, self._took_too_long))
        if self._silence is not None:
            self._listen(self._silence)

    def stop(self) -> None:
        """No time runs."""
        for alarm in self._alarms:
            alarm.cancel()
        self._alarms.clear()

    def announce(self) -> None:
        """A heartbeat is on its way, from any thread: the event loop may be late to take it."""
        self._is_announced = True

    def hear(self) -> None:
        """A heartbeat has come."""
        self._heard_at, self._is_announced = self._delays.now(), False
        if self._blame is not None:
            self._over(self._blame)

    def _listen(self, silence: float) -> None:
        # One alarm at a time, which is late to know of a heartbeat: else each would set another.
        due = self._heard_at + silence

        def check() -> None:
            now = self._delays.now()
            if self._blame is not None:
                self._over(self._blame)
                return
            if self._is_announced:
                self.hear()
            elif now - due > LATE_S or not self._could_speak(silence):
                # Its event loop stood still, or this one did: it has not had its time to speak.
                self._heard_at = now
            if self._heard_at + silence > now:
                self._listen(silence)
            else:
                self._over(silence_failure(self._activity_type, silence))

        self._alarms = [each for each in self._alarms if each.is_set]
        self._alarms.append(self._delays.set(due, check))

    def _took_too_long(self) -> None:
        assert self._whole is not None
        self._over(timeout_failure(self._whole))
