"""A real JupyterLab to drive: start one on a free port, open a notebook in it, run all cells."""

import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from playwright.sync_api import Locator, Page

__all__ = ["Lab", "serve"]

# galata puts `window.jupyterapp` in the page and takes the token away; everything stays inside `home`.
CONFIG = """\
import jupyterlab.galata
jupyterlab.galata.configure_jupyter_server(c)
c.ServerApp.ip = "127.0.0.1"
c.ServerApp.port = {port}
c.ServerApp.allow_root = True
c.LabApp.user_settings_dir = {settings!r}
c.LabApp.news_url = None
"""
# Every cell in the page, seen or not, so that a selector finds what lies below the fold; no dialogs.
SETTINGS = {
    "notebook-extension/tracker": {"windowingMode": "none"},
    "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False, "doNotDisturbMode": True},
    "docmanager-extension/plugin": {"autosave": False},
}
KERNEL_IDLE = "() => window.jupyterapp.shell.currentWidget?.sessionContext?.session?.kernel?.status === 'idle'"
ERRORS = ".jp-OutputArea-output[data-mime-type='application/vnd.jupyter.error']"


@dataclass(frozen=True)
class Lab:
    """A running JupyterLab: its address, and the folder it serves."""

    url: str
    root: Path

    def open(self, page: Page, notebook: str) -> Locator:
        """Open `notebook` (a path below `root`), wait for its kernel; the notebook's element."""
        page.goto(f"{self.url}/lab/tree/{notebook}?reset")
        page.wait_for_function("() => window.jupyterapp !== undefined", timeout=60_000)
        panel = page.locator(".jp-NotebookPanel:not(.lm-mod-hidden)")
        panel.locator(".jp-Notebook").wait_for(timeout=60_000)
        # Before its kernel answers, "run all" would ask which kernel to use and wait for ever.
        page.wait_for_function(KERNEL_IDLE, timeout=60_000)
        return panel

    def run_all(self, page: Page, seconds: float = 120) -> None:
        """Run every cell; raises AssertionError with the cell's traceback if one fails."""
        page.evaluate(
            "() => { window.ran = undefined;"
            " window.jupyterapp.commands.execute('notebook:run-all-cells').then(() => { window.ran = true; }); }"
        )
        page.wait_for_function("() => window.ran === true", timeout=seconds * 1000)
        assert not (errors := page.locator(ERRORS).all_inner_texts()), errors[0]


@contextmanager
def serve(root: Path, home: Path) -> Iterator[Lab]:
    """JupyterLab on `root`; configuration, settings, runtime and temporary files stay in `home`."""
    settings = home / "settings"
    for plugin, values in SETTINGS.items():
        file = settings / "@jupyterlab" / f"{plugin}.jupyterlab-settings"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(values))
    port = _free_port()
    config = home / "jupyter_config.py"
    config.write_text(CONFIG.format(port=port, settings=str(settings)))
    places = ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR", "TMPDIR")
    for place in places:
        (home / place.lower()).mkdir(exist_ok=True)
    environment = {
        **os.environ,
        **{place: str(home / place.lower()) for place in places},
        "JUPYTERLAB_GALATA_ROOT_DIR": str(root),
        "JUPYTER_PREFER_ENV_PATH": "1",
    }
    log = home / "jupyter.log"
    command = [sys.executable, "-m", "jupyter", "lab", "--config", str(config), "--no-browser"]
    with log.open("wb") as stream:
        server = subprocess.Popen(command, env=environment, cwd=root, stdout=stream, stderr=stream)
    try:
        lab = Lab(f"http://127.0.0.1:{port}", root)
        _await(lab.url, server, log)
        yield lab
    finally:
        server.terminate()
        try:
            server.wait(15)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def _await(url: str, server: "subprocess.Popen[bytes]", log: Path, seconds: float = 90) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and server.poll() is None:
        try:
            with urllib.request.urlopen(f"{url}/api/status", timeout=5):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    raise AssertionError(f"JupyterLab did not start within {seconds:.0f} s:\n{log.read_text()[-3000:]}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
