"""Checks the scripts and the stylesheet of the pages: lint and format (Biome), and types (TypeScript).

The types of the API are generated from the schema that the server serves.
Use: tools/web.py [--fix]   (needs Node and the packages of tools/npm.txt in build/node)
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from regulars.api.schema import sdl

ROOT = Path(__file__).parents[1]
BUILD = ROOT / "build" / "web"
COMMANDS = ROOT / "build" / "node" / "node_modules" / ".bin"
SCALARS = {"TimeStamp": "string", "CustomFields": "Record<string, any>"}


def main() -> int:
    if shutil.which("node") is None or not COMMANDS.exists():
        print("The pages are not checked: Node.js, or its packages in build/node, are missing.")
        return int("REGULARS_TEST_NO_SKIPS" in os.environ)
    write_types()
    biome = ["biome", "check", "--write" if "--fix" in sys.argv else "--error-on-warnings"]
    return run(*biome) or run("tsc", "--project", "tools/tsconfig.json")


def write_types() -> None:
    """Writes the schema and its TypeScript types to build/web. Raises CalledProcessError."""
    BUILD.mkdir(parents=True, exist_ok=True)
    (BUILD / "schema.graphql").write_text(sdl(), encoding="utf-8")
    options = {"plugins": ["typescript"], "config": {"scalars": SCALARS, "enumsAsTypes": True}}
    config = {
        "schema": str(BUILD / "schema.graphql"),
        "generates": {str(BUILD / "schema.ts"): options},
    }
    (BUILD / "codegen.json").write_text(json.dumps(config), encoding="utf-8")
    command = [
        str(COMMANDS / "graphql-codegen"),
        "--silent",
        "--config",
        str(BUILD / "codegen.json"),
    ]
    subprocess.run(command, cwd=COMMANDS.parents[1], check=True)


def run(command: str, *arguments: str) -> int:
    return subprocess.run([COMMANDS / command, *arguments], cwd=ROOT).returncode


if __name__ == "__main__":
    sys.exit(main())
