"""One real cluster: what a program, a job and a program of the original do with it."""
import os
import shutil
import tempfile
import time
import unittest
from unittest import mock

import titan
from support import wish
from titan import Client, TitanClient, TitanJob, pipeline

TIMEOUT_S = 30.0


def until(look):
    """What `look` finds, once it finds something."""
    end = time.monotonic() + TIMEOUT_S
    while time.monotonic() < end:
        found = look()
        if found:
            return found
        time.sleep(0.02)
    raise AssertionError("time is up")


class ClusterTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.titan = Client()

    @classmethod
    def tearDownClass(cls):
        cls.titan.close()

    def run_of(self, definition, **options):
        return self.titan.submit(definition, **options).run

    def ended(self, definition, **options):
        run = self.run_of(definition, **options)
        return run, self.titan.wait(run, TIMEOUT_S)

    def test_a_pipeline_runs_and_is_watched(self):
        two = pipeline("two").job("a", run="echo '{\"n\": 42}' > \"$TITAN_OUTPUT\"")
        two.job("b", run='cat "$TITAN_INPUTS"; echo no >&2; exit 3', needs="a")
        run = self.run_of(two)
        events = list(self.titan.watch(run, TIMEOUT_S))
        self.assertEqual(events[0].type, "snapshot")
        self.assertEqual([job.id for job in events[0].jobs], ["a", "b"])
        self.assertEqual((events[-1].type, events[-1].run.status), ("run", "FAILED"))
        self.assertEqual(self.titan.result(run, "a"), {"n": 42})
        self.assertIsNone(self.titan.result(run, "b"))
        found = self.titan.status(run, "b")
        self.assertEqual((found.parents, found.jobs[0].failure.exit_code), (["a"], 3))
        pieces = list(self.titan.logs(run, "b", follow=True))
        self.assertEqual({piece.stream: piece.data for piece in pieces},
                         {"stdout": b'{"a":{"n": 42}\n}', "stderr": b"no\n"})
        self.assertIn(run, [each.id for each in self.titan.runs()])
        self.assertEqual(self.titan.retry(run), 1)
        until(lambda: self.titan.status(run, "b").jobs[0].attempt == 2)
        self.assertEqual(self.titan.wait(run, TIMEOUT_S).status, "FAILED")

    def test_run_submits_and_waits_and_tells_of_each_change(self):
        told = []
        ended = self.titan.run(pipeline("at-once").job("a", run="true"), key="at-once",
                               timeout=TIMEOUT_S, on_event=told.append)
        self.assertEqual((ended.name, ended.status), ("at-once", "COMPLETED"))
        changes = [each.change.status for each in told if each.type == "job"]
        self.assertEqual((told[0].type, changes[-1:]), ("snapshot", ["COMPLETED"]))
        again = self.titan.run(pipeline("at-once").job("a", run="true"), key="at-once")
        self.assertEqual(again.id, ended.id)

    def test_a_key_makes_two_submissions_one_run(self):
        one = self.titan.submit(pipeline("keyed").job("a", run="true"), key="only-one")
        two = self.titan.submit(pipeline("keyed").job("a", run="true"), key="only-one")
        self.assertEqual((two.run, one.existing, two.existing), (one.run, False, True))
        with self.assertRaisesRegex(titan.ConflictError, "only-one"):
            self.titan.submit(pipeline("other").job("a", run="true"), key="only-one")
        with self.assertRaisesRegex(ValueError, 'found key ""'):
            self.titan.submit(pipeline("keyed").job("a", run="true"), key="")

    def test_what_the_master_refuses_has_its_class_and_words(self):
        with self.assertRaisesRegex(titan.InvalidError, 'job "a" depends on itself'):
            self.run_of(pipeline("p").job("a", run="true", needs="a"))
        with self.assertRaisesRegex(titan.NotFoundError, 'Cannot find run "nobody"'):
            self.titan.status("nobody")
        with self.assertRaisesRegex(titan.NotFoundError, 'Cannot find run "nobody"'):
            next(self.titan.watch("nobody"))
        with self.assertRaisesRegex(titan.UnschedulableError, "no worker"):
            self.run_of(pipeline("p").job("a", run="true", requirement="RARE"), strict=True)
        with self.assertRaises(titan.UnauthorizedError):
            Client(token="wrong")
        with self.assertRaisesRegex(titan.PipelineError, "say in which project_dir"):
            self.run_of(pipeline("p").job("a", file="a.py"))

    def test_a_run_is_cancelled_and_a_wait_has_an_end(self):
        run = self.run_of(pipeline("long").job("a", run="sleep 60"))
        with self.assertRaises(titan.DeadlineError):
            self.titan.wait(run, 0.1)
        self.assertEqual(self.titan.cancel(run), 1)
        self.assertEqual(self.titan.wait(run, TIMEOUT_S).status, "CANCELLED")
        self.assertEqual(self.titan.cancel(run), 0)

    def test_gates_are_answered_once(self):
        run = self.run_of(pipeline("gated").job("a", run="true", hitl_message="Go?"))
        gate = until(self.titan.gates)[0]
        self.assertEqual((gate.id, gate.message), (f"{run}/a", "Go?"))
        answer = self.titan.reject(gate.id, "no", by="me")
        self.assertEqual((answer.approved, answer.comment, answer.by), (False, "no", "me"))
        late = self.titan.approve(gate.id)
        self.assertEqual((late.approved, late.already), (False, True))
        self.assertEqual(self.titan.wait(run, TIMEOUT_S).status, "FAILED")

    def test_a_gate_has_a_form_and_approvers(self):
        run = self.run_of(pipeline("form").job("a", run="true", hitl={
            "message": "How much?", "approvers": ["ada", "bob"], "required": 2,
            "form": [{"name": "share", "type": "number", "default": 10}]}))
        gate = until(lambda: [each for each in self.titan.gates() if each.id == f"{run}/a"])[0]
        self.assertEqual((gate.rules.required, gate.rules.form[0].default), (2, "10"))
        with self.assertRaisesRegex(titan.TitanError, "eve"):
            self.titan.approve(gate.id, by="eve")
        first = self.titan.approve(gate.id, by="ada", values={"share": "20"})
        self.assertEqual((first.missing, first["values"]), (1, {"share": "20"}))
        self.assertTrue(self.titan.approve(gate.id, by="bob").approved)
        self.assertEqual(self.titan.wait(run, TIMEOUT_S).status, "COMPLETED")

    def test_the_store_by_way_of_the_master(self):
        store = self.titan.store
        self.assertIsNone(store.get("py:none"))
        store.set("py:k", "vä\r\n")
        self.assertEqual(store.get("py:k"), "vä\r\n")
        self.assertEqual([store.sadd("py:s", "b", "a"), store.sadd("py:s", "a")], [2, 0])
        self.assertEqual(store.smembers("py:s"), ["a", "b"])
        self.assertEqual(store.delete("py:k", "py:s"), 2)
        self.assertEqual(self.titan.kv("HSET", "py:h", "f", 1), 1)
        self.assertEqual(self.titan.kv("HGETALL", "py:h"), {"f": "1"})
        with self.assertRaises(titan.StoreError) as found:
            self.titan.kv("INCR", "py:h")
        self.assertEqual(found.exception.code, "WRONGTYPE")

    def test_artifacts_of_runs_that_are_over_are_collected(self):
        run, _ = self.ended(pipeline("leaves").job("a", run="echo hi > f", outputs=["f"]))
        self.titan.put_artifact("stays", "by name", keep=True)
        names = [each.name for each in self.titan.artifacts(run)]
        self.assertEqual(names, ["a/f"])
        looked = self.titan.collect_artifacts(dry_run=True)
        self.assertIn((run, "a/f"), [(each.run, each.name) for each in looked.artifacts])
        self.assertEqual(self.titan.collect_artifacts("30d").artifacts, [])
        self.assertEqual(len(self.titan.artifacts(run)), 1)
        self.titan.collect_artifacts()
        self.assertEqual(self.titan.artifacts(run), [])
        self.assertIn("stays", [each.name for each in self.titan.artifacts(kept=True)])
        self.titan.remove_artifact("stays")
        with self.assertRaisesRegex(titan.PipelineError, "must be a duration"):
            self.titan.collect_artifacts("old")

    def test_workers_and_services(self):
        workers = [(each.slots, each.connected) for each in self.titan.workers()]
        self.assertEqual(workers, [(4, True)])
        web = pipeline("web").job(
            "web", type="service", run="exec python3 -m http.server $TITAN_PORT",
            healthcheck={"http": "/", "interval": "100ms"})
        run = self.run_of(web)
        self.assertEqual(self.titan.wait(run, TIMEOUT_S).status, "SERVING")
        row = self.titan.services()[0]
        self.assertEqual((row.name, row.run, row.service.phase), ("web", run, "READY"))
        self.assertEqual(self.titan.stop("web").replicas, 1)
        self.assertEqual(self.titan.wait(run, TIMEOUT_S, to_end=True).status, "COMPLETED")

    def test_jobs_are_added_with_parents_old_and_new(self):
        run = self.run_of(pipeline("grows").job("a", run="true", hitl_message="Go?"))
        more = pipeline("more").job("c", run='echo c > "$TITAN_OUTPUT"', needs=["b", "a"])
        more.job("b", run='echo b > "$TITAN_OUTPUT"')
        self.assertEqual(self.titan.add_jobs(run, more), 2)
        with self.assertRaisesRegex(titan.PipelineError, 'names no job "x"'):
            self.titan.add_jobs(run, [{"id": "d", "run": "true", "needs": "x"}])
        until(lambda: [gate for gate in self.titan.gates() if gate.id == f"{run}/a"])
        self.titan.approve(f"{run}/a")
        self.titan.wait(run, TIMEOUT_S)
        jobs = {job.id: job for job in self.titan.status(run).jobs}
        self.assertEqual([jobs[parent].index for parent in ("b", "a")], jobs["c"].depends_on)
        self.assertEqual(jobs["c"].status, "COMPLETED")

    def test_a_project_travels_and_a_job_knows_itself(self):
        folder = self.enterContext_(tempfile.TemporaryDirectory())
        for name in ("titan.py", "titan_job.py", "titan_wire.py"):
            shutil.copy(os.path.join(os.path.dirname(titan.__file__), name), folder)
        with open(os.path.join(folder, "a.py"), "w", encoding="utf-8") as file:
            file.write("import sys\nfrom titan import job\n"
                       "job.log(job.id, job.attempt, sys.argv[1:])\n"
                       "job.store.set('py:job', job.run)\n"
                       "job.output({'inputs': job.inputs, 'member': job.store.sadd('py:m', 'x')})\n"
                       "job.add([{'id': 'late', 'run': 'true', 'needs': [job.id]}])\n")
        inside = pipeline("inside").job("first", run="echo '[1]' > \"$TITAN_OUTPUT\"")
        inside.job("a", file="a.py", args="x 'y z'", needs="first")
        run, ended = self.ended(inside, project_dir=folder)
        output = b"".join(piece.data for piece in self.titan.logs(run, "a"))
        self.assertEqual((ended.status, output), ("COMPLETED", b"a 1 ['x', 'y z']\n"), output)
        self.assertEqual(self.titan.result(run, "a"), {"inputs": {"first": [1]}, "member": 1})
        self.assertEqual(self.titan.store.get("py:job"), run)
        self.assertEqual([job.id for job in self.titan.status(run).jobs], ["first", "a", "late"])

    def enterContext_(self, manager):
        found = manager.__enter__()
        self.addCleanup(manager.__exit__, None, None, None)
        return found

    def test_a_large_pipeline_goes_as_a_blob(self):
        big = pipeline("big")
        for number in range(6):
            big.job(f"j{number}", run=f"exit 0 # {'x' * 800_000}")
        self.assertEqual(self.ended(big)[1].status, "COMPLETED")

    def test_many_are_submitted_over_one_connection(self):
        noop = pipeline("noop").job("a", call="titan:noop")
        rows = list(self.titan.submit_many([noop] * 200, window=64))
        self.assertEqual(len({row.run for row in rows}), 200)

    def test_z_a_watch_and_a_log_outlive_their_master(self):
        run = self.run_of(pipeline("patient").job("a", run="echo one; sleep 60", retries=3))
        until(lambda: self.titan.status(run, "a").jobs[0].status == "RUNNING")
        events = self.titan.watch(run, TIMEOUT_S)
        self.assertEqual(next(events).type, "snapshot")
        wish("restart")
        self.assertEqual(self.titan.status(run).run.status, "RUNNING")
        self.assertEqual(self.titan.cancel(run), 1)
        rest = list(events)
        self.assertEqual(rest[-1].run.status, "CANCELLED")
        self.assertIn("snapshot", [event.type for event in rest[:2]])


