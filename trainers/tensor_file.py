"""Write tensors as a safetensors file, hashed on the way; which tensors, others say.

The library of that format copies or holds the interpreter while it writes (safetensors 0.8), and
what it wrote would have to be read again for its hash. The format is a length, a JSON header, and
the tensors one behind another (https://github.com/huggingface/safetensors#format).
"""

import json
from collections.abc import Iterator, Mapping

import torch
import xxhash

from trainers import storage
from trainers.manifest import SavedFile

CHUNK_BYTES = 4 * 2**20
KINDS = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.int16: "I16",
    torch.int8: "I8",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}
"""What the format calls types."""


def write_tensors(address: str, tensors: Mapping[str, torch.Tensor]) -> SavedFile:
    """Write tensors of one dimension, contiguous, on any device; the file is whole or not there.

    Raises StorageError when the storage does not take it.
    """
    # The widest types first, so that each tensor begins at a multiple of its element.
    order = sorted(tensors, key=lambda name: (-tensors[name].element_size(), name))
    state, size = xxhash.xxh3_128(), 0

    def hashed() -> Iterator[bytes | memoryview]:
        nonlocal size
        state.reset()
        size = 0
        for chunk in _chunks(tensors, order):
            state.update(chunk)
            size += len(chunk)
            yield chunk

    storage.write_chunks(address, hashed())
    return SavedFile(name=address.rpartition("/")[2], num_bytes=size, hash=state.hexdigest())


def _chunks(tensors: Mapping[str, torch.Tensor], order: list[str]) -> Iterator[bytes | memoryview]:
    header, end = {}, 0
    for name in order:
        tensor, begin = tensors[name], end
        end += tensor.numel() * tensor.element_size()
        kind, shape = KINDS[tensor.dtype], list(tensor.shape)
        header[name] = {"dtype": kind, "shape": shape, "data_offsets": [begin, end]}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    yield len(text).to_bytes(8, "little") + text
    for name in order:
        data = tensors[name].cpu().contiguous().view(torch.uint8).numpy().data
        for start in range(0, len(data), CHUNK_BYTES):
            yield data[start : start + CHUNK_BYTES]
