"""When the ring's samples come after its power, in ticks."""

from __future__ import annotations

from haltere.fpga.paths import TICK_RATE_HZ
from haltere.sim.senses.suite import DELAYS, PERIOD_S, RING_WAKE_S

RING_TICKS = round((RING_WAKE_S + DELAYS["lidar"] * PERIOD_S) * TICK_RATE_HZ)
"""From its power to its first sample."""
LEAD_TICKS = 2
"""Ticks before the first control period. A sample of the ring follows its wake-up on a board, and comes at the end of a
control period here: with this lead a burst begins where its first sample comes when it would on a board."""
