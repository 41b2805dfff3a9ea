"""Finds a Chromium for the browser tests, or installs Debian's when we are root. Run by `make test`.

Owns the answer to "which browser"; exit status 0 when there is one. Never downloads a browser from anywhere but the
system's packages.
"""

import os
import shutil
import subprocess
import sys

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
HINT = "install one: on Debian and Ubuntu `apt-get install chromium`, on Fedora `dnf install chromium`"


def find() -> str | None:
    """The path of an installed Chromium, None without."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


def _apt(*words: str) -> bool:
    quiet = dict(os.environ, DEBIAN_FRONTEND="noninteractive")
    done = subprocess.run(["apt-get", "-qq", *words], env=quiet, stdout=subprocess.DEVNULL, check=False)
    return done.returncode == 0


def main() -> int:
    """Make sure there is one, or say what to do."""
    if find():
        return 0
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        print(f"asclepion: the browser tests need Chromium; {HINT}", file=sys.stderr)
        return 1
    print("setting up: Chromium from the system's packages", flush=True)
    if not (_apt("update") and _apt("install", "-y", "--no-install-recommends", "chromium")) or not find():
        print(f"asclepion: Chromium could not be installed; {HINT}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
