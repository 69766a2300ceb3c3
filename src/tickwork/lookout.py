"""When a node looks at its store again, and for what.

The rule: news is looked at after a short rest; without news, at the first instant for which something is planned.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from tickwork.clock import Clock
from tickwork.stores.base import Outlook
from tickwork.timing import Timing

FAR_OFF = datetime.max.replace(tzinfo=UTC)
FIRST_PAUSE = timedelta(milliseconds=50)
"""How long the first pause is after the store has failed; each is twice as long as the one before, up to a poll."""

log = logging.getLogger("tickwork.loop")


class Lookout:
    """The instants from which on something is to be looked for."""

    def __init__(self, clock: Clock, timing: Timing) -> None:
        self._clock = clock
        self._timing = timing
        now = clock.now()
        self.news = True
        """Whether somebody has left something to look at."""
        self.look_at = now
        """The next round, if no news comes before."""
        self.rest_until = now
        """No round before that, whatever comes; unless it is so much that it is worth one."""
        self.is_much = False
        """Whether so much has come."""
        self.deferred_to = now
        """What this node has put off itself: jobs that it could not decide on yet."""
        self.reap_at = now
        self.spare_until = now + 2 * timing.poll  # the store may have been out until now, for all nodes
        """Until then no run is taken for lost: its node may just not have been able to renew it."""
        self.expire_at = now
        self.overdue_at = now
        self.renew_at = now + timing.lease / 3
        self._told_at = now
        self._failures = 0

    def tell_time(self, now: datetime) -> timedelta:
        """It is *now*; how far the clock was set back: then all that was planned by it is due. 0: it was not."""
        passed = now - self._told_at
        self._told_at = now
        # No rest is longer than a poll: if one is, the clock was set forward in the last tick, and back after it.
        ahead = self.rest_until - now - max(self._timing.poll, self._timing.rest)
        if passed < timedelta(0) or ahead > timedelta(0):
            back_by = max(-passed, ahead)
            log.warning("the clock was set back by %s: what has fired waits until it is there again", back_by)
            self.look_at = self.rest_until = self.spare_until = now
            self.reap_at = self.expire_at = self.overdue_at = self.renew_at = now
            return back_by
        if passed > self._timing.poll + self._timing.lease / 2:
            # This machine slept, or its clock was set forward: its other nodes must come to renew what is theirs.
            self.spare_until = max(self.spare_until, now + 2 * self._timing.poll)
        return timedelta(0)

    def begins_a_round(self, now: datetime) -> bool:
        """Whether it is time for one; it takes the news along."""
        if (now < self.rest_until and not self._ends_rest) or not (self.news or now >= self.look_at):
            return False
        self.news = self.is_much = False
        self.look_at = FAR_OFF  # until the round is over nothing is planned, and each new fire time is news
        return True

    @property
    def next_round(self) -> datetime:
        if self._ends_rest:
            return self._told_at
        return self.rest_until if self.news else max(self.look_at, self.rest_until)

    @property
    def _ends_rest(self) -> bool:
        """Whether nobody rests. A store that has failed is left alone, however much there is to write."""
        return self.news and self.is_much and self._failures == 0

    def is_time(self, planned: datetime, now: datetime) -> bool:
        """Whether this round takes along what is to be looked for at *planned*, or within half a poll.

        What is looked for once a poll would stay apart if it ever was, and have rounds of its own for good. However
        long a poll is, the end of a lease that is renewed in time is not taken along: each round would look for it.
        """
        return planned - now <= min(self._timing.poll / 2, self._timing.lease / 6)

    def comes_before(self, fire_time: datetime) -> bool:
        """Whether a look is planned early enough for this fire time."""
        return fire_time >= self.look_at and fire_time - self.look_at >= self._timing.ahead

    def next_look(self, outlook: Outlook, others: Iterable[datetime], *, holds: bool) -> datetime:
        """When something comes due, as the store says and *others* do; *holds*: whether there are leases to renew."""
        if outlook.expire_at is not None:
            self.expire_at = min(self.expire_at, outlook.expire_at)
        if outlook.lapse_at is not None:
            self.reap_at = min(self.reap_at, outlook.lapse_at)
        if outlook.expect_by is not None:
            self.overdue_at = min(self.overdue_at, outlook.expect_by)
        wishes = [self.reap_at, self.expire_at, self.overdue_at, self.deferred_to, *others]
        if outlook.fire_at is not None:
            wishes.append(outlook.fire_at - self._timing.ahead)
        if outlook.claim_at is not None:
            wishes.append(outlook.claim_at)
        if holds:
            wishes.append(self.renew_at)
        return min(wishes)

    def sit_out(self) -> None:
        """The store has failed: try again soon, and leave the other nodes, who may have failed with it, some time."""
        pause = min(self._timing.poll, FIRST_PAUSE * 2**self._failures)
        self._failures = min(self._failures + 1, 10)
        self.look_at = self.rest_until = self._clock.now() + pause
        self.spare_until = self.look_at + 2 * self._timing.poll

    def go_on(self) -> None:
        """The store can be used again."""
        self._failures = 0
