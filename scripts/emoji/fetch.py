"""Fetch the emoji sets through npm and check them; needs the npm client and a network."""

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml
from emoji_data import HERE, outputs


def sets() -> dict[str, dict[str, Any]]:
    """Read sets.yaml."""
    return yaml.safe_load((HERE / "sets.yaml").read_text())


def archive(facts: dict[str, Any]) -> Path:
    """Return where the archive of a set is kept, as npm names it."""
    name = facts["package"].removeprefix("@").replace("/", "-")
    return outputs() / "npm" / f"{name}-{facts['version']}.tgz"


def check(studio: str, facts: dict[str, Any]) -> None:
    """Stop if an archive is not the one that sets.yaml names."""
    found = hashlib.sha256(archive(facts).read_bytes()).hexdigest()
    if found != facts["sha256"]:
        sys.exit(
            f"{studio}: the archive of {facts['package']}@{facts['version']} has the checksum {found}, "
            f"expected {facts['sha256']}. Delete {archive(facts)} and fetch again, or change sets.yaml"
        )


def main() -> None:
    """Fetch what is not there yet."""
    npm = shutil.which("npm")
    for studio, facts in sets().items():
        file = archive(facts)
        if not file.exists():
            if npm is None:
                sys.exit(
                    "npm was not found. Install Node.js, or take the pictures in the package: "
                    "graphcond data build emoji --out DIR"
                )
            file.parent.mkdir(parents=True, exist_ok=True)
            command = [npm, "pack", "--silent", f"{facts['package']}@{facts['version']}"]
            subprocess.run([*command, "--pack-destination", str(file.parent)], check=True)
        check(studio, facts)
        print(f"{studio}: {file.name}", flush=True)


if __name__ == "__main__":
    main()
