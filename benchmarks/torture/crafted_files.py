"""Files that are not what they are called: checkpoints, manifests and run folders made to do harm."""

import io
import os
import tarfile
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from regoal.benchmarks.torture.box import Box, tensors

Craft = Callable[[Box], object]
ACTOR, LEARNER, SNAPSHOTS = "actor.safetensors", "learner.safetensors", "snapshots.safetensors"


def cases() -> dict[str, tuple[str, Craft]]:
    """What is attempted, and what was done to the run before, by name."""
    found: dict[str, tuple[str, Craft]] = {}
    for kind, contents in FOREIGN.items():
        found[f"{kind} as actor.safetensors"] = "load", partial(_foreign, ACTOR, contents)
    for name in (LEARNER, SNAPSHOTS, "state.json", "manifest.json"):
        found[f"a pickle as {name}"] = "resume", partial(_foreign, name, Box.pickled)
    found["a pickle as a file of episodes"] = "resume", lambda box: box.segment(box.pickled() + bytes(500))
    found["a pickle as a source's episodes"] = "finetune", lambda box: box.segment(box.pickled() + bytes(500))
    for kind, header in HEADERS.items():
        found[f"safetensors with {kind}"] = "load", partial(Box.write, name=ACTOR, contents=header)
    for kind, craft in MANIFESTS.items():
        found[f"a manifest with {kind}"] = "load", craft
    for kind, craft in ELSEWHERE.items():
        found[kind] = "resume", craft
    return found


def _foreign(name: str, contents: Callable[[Box], bytes], box: Box) -> None:
    if name == "manifest.json":
        (box.generation / name).write_bytes(contents(box))
    else:
        box.write(name, contents(box))


