"""Named arrays in a safetensors file: numbers alone, checked before anything is made of them."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from regoal.agent.durable import MOST_JSON_BYTES, parsed, plain_file
from regoal.errors import BadInput

MOST_BYTES = 1 << 32  # of a file; what belongs to a larger one is refused before it is trained
# All that we write, by the names that safetensors has for them.
DTYPES: dict[str, np.dtype[Any]] = {
    "F64": np.dtype(np.float64),
    "F32": np.dtype(np.float32),
    "I64": np.dtype(np.int64),
    "U8": np.dtype(np.uint8),
    "BOOL": np.dtype(np.bool_),
}
MOST_DIMENSIONS = 8
DAMAGED = "Copy the run again, or use another one."
Arrays = dict[str, NDArray[Any]]


def to_bytes(arrays: Arrays, metadata: dict[str, str] | None = None) -> bytes:
    """The file's contents."""
    return save({name: np.array(value, order="C") for name, value in arrays.items()}, metadata)


def require_savable(arrays: Arrays, place: str) -> None:
    """That `read_arrays` takes back what `to_bytes` makes of these.

    Raises:
        BadInput: naming the array.
    """
    for name, value in arrays.items():
        if value.dtype not in DTYPES.values() or value.ndim > MOST_DIMENSIONS:
            kinds = ", ".join(map(str, DTYPES.values()))
            expected = f"{kinds}, of at most {MOST_DIMENSIONS} dimensions"
            fix = "Keep it as one of these, or out of modules() and optimisers()."
            raise BadInput(f"{place} {name}", expected, f"{value.dtype} of {value.ndim} dimensions", fix)
        if not np.isfinite(value).all():
            raise BadInput(f"{place} {name}", "finite numbers", "NaN or infinity", "Begin with others.")


def read_arrays(path: Path) -> tuple[Arrays, dict[str, str]]:
    """The arrays of a file, all of them finite, and its metadata.

    Raises:
        BadInput: it is no such file, or holds anything else.
    """
    try:
        with plain_file(path, MOST_BYTES) as file:
            header = int.from_bytes(file.read(8), "little")
            if header > min(MOST_JSON_BYTES, os.fstat(file.fileno()).st_size):
                raise ValueError("its header does not fit into it")
            described = parsed(file.read(header))
            if not isinstance(described, dict):
                raise ValueError("its header is no table")
            metadata = described.pop("__metadata__", {})
            for name, tensor in described.items():
                if tensor["dtype"] not in DTYPES or len(tensor["shape"]) > MOST_DIMENSIONS:
                    raise ValueError(f"{name} is not an array that a run saves")
        arrays: Arrays = load_file(path)
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        raise BadInput(str(path), "arrays in safetensors", f"{_short(error)}", DAMAGED) from error
    for name, value in arrays.items():
        if not np.isfinite(value).all():
            raise BadInput(f"{path} {name}", "finite numbers", "NaN or infinity", "Use another checkpoint.")
    return arrays, metadata


def require_alike(arrays: Mapping[str, NDArray[Any]], expected: Mapping[str, NDArray[Any]]) -> None:
    """That all expected arrays are there, each with its shape and its type of numbers.

    Raises:
        KeyError, ValueError: they are not.
    """
    for name, value in expected.items():
        found = arrays[name]
        if found.shape != value.shape or found.dtype != value.dtype:
            got, wanted = f"{found.dtype} {found.shape}", f"{value.dtype} {value.shape}"
            raise ValueError(f"{name} is {got} instead of {wanted}")


def _short(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error)[:200]}"
