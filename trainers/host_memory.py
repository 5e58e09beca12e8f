"""Copy state into host memory, into the same buffers each time."""

import torch


class HostMemory:
    """Buffers that hold one rank's share of the training state while it is written."""

    def __init__(self) -> None:
        self._buffers: dict[str, torch.Tensor] = {}
        self._spare: dict[str, torch.Tensor] = {}

    def begin(self) -> None:
        """Begin a copy: the buffers of the one before may be written over."""
        self._spare, self._buffers = self._buffers, {}

    def keep(self, key: str, values: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
        """Copy values, in another type if asked; the copy holds after `end`, until `begin`."""
        buffer = self._spare.pop(key, None)
        if buffer is None or buffer.shape != values.shape or buffer.dtype != dtype:
            # Only from pinned memory a device copies while the host goes on.
            buffer = torch.empty(values.shape, dtype=dtype, pin_memory=values.is_cuda)
        buffer.copy_(values.detach(), non_blocking=values.is_cuda)
        self._buffers[key] = buffer
        return buffer

    def end(self) -> None:
        """Wait until all copies are there, and let go of buffers that are not needed any more."""
        self._spare = {}
        if any(buffer.is_pinned() for buffer in self._buffers.values()):
            torch.cuda.synchronize()
