"""CausalShift: the temporal shift for streams, which never waits for a later frame.

Source: TSM (Lin et al., ICCV 2019), the one-sided shift of its online recognition.
"""

from __future__ import annotations

from torch import Tensor

from operators.base import Facts, State, check_same
from operators.shift import FixedShift


class CausalShift(FixedShift, name="causal_shift"):
    """Moves some channels from the frame before; a zero enters at the start of the clip.

    y_c[t] = x_c[t-1] for the first C / shift_div channels, x_c[t] for the rest
    """

    facts = Facts(
        title="TSM, one-sided",
        venue="ICCV",
        year=2019,
        formula="y[t] = x[t-1] on C/8 channels, x[t] on the rest",
        parameters="0",
        macs="0",
        reach="1",
        also=("online_tsm", "tsm_online", "unidirectional_shift"),
    )
    moves = (-1,)
    causal = True

    def step(self, frame: Tensor, state: State = ()) -> tuple[Tensor, State]:
        """See TemporalOp; of the frame before, the channels that move are kept."""
        check_same(frame, state)
        fold = self.spans[0].channels
        y = frame.clone()
        if state:
            y[:, :fold] = state[0]
        else:
            y[:, :fold].zero_()
        return y, (frame[:, :fold].clone(),)
