#!/usr/bin/env python3
"""Starts the demo, lets its page click through products by itself, and writes a picture of it: docs/demo.png.

Needs chromium (Debian, Ubuntu: apt-get install chromium fonts-noto-color-emoji). The browser is driven through its
debugging pipe, messages of JSON that end with a zero byte, so nothing else has to be installed.
"""

import base64
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

WIDTH, HEIGHT = 1320, 1230
FOLDER = Path(__file__).resolve().parent
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run"]


def main():
    browser = next(filter(None, map(shutil.which, ["chromium", "chromium-browser", "google-chrome"])), None)
    if browser is None:
        sys.exit("chromium is missing: install it with `apt-get install chromium fonts-noto-color-emoji`")
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER / "demo.png"
    data, page = free_port(), free_port()
    command = ["cargo", "build", "--release"]
    subprocess.run(command, cwd=FOLDER.parent, check=True)
    command = ["target/release/pinion", "demo", "--listen", f"127.0.0.1:{data}", "--page", f"127.0.0.1:{page}"]
    demo = subprocess.Popen(command, cwd=FOLDER.parent, stdout=subprocess.PIPE, text=True)
    try:
        for line in demo.stdout:
            if line.startswith("page "):
                break
        else:
            sys.exit("the demo did not start")
        target.write_bytes(picture(browser, f"http://127.0.0.1:{page}/?autoplay"))
        print(f"wrote {target}")
    finally:
        demo.terminate()
        demo.wait()


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def picture(browser, url):
    # The browser reads its file 3 and writes its file 4.
    their_input, our_output = os.pipe()
    our_input, their_output = os.pipe()
    os.set_inheritable(their_input, True)
    os.set_inheritable(their_output, True)
    with tempfile.TemporaryDirectory() as profile:
        flags = " ".join([*FLAGS, f"--user-data-dir={profile}", "--remote-debugging-pipe", "about:blank"])
        command = f"exec {browser} {flags} 3<&{their_input} 4>&{their_output}"
        process = subprocess.Popen(["bash", "-c", command], close_fds=False, stderr=subprocess.DEVNULL)
        os.close(their_input)
        os.close(their_output)
        try:
            return drive(Pipe(our_output, our_input), url)
        finally:
            process.terminate()
            process.wait()


def drive(pipe, url):
    target = pipe.call("Target.createTarget", url=url)["targetId"]
    session = pipe.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
    size = {"width": WIDTH, "height": HEIGHT, "deviceScaleFactor": 1, "mobile": False}
    pipe.call("Emulation.setDeviceMetricsOverride", session, **size)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        done = pipe.call("Runtime.evaluate", session, expression="document.body?.dataset.done || ''")
        if done["result"].get("value") == "yes":
            return base64.b64decode(pipe.call("Page.captureScreenshot", session, format="png")["data"])
        time.sleep(0.2)
    sys.exit("the page did not finish")


class Pipe:
    def __init__(self, output, source):
        self.output, self.source, self.number, self.rest = output, source, 0, b""

    def call(self, method, session=None, **parameters):
        self.number += 1
        message = {"id": self.number, "method": method, "params": parameters}
        if session:
            message["sessionId"] = session
        os.write(self.output, json.dumps(message).encode() + b"\0")
        while True:
            answer = self.read()
            if answer.get("id") == self.number:
                if "error" in answer:
                    sys.exit(f"{method}: {answer['error']}")
                return answer["result"]

    def read(self):
        while b"\0" not in self.rest:
            piece = os.read(self.source, 1 << 16)
            if not piece:
                sys.exit("the browser is gone")
            self.rest += piece
        text, self.rest = self.rest.split(b"\0", 1)
        return json.loads(text)


if __name__ == "__main__":
    main()
