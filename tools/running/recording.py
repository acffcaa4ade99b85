"""What happened while a hybrid system ran."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.floating[Any]]


class Recording(NamedTuple):
    """One run of T samples, with C answers of the controller and S switches.

    Attributes:
      system: its name.
      time_s: (T,).
      state: (T, n) world, as the plant has it.
      mode: (T,) number of the mode in `modes`.
      modes: names.
      answered_s: (C,).
      value: (C,) Lyapunov value over the level of the region of attraction: inside up to 1.
      switched_s: (S,) when another configuration began.
      landed: (S,) value then.
      reached: whether it came to its goal.
      outcome: in words.
    """

    system: str
    time_s: Array
    state: Array
    mode: npt.NDArray[np.int64]
    modes: tuple[str, ...]
    answered_s: Array
    value: Array
    switched_s: Array
    landed: Array
    reached: bool
    outcome: str
