"""From a pipeline as a program writes it to the bytes that travel; and a folder as bytes."""
import gzip
import os
import tempfile
import unittest

import titan
from support import as_python, golden, without_none
from titan import PipelineError, pipeline, spec_of, wire

GOLDEN = golden()


class SpecTest(unittest.TestCase):
    def test_are_what_the_typescript_reader_makes(self):
        self.assertGreaterEqual(len(GOLDEN["specs"]), 10)
        for each in GOLDEN["specs"]:
            found = spec_of(each["input"])
            data = wire.PipelineSpec.encode(found)
            self.assertEqual(data.hex(), each["hex"], each["input"]["name"])
            expected = as_python(each["spec"])
            self.assertEqual([job["id"] for job in found["jobs"]],
                             [job["id"] for job in expected["jobs"]])
            for mine, theirs in zip(found["jobs"], expected["jobs"]):
                mine, theirs = (without_none(each, (None, [], {})) for each in (mine, theirs))
                if "service" in mine:  # of a check only what its kind has travels
                    mine["service"]["check"] = {
                        key: mine["service"]["check"][key] for key in theirs["service"]["check"]}
                self.assertEqual(mine, theirs)

    def test_the_builder_says_what_a_map_says(self):
        for each in GOLDEN["specs"]:
            top = {key: item for key, item in each["input"].items() if key != "jobs"}
            built = pipeline(**top)
            for job in each["input"]["jobs"]:
                built.job(**job)
            self.assertEqual(wire.PipelineSpec.encode(spec_of(built)).hex(), each["hex"])

    def test_deploy_and_project_travel(self):
        spec = spec_of(pipeline("d").job("web", type="service", run="x"), "ab", deploy=True)
        self.assertEqual(wire.PipelineSpec.encode(spec).hex(), GOLDEN["deployed"])

    def refused(self, words, **job):
        with self.assertRaisesRegex(titan.TitanError, words):
            wire.PipelineSpec.encode(spec_of(pipeline("p").job("a", **job)))

    def test_mistakes_are_named(self):
        self.refused('unknown key "neds" in job "a" .known: needs.', run="x", neds="b")
        self.refused('names no job "b"', run="x", needs="b")
        self.refused("exactly one of file, command, run and call")
        self.refused("exactly one of", run="x", command=["y"])
        self.refused('"args" in job "a" goes with "file" only', run="x", args=["1"])
        self.refused('"input" in job "a" goes with "call" only', run="x", input=1)
        self.refused('"max_wait_seconds".*"hitl_message" only', run="x", max_wait_seconds=1)
        self.refused("must be a duration", run="x", timeout="10 minutes")
        self.refused("must be a duration", run="x", timeout="")
        self.refused("whole milliseconds", run="x", timeout=0.0001)
        self.refused("whole milliseconds", run="x", delay=-1)
        self.refused("must name one of its parents", run="x", affinity=True)
        self.refused("must name one of its parents", run="x", affinity="b")
        self.refused("must be run or service", run="x", type="gate")
        self.refused("port or health check is a service's", run="x", port=80)
        self.refused("must be a map", run="x", retry=3)
        self.refused("Cannot encode JobSpec.when: found 'never'", run="x", when="never")
        self.refused("Cannot encode JobSpec.priority: found 'high'", run="x", priority="high")
        self.refused("Cannot encode .*env", run="x", env={"A": 1})
        self.refused("unknown key", type="service", run="x", healthcheck={"url": "/"})
        for wrong in ({}, {"webhook": "https://a", "command": ["b"]}):
            self.refused('"notify" in hitl of job "a" wants either command or webhook',
                         run="x", hitl={"message": "?", "notify": wrong})
        self.refused('unknown key "url" in notify of hitl of job "a"',
                     run="x", hitl={"message": "?", "notify": {"url": "https://a"}})
        with self.assertRaisesRegex(PipelineError, "a job must be a map: 'x'"):
            spec_of({"name": "p", "jobs": ["x"]})
        with self.assertRaisesRegex(PipelineError, "the pipeline must be a map: 3"):
            spec_of(3)
        with self.assertRaisesRegex(titan.BadRequestError, "PipelineSpec.name"):
            wire.PipelineSpec.encode(spec_of({"jobs": []}))


class ProjectTest(unittest.TestCase):
    def folder(self, **files):
        folder = self.enterContext(tempfile.TemporaryDirectory())
        for name, text in files.items():
            place = os.path.join(folder, name.replace("_", ".", 1))
            with open(place, "w", encoding="utf-8") as file:
                file.write(text)
        return folder

    def enterContext(self, manager):
        found = manager.__enter__()
        self.addCleanup(manager.__exit__, None, None, None)
        return found

    def test_a_folder_is_packed_as_the_typescript_packer_does(self):
        found = titan.pack(titan.read_folder(GOLDEN["project"]["folder"]))
        self.assertEqual(gzip.decompress(found).hex(), GOLDEN["project"]["archive"])

    def test_the_same_files_give_the_same_bytes(self):
        one, other = self.folder(a_py="1", b_py="2"), self.folder(b_py="2", a_py="1")
        packed = titan.pack(titan.read_folder(one))
        self.assertEqual(titan.pack(titan.read_folder(other)), packed)
        self.assertEqual(packed[4:8], bytes(4), "no date")

    def test_what_cannot_be_packed_is_refused_in_words(self):
        for rule in ("!keep", "docs/**", "a\\ b"):
            folder = self.folder(_gitignore=f"*.log\n{rule}\n")
            with self.assertRaisesRegex(PipelineError, "titan.py knows no"):
                titan.read_folder(folder)
        for target in ("/etc/passwd", "../x"):
            folder = self.folder()
            os.symlink(target, os.path.join(folder, "link"))
            with self.assertRaisesRegex(PipelineError, "Cannot pack link: its link may leave it"):
                titan.read_folder(folder)
        with self.assertRaisesRegex(PipelineError, "it is no folder"):
            titan.read_folder("/nowhere/at/all")
        folder = self.folder(a_bin="x" * 100)
        limit, titan.MAX_PROJECT_BYTES = titan.MAX_PROJECT_BYTES, 99
        self.addCleanup(setattr, titan, "MAX_PROJECT_BYTES", limit)
        with self.assertRaisesRegex(PipelineError, "more than 99 bytes.*titanignore"):
            titan.read_folder(folder)

    def test_an_ignore_file_speaks_of_names_paths_and_folders(self):
        cases = [("*.log", "a/b.log", False, True), ("/out", "out", True, True),
                 ("/out", "a/out", True, False), ("out/", "a/out", True, True),
                 ("out/", "a/out", False, False), ("a/*.py", "a/b.py", False, True),
                 ("a/*.py", "a/b/c.py", False, False), ("[!a]x", "bx", False, True),
                 ("[^a]x", "ax", False, False), ("a?c", "abc", False, True)]
        for rule, path, is_folder, expected in cases:
            self.assertEqual(titan.is_ignored(path, is_folder, rule), expected, (rule, path))