def _zipped(box: Box) -> bytes:
    """As torch.save writes: a pickle in an archive, and a member that leads out of it."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("archive/data.pkl", box.pickled())
        archive.writestr("../../outside/precious.csv", "overwritten")
    return file.getvalue()


def _tarred(box: Box) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as archive:
        member = tarfile.TarInfo("../../outside/precious.csv")
        archive.addfile(member, io.BytesIO())
    return file.getvalue()


def _objects(box: Box) -> bytes:
    file = io.BytesIO()
    np.save(file, np.array([{"canary": str(box.canary)}], dtype=object), allow_pickle=True)
    return file.getvalue()


def _compressed_objects(box: Box) -> bytes:
    file = io.BytesIO()
    np.savez(file, weights=np.array([box.pickled()], dtype=object))
    return file.getvalue()


FOREIGN: dict[str, Callable[[Box], bytes]] = {
    "a pickle": Box.pickled,
    "a pickle behind a length": lambda box: tensors(box.pickled()),
    "an archive with a pickle": _zipped,
    "an archive with ../": _tarred,
    "an array of objects": _objects,
    "arrays of objects": _compressed_objects,
    "a Python module": lambda box: (box.folder / "evil_module.py").read_bytes(),
    "an empty file": lambda box: b"",
    "zeros": lambda box: bytes(4096),
    "a shell script": lambda box: f"#!/bin/sh\ntouch {box.canary}\n".encode(),
}


def _one(dtype: str, shape: list[Any], offsets: list[Any], data: bytes = b"1234", **others: Any) -> bytes:
    return tensors({"mean": {"dtype": dtype, "shape": shape, "data_offsets": offsets}, **others}, data)


ONCE = b'"mean":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}'
HEADERS: dict[str, bytes] = {
    "a header of 2^63 bytes": tensors({}, length=1 << 63),
    "a header of a gigabyte": tensors({}, length=1 << 30),
    "a header longer than the file": tensors({}, length=1000),
    "no header": tensors(b""),
    "no tensors": tensors({}),
    "a list as its header": tensors([]),
    "text as its header": tensors("mean"),
    "binary in its header": tensors(b"\xff\xfe\x00{}"),
    "a header nested 100,000 deep": tensors(b"[" * 100_000),
    "a header nested 100,000 deep in an object": tensors(b'{"a":' * 100_000),
    "a number for a tensor": tensors({"mean": 3}),
    "the same tensor twice": tensors(b"{" + ONCE + b"," + ONCE + b"}", b"1234"),
    "an infinite offset": tensors(b"{" + ONCE.replace(b"[1]", b"[Infinity]") + b"}", b"1234"),
    "overlapping tensors": tensors(b"{" + ONCE + b"," + ONCE.replace(b"mean", b"std") + b"}", b"1234"),
    "a gap before a tensor": _one("F32", [1], [4, 8], b"12345678"),
    "bytes after the last tensor": _one("F32", [1], [0, 4], b"12345678"),
    "a tensor beyond the file": _one("F32", [10], [0, 40]),
    "offsets that run backwards": _one("F32", [1], [4, 0]),
    "negative offsets": _one("F32", [1], [-4, 0]),
    "a negative shape": _one("F32", [-1], [0, 4]),
    "a shape of 2^124 numbers": _one("F32", [1 << 62, 1 << 62], [0, 4]),
    "an empty tensor of great length": _one("F32", [0, 1 << 62], [0, 0], b""),
    "a tensor of 100 dimensions": _one("F32", [1] * 100, [0, 4]),
    "a tensor of objects": _one("O", [1], [0, 4]),
    "a tensor of text": _one("U1", [1], [0, 4]),
    "a tensor of bfloat16": _one("BF16", [2], [0, 4]),
    "a tensor of float8": _one("F8_E4M3", [4], [0, 4]),
    "complex weights": _one("C64", [1], [0, 8], b"12345678"),
    "metadata that is no text": _one("F32", [1], [0, 4], __metadata__={"a": {"b": 1}}),
    "one tensor of all": _one("F32", [1], [0, 4]),
}


def _renamed(box: Box, name: str) -> None:
    def change(files: dict[str, Any]) -> None:
        files[name] = files.pop(ACTOR)

    box.seal(change)


def _listed(box: Box, value: Any) -> None:
    box.seal(lambda files: files.update({ACTOR: value}))


def _raw(box: Box, text: bytes) -> None:
    (box.generation / "manifest.json").write_bytes(text)


def _sparse(box: Box) -> None:
    """A file of eight terabytes that takes no room."""
    with (box.generation / ACTOR).open("r+b") as file:
        file.truncate(1 << 43)
    names = (ACTOR, LEARNER, SNAPSHOTS, "state.json")
    box.manifest({"schema": 3, "files": {name: [1 << 43, "0" * 64] for name in names}})


MANIFESTS: dict[str, Craft] = {
    "a path above it": partial(_renamed, name="../../../outside/precious.csv"),
    "an absolute path": lambda box: _renamed(box, str(box.outside / "precious.csv")),
    "a file more": lambda box: box.seal(lambda files: files.update({"evil_module.py": [1, "0" * 64]})),
    "a file less": lambda box: box.seal(lambda files: files.pop(LEARNER)),
    "a huge size": partial(_listed, value=[1 << 60, "0" * 64]),
    "a negative size": partial(_listed, value=[-1, "0" * 64]),
    "a size that is text": partial(_listed, value=["144", "0" * 64]),
    "a true size": partial(_listed, value=[True, "0" * 64]),
    "a hash of another kind": partial(_listed, value=[144, 0]),
    "a list in place of files": lambda box: box.manifest({"schema": 3, "files": [ACTOR]}),
    "another schema": lambda box: box.manifest({"schema": 99, "files": {}}),
    "a schema that is text": lambda box: box.manifest({"schema": "3", "files": {}}),
    "nothing in it": partial(_raw, text=b""),
    "NaN in it": partial(_raw, text=b'{"schema": NaN, "files": {}, "sha256": ""}'),
    "a depth of 100,000": partial(_raw, text=b'{"files":' * 5_000 + b"[" * 20_000),
    "a million bytes": partial(_raw, text=b" " * 1_000_000 + b"{}"),
    "an own hash that is wrong": partial(_raw, text=b'{"schema": 3, "files": {}, "sha256": "0"}'),
    "a file of eight terabytes": _sparse,
    "a link for a file": lambda box: box.link(box.generation / ACTOR, box.outside / "precious.csv"),
    "a link to a device": lambda box: box.link(box.generation / ACTOR, Path("/dev/zero")),
    "a pipe for a file": lambda box: box.pipe(box.generation / ACTOR),
    "a pipe for itself": lambda box: box.pipe(box.generation / "manifest.json"),
}


def _linked(box: Box, name: str) -> None:
    box.link(box.run / name, box.outside / "precious.csv")


def _second_name(box: Box) -> None:
    (box.run / "metrics.csv").unlink()
    os.link(box.outside / "precious.csv", box.run / "metrics.csv")


# What would be written to, or swept away, outside of the run's folder.
ELSEWHERE: dict[str, Craft] = {
    "metrics.csv that is a link": partial(_linked, name="metrics.csv"),
    "episodes.csv that is a link": partial(_linked, name="episodes.csv"),
    "run.toml that is a link": partial(_linked, name="run.toml"),
    "config.toml that is a link": partial(_linked, name="config.toml"),
    "a lock that is a link": partial(_linked, name=".lock"),
    "a replay folder that is a link": lambda box: box.link(box.run / "replay", box.outside),
    "a checkpoint folder that is a link": lambda box: box.link(box.run / "checkpoints", box.outside),
    "a generation that is a link": lambda box: (box.run / "checkpoints" / "000001").symlink_to(box.outside),
    "a stage that is a link": lambda box: (box.run / "checkpoints" / ".stage-1").symlink_to(box.outside),
    "metrics.csv with a second name": _second_name,
    "metrics.csv that is a pipe": lambda box: box.pipe(box.run / "metrics.csv"),
    "config.toml that is a pipe": lambda box: box.pipe(box.run / "config.toml"),
}
