"""The configuration of uvicorn."""

from __future__ import annotations

import gc

import uvicorn


class ServerConfig(uvicorn.Config):
    """The configuration of uvicorn. A process imports the application without garbage collection,
    which the application starts again when it is ready."""

    def load(self) -> None:
        gc.set_threshold(0)
        super().load()
