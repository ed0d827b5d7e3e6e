"""Find a Chromium for the browser tests; as a command, install one where there is none.

python tools/chromium.py          # prints the path; tries the PATH, Playwright's download, the distribution
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

__all__ = ["MISSING", "find", "install"]

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
MISSING = (
    "the browser tests need Chromium and found none on the PATH nor in Playwright's cache; "
    "run `make chromium`, `playwright install --with-deps chromium` or your distribution's `apt-get install chromium`"
)


def find() -> str | None:
    """The path of a Chromium that starts: the one on the PATH, else the one Playwright downloaded, else None."""
    for name in NAMES:
        if (path := shutil.which(name)) and _starts(path):
            return path
    downloaded = _playwright_path()
    return downloaded if downloaded and _starts(downloaded) else None


def install() -> str | None:
    """Try the ways to get one, in order; the path of the one that then starts, or None."""
    attempts = [[sys.executable, "-m", "playwright", "install", "chromium"]]
    if shutil.which("apt-get") and (os.geteuid() == 0 or shutil.which("sudo")):
        root = [] if os.geteuid() == 0 else ["sudo", "-n"]
        attempts.append([*root, "apt-get", "update", "-qq"])
        attempts.append([*root, "apt-get", "install", "-y", "-qq", "--no-install-recommends", "chromium"])
    for command in attempts:
        print("chromium:", " ".join(command), file=sys.stderr, flush=True)
        try:
            done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=600)
        except subprocess.TimeoutExpired:
            print("chromium: no answer after 10 minutes", file=sys.stderr)
            continue
        if done.returncode:
            lines = (done.stderr or done.stdout).strip().splitlines()
            complaints = [line for line in lines if line.startswith(("Error", "E:"))] or lines[-1:]
            print("chromium: that did not work:", *complaints[:1], file=sys.stderr)
        elif path := find():
            return path
    return None


def _playwright_path() -> str | None:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        path = playwright.chromium.executable_path
    return path if Path(path).exists() else None


def _starts(path: str) -> bool:
    # A downloaded build may lack the system's libraries: existing is not enough.
    try:
        return subprocess.run([path, "--version"], capture_output=True, timeout=60).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def main() -> int:
    path = find() or install()
    print(path or MISSING, file=sys.stdout if path else sys.stderr)
    return 0 if path else 1


if __name__ == "__main__":
    raise SystemExit(main())
