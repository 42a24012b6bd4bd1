"""A run that is tampered with, beside a folder that must stay as it is and a file that must never be made."""

import json
import os
import pickle
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file, save_file

from regoal.agent.durable import sha256

# What runs when it is imported, or when the pickle is loaded.
EVIL = """
from pathlib import Path
Path({canary!r}).write_text("executed")
def strategy(at, rng):
    return at.first_row
"""


class Box:
    """A folder with a run to tamper with.

    Args:
        folder: which does not exist yet.
        template: a run of one generation that could go on; it is copied.

    Attributes:
        run: the run.
        outside: a folder with a file that nothing of the run's may touch.
        canary: exists if anything was executed.
    """

    def __init__(self, folder: Path, template: Path) -> None:
        self.folder, self.run = folder, folder / "run"
        self.outside, self.canary = folder / "outside", folder / "canary"
        self.outside.mkdir(parents=True)
        (self.outside / "precious.csv").write_text("not,yours\n" * 10)
        shutil.copytree(template, self.run)
        for module in ("evil_module", "regoal:evil_module"):
            (folder / f"{module}.py").write_text(EVIL.format(canary=str(self.canary)))

    @property
    def generation(self) -> Path:
        """Folder of its checkpoint."""
        (path,) = (self.run / "checkpoints").iterdir()
        return path

    @property
    def harm(self) -> str:
        """What was done that must not be: nothing, if all is well."""
        if self.canary.exists():
            return "something was executed"
        found = {path.name: path.read_text() for path in self.outside.iterdir() if path.is_file()}
        return "" if found == {"precious.csv": "not,yours\n" * 10} else "something outside has changed"

    def pickled(self) -> bytes:
        """Bytes that write the canary when they are unpickled."""
        return pickle.dumps(_Evil(str(self.canary)))

    def write(self, name: str, contents: bytes) -> None:
        """Put other contents into a file of the checkpoint, and make its manifest agree."""
        (self.generation / name).write_bytes(contents)
        self.seal()

    def seal(self, change: Callable[[dict[str, Any]], object] = lambda files: None) -> None:
        """Make the manifest agree with the files, and then with what `change` does to its list of files."""
        files = {
            path.name: [path.stat().st_size, sha256(path.read_bytes())]
            for path in sorted(self.generation.iterdir())
            if path.name != "manifest.json"
        }
        change(files)
        self.manifest({"schema": json.loads(self._text("manifest.json"))["schema"], "files": files})

    def manifest(self, body: Any) -> None:
        """Write a manifest that agrees with itself."""
        digest = sha256(json.dumps(body, sort_keys=True).encode())
        (self.generation / "manifest.json").write_text(json.dumps(body | {"sha256": digest}))

    def state(self, *keys: str, value: Any) -> None:
        """Put another value into state.json, where the keys lead to, and seal it."""
        state = json.loads(self._text("state.json"))
        place = state
        for key in keys[:-1]:
            place = place[key]
        place[keys[-1]] = value
        self.write("state.json", json.dumps(state).encode())

    def array(self, file: str, name: str, change: Callable[[Any], Any]) -> None:
        """Put another array in place of one, and seal it."""
        arrays = load_file(self.generation / file)
        arrays[name] = np.ascontiguousarray(change(arrays[name]))
        save_file(arrays, self.generation / file)
        self.seal()

    def segment(self, contents: bytes | None = None, **changes: Any) -> None:
        """Put other contents into the first file of episodes, and other facts of it into state.json."""
        state = json.loads(self._text("state.json"))
        first = state["replay"][0]
        if contents is not None:
            (self.run / "replay" / first["name"]).write_bytes(contents)
            first |= {"size": len(contents), "sha256": sha256(contents)}
        first |= changes
        self.write("state.json", json.dumps(state).encode())

    def episodes(self, change: Callable[[dict[str, Any]], object]) -> None:
        """Change the arrays in the first file of episodes, which then agrees with state.json."""
        path = min((self.run / "replay").iterdir())
        arrays, metadata = load_file(path), _metadata(path)
        change(arrays)
        save_file(arrays, path, metadata)
        self.segment(path.read_bytes())

    def config(self, old: str, new: str) -> None:
        """Put another line into config.toml."""
        path = self.run / "config.toml"
        text = path.read_text()
        assert old in text, f"config.toml has no {old!r}"
        path.write_text(text.replace(old, new, 1))

    def link(self, path: Path, to: Path) -> None:
        """A symbolic link in the place of a file or a folder, if there is one."""
        if path.is_dir():
            shutil.rmtree(path)
        path.unlink(missing_ok=True)
        path.symlink_to(to)

    def pipe(self, path: Path) -> None:
        """A pipe that nobody writes to in the place of a file."""
        path.unlink(missing_ok=True)
        os.mkfifo(path)

    def _text(self, name: str) -> str:
        return (self.generation / name).read_text()


class _Evil:
    def __init__(self, canary: str) -> None:
        self._canary = canary

    def __reduce__(self) -> tuple[Any, ...]:
        return open, (self._canary, "w")


def tensors(header: Any, data: bytes = b"", length: int | None = None) -> bytes:
    """A safetensors file with any header, and with any length that it claims to have."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def _metadata(path: Path) -> dict[str, str]:
    contents = path.read_bytes()
    (length,) = struct.unpack("<Q", contents[:8])
    metadata: dict[str, str] = json.loads(contents[8 : 8 + length])["__metadata__"]
    return metadata