SCRIPT = "import sys\nprint('ran', sys.argv[1:])\n"


class OriginalTest(unittest.TestCase):
    """Programs of the original, with another import."""

    def setUp(self):
        manager = tempfile.TemporaryDirectory()
        self.folder = manager.__enter__()
        self.addCleanup(manager.__exit__, None, None, None)
        self.client = TitanClient()
        self.addCleanup(lambda: self.client.titan.close())

    def script(self, name, text=SCRIPT):
        path = os.path.join(self.folder, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path

    def status_is(self, job_id, *wanted):
        return until(lambda: self.client.get_job_status(job_id) in wanted and
                     self.client.get_job_status(job_id))

    def test_a_dag_with_a_gate(self):
        say, fail = self.script("say.py"), self.script("fail.py", "print('boom')\nexit(3)\n")
        jobs = [
            TitanJob("o_a", say, args="1 2", priority=5),
            TitanJob("o_b", self.script("other/say.py", "print('other')\n"), parents=["o_a"],
                     delay=10, affinity=True, hitl_message="Go?", max_wait_seconds=60),
            TitanJob("o_c", say, parents=["o_b"]), TitanJob("o_bad", fail),
            TitanJob("o_never", say, parents=["o_bad"])]
        self.assertEqual(self.client.submit_dag("my dag", jobs, agent_run_id="x"), "DAG_ACCEPTED")
        self.status_is("DAG-o_a", "COMPLETED")
        self.assertEqual(self.client.fetch_logs("DAG-o_a"), "ran ['1', '2']")
        self.status_is("DAG-hitl-gate-o_b", "RUNNING")
        key = "titan:hitl:status:hitl-gate-o_b"
        self.assertEqual((self.client.store_get(key), self.client.get_job_status("o_c")),
                         ("WAITING", "PENDING"))
        self.assertEqual(self.client.store_put(key, "APPROVED"), "OK")
        self.status_is("o_c", "COMPLETED")
        self.assertEqual((self.client.get_job_status("hitl-gate-o_b"), self.client.store_get(key)),
                         ("COMPLETED", "APPROVED"))
        self.status_is("DAG-o_bad", "DEAD")
        self.status_is("DAG-o_never", "DEAD")
        self.assertEqual(self.client.fetch_logs("DAG-o_bad"), "\n".join(["boom"] * 4))
        self.assertEqual(self.client.fetch_logs("DAG-o_b"), "other")
        other = TitanClient()
        self.addCleanup(lambda: other.titan.close())
        self.assertEqual(other.get_job_status("DAG-o_a"), "COMPLETED", "of another program")

    def test_a_gate_is_rejected_by_its_key(self):
        asks = TitanJob("o_r", self.script("say.py"), hitl_message="Go?")
        self.client.submit_job(asks)
        self.status_is("hitl-gate-o_r", "RUNNING")
        self.client.store_put("titan:hitl:status:hitl-gate-o_r", "REJECTED")
        self.status_is("hitl-gate-o_r", "DEAD")
        self.assertEqual(self.client.get_job_status("o_r"), "COMPLETED")

    def test_store_words(self):
        self.assertEqual(self.client.store_get("o:none"), "NULL")
        self.assertEqual(self.client.store_put("o:k", "a|b"), "OK")
        self.assertEqual(self.client.store_get("o:k"), "a|b")
        self.assertEqual(self.client.titan.store.get("user:o:k"), "a|b")
        self.assertEqual([self.client.store_sadd("o:s", "m") for _ in range(2)], [1, 0])
        self.assertEqual(self.client.store_smembers("o:s"), ["m"])
        self.assertEqual(self.client.store_smembers("o:0"), [])

    def test_unknown_ids_and_what_has_no_counterpart(self):
        self.assertEqual(self.client.get_job_status("nope"), "NULL")
        self.assertEqual(self.client.fetch_logs("nope"), "")
        self.assertRegex(self.client.stop_service("nope"), "^ERROR: .*no such service")
        with self.assertRaises(ValueError):
            self.client.stop_service("")
        self.assertTrue(issubclass(titan.NotSupportedError, NotImplementedError))
        with self.assertRaisesRegex(titan.PipelineError, 'jobs of proj.zip: .*"proj.zip": none'):
            self.client.submit_job(TitanJob("z", "proj.zip/main.py", is_archive=True))
        with self.assertRaises(FileNotFoundError):
            TitanJob("x", "/nowhere.py")
        loop = [TitanJob("x", self.script("x.py"), parents=["y"]),
                TitanJob("y", self.script("x.py"), parents=["x"])]
        with self.assertRaisesRegex(titan.InvalidError, "x"):
            self.client.submit_dag("loop", loop)

    def test_files_are_kept_by_their_names(self):
        path = self.script("o_report.md", "# 42\n")
        self.assertEqual(self.client.upload_file("/nowhere"),
                         "ERROR: File not found at: /nowhere")
        self.assertEqual((self.client.upload_file(path), self.client.deploy_script(path)),
                         ("UPLOAD_SUCCESS", "DEPLOY_SUCCESS"))
        other = os.path.join(self.folder, "other.md")
        self.assertIs(self.client.fetch_artifact("o_report.md", other), True)
        with open(other, encoding="utf-8") as file:
            self.assertEqual(file.read(), "# 42\n")
        self.assertIs(self.client.fetch_artifact("o_none", other), False)
        self.assertIs(self.client.publish_artifact("o:report", path), True)
        self.assertIs(self.client.publish_artifact("o:report", "/nowhere"), False)
        self.assertEqual(self.client.store_get("o:report"), "o_report.md")
        self.assertIs(self.client.get_artifact("o:report", other), True)
        self.assertIs(self.client.get_artifact("o:none", other), False)
        self.assertIn("o_report.md", [each.name for each in
                                      self.client.titan.artifacts(kept=True)])

    def test_jobs_of_a_folder_that_was_uploaded(self):
        self.script("p/src/main.py", "import sys, other\nprint(other.WORD, sys.argv[1:])\n")
        self.script("p/src/other.py", "WORD = 'found'\n")
        self.script("p/__pycache__/x.pyc")
        folder = os.path.join(self.folder, "p")
        self.assertEqual(self.client.upload_project_folder(folder, "o_p"), "UPLOAD_SUCCESS")
        self.assertRegex(self.client.upload_project_folder("/nowhere"), "^ERROR: Folder not")
        self.client.submit_job(TitanJob("o_zip", "o_p.zip/src/main.py", args="1 2",
                                        is_archive=True))
        self.status_is("o_zip", "COMPLETED")
        self.assertEqual(self.client.fetch_logs("o_zip"), "found ['1', '2']")
        with self.assertRaisesRegex(titan.PipelineError, "no o_p.zip/x.py"):
            self.client.submit_job(TitanJob("o_no", "o_p.zip/x.py", is_archive=True))

    def test_a_service(self):
        server = self.script(
            "srv.py", "import os, socket, time\n"
            "server = socket.create_server(('127.0.0.1', int(os.environ['TITAN_PORT'])))\n"
            "time.sleep(60)\n")
        job = TitanJob("o_srv", server, "SERVICE")
        self.assertEqual(self.client.submit_job(job), "DAG_ACCEPTED")
        self.status_is("DAG-o_srv", "COMPLETED")
        self.assertEqual(self.client.stop_service("o_srv"), "STOPPED: DAG-o_srv")

    def test_yaml_is_read_by_the_titan_program(self):
        path = self.script("a.yaml", "name: a\njobs:\n  - {id: o_y, file: y.py, args: 1 2}\n")
        self.script("y.py")
        self.assertEqual(self.client.submit_yaml(path, wait=True), "DAG_ACCEPTED")
        self.assertEqual(self.client.fetch_logs("DAG-o_y"), "ran ['1', '2']")
        with self.assertRaisesRegex(titan.PipelineError, "nothing to do"):
            self.client.submit_yaml(self.script("bad.yaml", "name: a\njobs: [{id: b}]\n"))
        with mock.patch.dict(os.environ, {"TITAN_CLI": "", "PATH": ""}):
            words = "Cannot read YAML: titan is not on PATH"
            with self.assertRaisesRegex(titan.NotSupportedError, words):
                self.client.submit_yaml(path)

    def test_nobody_is_asked_before_the_first_call(self):
        with mock.patch.dict(os.environ, {"TITAN_MASTER": "", "TITAN_PORT": "1"}):
            client = TitanClient()
            with self.assertRaisesRegex(titan.ConnectError, "127.0.0.1:1: nobody listens"):
                client.get_job_status("x")
