"""Each program in Python of the documentation runs, and prints the right thing."""
import contextlib
import io
import os
import re
import unittest

from test_cluster import TIMEOUT_S
from titan import Client, pipeline

DOCS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "docs")
PRINTED = {
    "sdk.md": ["approved: about tides, about craters\n", "COMPLETED 42\n"],
    "agents.md": ["It has 4 words.\n"],
}


def blocks(page):
    with open(os.path.join(DOCS, page), encoding="utf-8") as file:
        return re.findall(r"^```python\n(.*?)^```$", file.read(), re.M | re.S)


class DocsTest(unittest.TestCase):
    def as_job(self, text):
        with Client() as titan:
            job = pipeline("doc").job("a", run=text, shell="python3")
            run = titan.submit(job).run
            status = titan.wait(run, TIMEOUT_S).status
            output = b"".join(each.data for each in titan.logs(run, "a")).decode()
            self.assertEqual(status, "COMPLETED", output)
            return output

    def as_program(self, text):
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            exec(compile(text, "a block of the page", "exec"), {"__name__": "__main__"})
        return printed.getvalue()

    def test_the_programs_of_each_page(self):
        for page, printed in PRINTED.items():
            found = [self.as_job(text) if "titan_job" in text else self.as_program(text)
                     for text in blocks(page)]
            self.assertEqual(found, printed, page)
