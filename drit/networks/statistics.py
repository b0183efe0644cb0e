"""Normalisations whose statistics are those of several images together, such as the frames of a clip.

A network that normalises each frame by itself gives every frame another gain and another offset, and a video flickers.
Here the statistics of some frames are gathered in one pass, layer by layer, and every frame is normalised by them. What
is changed is found as in `strips`: through the functions that networks call.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

from drit.errors import UsageError
from drit.networks import fast
from drit.runtime import full

Moments = tuple[Tensor, Tensor]  # scale and shift of each channel (C,), full precision


class FrozenStatistics(TorchFunctionMode):
    """While active, normalisations use common statistics instead of those of each image.

    The first passes of a network, until `freeze`, take those of the whole batch, and note them. All later passes use
    what was noted: the order in which layers are called must be the same. `begin` starts a pass.
    """

    def __init__(self) -> None:
        super().__init__()
        self._noted: list[Moments] = []
        self._frozen = False
        self._place = 0

    def freeze(self) -> None:
        """Use what was noted from now on. Raises UsageError for a network that normalises nothing."""
        if not self._noted:
            raise UsageError("This method normalises nothing: there are no statistics to freeze.")
        self._frozen = True

    def begin(self) -> None:
        """The next layer is the network's first."""
        self._place = 0

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        given = dict(kwargs or {})
        if func is fast.normalise:
            x, gain, bias = (*args, None, None)[:3]
            return self._normalised(x, x.shape[1], gain, bias, fast.EPS)
        if func is F.group_norm:
            x, groups, *rest = args
            weight, bias, eps = (*rest, *(given.get(n) for n in ("weight", "bias", "eps")[len(rest) :]))
            return self._normalised(x, groups, weight, bias, fast.EPS if eps is None else eps)
        return func(*args, **given)

    def _normalised(self, x: Tensor, groups: int, gain: Tensor | None, bias: Tensor | None, eps: float) -> Tensor:
        """x (N, C, H, W) with the noted statistics of this layer, or with its own, which are noted."""
        if not self._frozen:
            wide = full(x)
            variance, mean = torch.var_mean(wide.transpose(0, 1).reshape(groups, -1), 1, correction=0)
            scale = (variance + eps).rsqrt()
            each = x.shape[1] // groups
            self._noted.append((scale.repeat_interleave(each), (-mean * scale).repeat_interleave(each)))
            self._place = len(self._noted) - 1
        if self._place >= len(self._noted):
            raise UsageError("This method calls its layers in another order each time: no statistics can be frozen.")
        scale, shift = self._noted[self._place]
        self._place += 1
        if gain is not None:
            scale, shift = scale * full(gain), shift * full(gain)
        if bias is not None:
            shift = shift + full(bias)
        wide = full(x)
        return torch.addcmul(shift[:, None, None], wide, scale[:, None, None]).to(x.dtype)
