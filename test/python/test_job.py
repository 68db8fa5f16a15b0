"""What titan_job.py does inside jobs of one real cluster, whose processes are killed under it."""
import os
import shlex
import signal
import subprocess
import threading
import unittest
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import titan
import titan_job
from support import wish
from test_cluster import TIMEOUT_S, until
from titan import Client, pipeline

HEAD = "import os, pathlib, signal, sys\nfrom titan_job import JobFailedError, StepError, job\n"


def script(text, **keys):
    """A job that is a script of Python."""
    return {"run": HEAD + text, "shell": "python3", **keys}


class Calls:
    """A server that counts its calls, by their paths, and kills somebody in the middle of some."""

    def __init__(self, during):
        self.keys = []
        calls = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                step, pid = self.path.strip("/").split("/")
                is_first = step not in [each for each, _ in calls.keys]
                calls.keys.append((step, self.headers["key"]))
                if is_first and step in during:
                    during[step](int(pid))
                    return  # nobody waits for this answer
                self.send_response(200)
                self.end_headers()
                self.wfile.write(str(int(step) ** 2).encode())

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = "http://127.0.0.1:%d" % self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


TEN = """
from urllib.request import Request, urlopen
def call(n, key):
    request = Request(f"{os.environ['SERVER']}/{n}/{os.getpid()}", headers={"key": key})
    with urlopen(request, timeout=60) as answer: return int(answer.read())
job.output([job.step("call", n, lambda c: call(n, c.idempotency_key)) for n in range(1, 11)])
"""
ASKS = """
def before(call):
    with open(os.environ["CALLS"], "a") as file: file.write("x")
    return "ready"
state = job.step("before", None, before)
answer = job.ask("go", f"{state}?", choices=["eu", "us"], approvers="ada",
                 form=[{"name": "share", "type": "number", "default": 10},
                       {"name": "dry", "type": "boolean"}])
job.output([job.attempt, answer.outcome, answer.by, answer.comment, answer.choice, answer.fields])
"""


class JobTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.titan = Client()

    @classmethod
    def tearDownClass(cls):
        cls.titan.close()

    def start(self, text, name="job", agent=None, **keys):
        return self.titan.submit(pipeline(name, agent=agent).job("a", **script(text, **keys))).run

    def result(self, run, job="a"):
        ended = self.titan.wait(run, TIMEOUT_S)
        output = b"".join(each.data for each in self.titan.logs(run, job))
        self.assertEqual(ended.status, "COMPLETED", output.decode())
        return self.titan.result(run, job)

    def ran(self, text, **keys):
        return self.result(self.start(text, **keys))

    def gate(self, name):
        return until(lambda: [each for each in self.titan.gates() if each.id == name])[0]

    def approve(self, name, values=None, **more):
        self.gate(name)
        return self.titan.approve(name, values=values, **more)

    def test_kill_9_of_a_job_of_its_worker_and_of_the_cluster_repeats_no_finished_step(self):
        calls = Calls({"3": lambda pid: os.kill(pid, signal.SIGKILL),
                       "5": lambda pid: wish("kill worker"), "8": lambda pid: wish("restart")})
        self.addCleanup(calls.close)
        counted = os.path.join(os.environ["TITAN_FOLDER"], "counted")
        ask = self.start(ASKS, "asks", env={"CALLS": counted})
        self.gate(f"{ask}/a:go")
        ten = self.start(TEN, "ten", env={"SERVER": calls.url}, retries=1)
        self.assertEqual(self.result(ten), [n * n for n in range(1, 11)])
        count = Counter(step for step, _ in calls.keys)
        twice = [step for step, times in count.items() if times == 2]
        self.assertEqual((twice, sum(count.values())), (["3", "5", "8"], 13))
        self.assertEqual(len(set(calls.keys)), 10, "the same key again")
        # The question is open still, and what was done before it is not done again.
        self.assertEqual(self.gate(f"{ask}/a:go").message, "ready?")
        answer = {"choice": "us", "share": "12.5", "dry": "true"}
        with self.assertRaisesRegex(titan.TitanError, "eve"):
            self.titan.approve(f"{ask}/a:go", by="eve", values=answer)
        self.titan.approve(f"{ask}/a:go", "now", by="ada", values=answer)
        attempt, *told = self.result(ask)
        self.assertEqual(told, ["approved", "ada", "now", "us",
                                {"share": 12.5, "dry": True, "choice": "us"}])
        self.assertEqual(attempt, 2)
        with open(counted, encoding="utf-8") as file:
            self.assertEqual(file.read(), "x")
        # People read the journal with the titan program.
        steps = self.titan.steps(ten)
        self.assertEqual([(each.name, each.ordinal, each.status, each.result) for each in steps],
                         [("call", n, "DONE", b"%d" % (n * n)) for n in range(1, 11)])
        words = [*shlex.split(os.environ["TITAN_CLI"]), "agents", "steps", f"{ten}/a", "--json"]
        listed = subprocess.run(words, capture_output=True, text=True, check=True).stdout
        self.assertIn('"result":100', listed.replace(" ", ""))

    def test_a_spawn_is_made_once_however_often_its_job_is_retried(self):
        found = self.ran("""
jobs = [{"id": f"part-{n}", "run": f'echo {n} > "$TITAN_OUTPUT"'} for n in (1, 2)]
cat = 'cat "$TITAN_INPUTS" > "$TITAN_OUTPUT"'
jobs += [{"id": "sum", "run": cat, "needs": ["part-1", "part-2"]}]
parts = job.spawn("dig", jobs, stage="ITER")
if job.attempt == 1: sys.exit(3)
job.output([job.run, parts.jobs, job.results(parts), job.results(["part-2"], hold=True)])
""", retries=1, name="spawns", agent={"budget": {"jobs": 50}})
        run, ids, results, held = found
        self.assertEqual((ids, results, held), (["part-1", "part-2", "sum"],
                                                [1, 2, {"part-1": 1, "part-2": 2}], [2]))
        self.assertEqual([each.id for each in self.titan.status(run).jobs], ["a", *ids])
        report = self.titan.agent(run)
        self.assertEqual([(each.id, each.stage, each.spawner) for each in report.jobs[1:]],
                         [(each, "ITER", 0) for each in ids])

    def test_a_spawn_may_stand_before_a_job_that_has_not_started(self):
        jobs = pipeline("before").job("a", **script("""
job.spawn("k", [{"id": "b", "run": "exit 3"},
                {"id": "c", "run": "true", "needs": ["first", "zero"]}], before="last")
settled = job.settled(["b", "c"])
try: job.results(["b"])
except JobFailedError as error: words = [str(error), error.job, error.code]
job.output([[each.status, each.failure] for each in settled] + words)
"""))
        jobs.job("first", run="true", hitl_message="Go?").job("last", run="true", needs="first")
        run = self.titan.submit(jobs.job("zero", run="true")).run
        until(lambda: len(self.titan.status(run).jobs) == 6)
        self.assertEqual(self.titan.status(run, "c").parents, ["first", "zero"])
        self.approve(f"{run}/first")
        self.assertEqual(self.titan.wait(run, TIMEOUT_S).status, "FAILED")
        words = 'Cannot give the results: job "b" is FAILED: exited with code 3'
        self.assertEqual(self.titan.result(run, "a"), [
            ["FAILED", "exited with code 3"], ["COMPLETED", None], words, "b", "JOB_FAILED"])
        self.assertEqual(self.titan.status(run, "last").jobs[0].status, "SKIPPED")

    def test_a_wait_gives_its_slot_away_and_comes_back(self):
        found = self.ran("""
try:
    job.sleep("nap", 0.2)
    job.sleep("held", 0.05, hold=True)
finally: print("finally")
job.log("after", job.attempt)
job.output(job.run)
""")
        info = self.titan.status(found, "a").jobs[0]
        self.assertEqual(info.attempt, 2)
        output = [b"".join(each.data for each in self.titan.logs(found, "a", attempt))
                  for attempt in (1, 2)]
        self.assertEqual(output, [b"", b"finally\nafter 2\n"])

    def test_a_script_that_is_edited_while_it_waits_is_told_what_has_changed(self):
        path = os.path.join(os.environ["TITAN_FOLDER"], "edited")

        def write(topic):
            with open(path, "w", encoding="utf-8") as file:
                file.write(f"plan = job.step('plan', '{topic}', lambda call: '{topic}')\n"
                           "job.ask('go', 'Go on?')\njob.output(plan)\n")

        write("moon")
        run = self.start("exec(open(os.environ['SCRIPT']).read())", env={"SCRIPT": path})
        until(lambda: self.titan.status(run, "a").jobs[0].status == "WAITING")
        write("mars")
        self.approve(f"{run}/a:go")
        self.assertEqual(self.titan.wait(run, TIMEOUT_S).status, "FAILED")
        output = b"".join(each.data for each in self.titan.logs(run, "a")).decode()
        moon, mars = (titan_job.hash_of("", topic).hex() for topic in ("moon", "mars"))
        self.assertRegex(output, f"STEP_CHANGED: step plan#1 .*input {moon}, .*now .* {mars}")
        self.titan.retry(run, accept_changed=True)
        self.assertEqual(self.result(run), "moon")

    def test_inside_a_step_there_is_no_other_step_and_no_wait(self):
        found = self.ran("""
def outer(call):
    words = []
    for inner in (lambda: job.step("inner", 1, len), lambda: job.sleep("nap", 60),
                  lambda: job.ask("q", "Go on?"), lambda: job.results(["a"])):
        try: inner()
        except StepError as error: words.append(f"{error.code}: {error}")
    return words
job.output([job.step("outer", 1, outer), job.step("after", 1, lambda call: 2)])
""")
        why = "it is inside step outer, which would not call it again; call it before or after"
        self.assertEqual(found, [[f"NESTED: Cannot {doing}: {why} that step" for doing in (
            "begin step inner", "begin step sleep:nap", "ask", "wait")], 2])

    def test_an_ambiguous_step_has_a_policy(self):
        dies = "lambda call: os.kill(os.getpid(), signal.SIGKILL)"
        run = self.titan.submit(pipeline("doubt").job("asks", **script(f"""
job.output(job.step("pay", 5, {dies}, effect="once"))
""", retries=1)).job("fails", **script(f"""
try: job.step("pay", 5, {dies}, on_ambiguous="fail")
except StepError as error: job.output([error.code, str(error)])
""", retries=1)).job("reads", **script(f"""
job.output(job.step("look", 5, ({dies}) if job.attempt == 1 else lambda call: 6, effect="read"))
""", retries=1)).job("gives-up", **script(f"""
try: job.step("pay" * 42, 5, {dies}, effect="once")
except StepError as error: job.output([error.code, str(error)])
""", retries=1)).job("again", **script(f"""
job.output(job.step("pay", 5, ({dies}) if job.attempt == 1 else lambda call: 7, effect="once"))
""", retries=1))).run
        self.assertRegex(self.gate(f"{run}/asks:step:pay#1").message,
                         r"^Step pay#1 of .*/asks was begun by attempt 1 at 2.*Did it happen\?$")
        self.approve(f"{run}/asks:step:pay#1", {"choice": "it happened", "result": '{"id": 9}'})
        self.approve(f"{run}/again:step:pay#1", {"choice": "run it again"})
        long = until(lambda: [each.id for each in self.titan.gates()
                              if each.id.startswith(f"{run}/gives-up:")])[0]
        self.titan.reject(long)
        self.assertEqual(self.result(run, "asks"), {"id": 9})
        step = self.titan.steps(run, "asks")[0]
        self.assertEqual((step.status, step.result), ("DONE", b'{"id": 9}'))
        self.assertEqual(self.titan.result(run, "again"), 7)
        self.assertEqual(self.titan.result(run, "reads"), 6)
        code, words = self.titan.result(run, "fails")
        self.assertEqual(code, "AMBIGUOUS")
        self.assertRegex(words, "begun by attempt 1 .*nobody knows how it ended")
        self.assertEqual(self.titan.result(run, "gives-up")[0], "GIVEN_UP")

    def test_a_step_stands_for_its_input_and_keeps_json(self):
        run = self.start("""
from concurrent.futures import ThreadPoolExecutor
def code_of(*args, **keys):
    try: return job.step(*args, **keys)
    except StepError as error: return error.code
def fails(call): raise ValueError("no " * 3000)
def busy(call):
    call.usage(model="m", tokens_in=3, usd_micros=5)
    call.usage(tokens_in=4, tokens_out=1)
    call.emit("word ")
    return {1: (2, "ä")}
first = job.step("keeps", {"b": 1, "a": ["é", None, 1.5]}, busy)
big = job.step("big", None, lambda call: "x" * 200_000)
none = job.step("none", None, lambda call: None)
found = [first, len(big), none]
if job.attempt == 1:
    job.step("input", 1, lambda call: 1)
    try: job.step("fails", None, fails)
    except ValueError: pass
    found.append(code_of("unfit", None, lambda call: object()))
    def again():
        try: job.step("twice", None, lambda call: 2, ordinal=1)
        except Exception as error: return error.code
    def twice(call):
        with ThreadPoolExecutor(1) as pool: return pool.submit(again).result()
    found.append(job.step("twice", None, twice))
    found.append(code_of("nan", float("nan"), lambda call: 1))
    found.append(code_of("once", None, lambda call: {1, 2}, effect="once"))
    with open(os.environ["FIRST"], "w") as file: file.write(repr(found))
    sys.exit(3)
found.append(code_of("input", 2, lambda call: 1))
found.append(job.step("fails", None, lambda call: "now"))
job.output(found)
""", retries=1, env={"FIRST": os.path.join(os.environ["TITAN_FOLDER"], "first")})
        kept = [{"1": [2, "ä"]}, 200_000, None]
        self.assertEqual(self.result(run), [*kept, "STEP_CHANGED", "now"])
        with open(os.path.join(os.environ["TITAN_FOLDER"], "first"), encoding="utf-8") as file:
            self.assertEqual(file.read(), repr([*kept, "UNFIT", "CONFLICT", "UNFIT", "UNFIT"]))
        steps = {each.name: each for each in self.titan.steps(run, "a")}
        self.assertEqual(steps["keeps"].usage, {"model": "m", "tokens_in": 7, "tokens_out": 1,
                                                "usd_micros": 5, "ms": 0})
        # As the TypeScript SDK makes it: members in order, no blanks, UTF-8.
        text = '{"a":["é",null,1.5],"b":1}'.encode()
        self.assertEqual(steps["keeps"].input_hash, titan.hashlib.sha256(text).hexdigest())
        self.assertEqual((steps["big"].blob.size, steps["none"].result), (200_002, b""))
        self.assertEqual((steps["once"].status, steps["unfit"].status), ("STARTED", "FAILED"))
        self.assertEqual(self.titan.agent(run).agent.used, {"jobs": 1, "steps": 9, "tokens": 8,
                                                            "usd_micros": 5})
        forked = self.titan.fork(run, "keeps#1", {"keeps": "other"})
        self.assertEqual(forked.steps, 1)
        self.assertEqual(until(lambda: self.titan.steps(forked.run))[0].result, b'"other"')
        self.titan.cancel(forked.run)

    def test_artifacts_of_a_run_and_by_name(self):
        found = self.ran("""
read = lambda name, **keys: b"".join(job.artifact.get(name, **keys).bytes).decode()
job.artifact.put("text", "grün")
pathlib.Path("file").write_bytes(b"x" * 700_000)
put = job.artifact.put("file", pathlib.Path("file"))
job.artifact.put("pieces", (b"%d," % n for n in range(5)))
again = job.artifact.put("pieces", b"new", keep=True)
job.artifact.put("pieces", b"newer")
job.artifact.put("only", "kept", keep=True)
job.artifact.rm("text")
names = sorted(each.name for each in job.artifact.list())
try: read("text")
except Exception as error: code = error.code
assert read("only") == "kept"
job.output([put.info.size, put.replaced, len(read("file")), read("pieces"),
            read("pieces", keep=True), names, again.info.run, code,
            again.info.by_run == job.run,
            sorted(each.name for each in job.artifact.list(keep=True) if each.by_job == "a"),
            job.run])
""")
        run = found.pop()
        self.assertEqual(found, [700_000, None, 700_000, "newer", "new", ["file", "pieces"], "",
                                 "NOT_FOUND", True, ["only", "pieces"]])
        self.assertEqual(b"".join(self.titan.get_artifact("pieces", run=run).bytes), b"newer")
        self.titan.remove_artifact("only")
        self.assertEqual(self.titan.remove_artifact("pieces").artifacts[0].size, 3)
        with self.assertRaises(titan.NotFoundError):
            self.titan.get_artifact("pieces")

    def test_a_put_that_breaks_off_keeps_nothing(self):
        def breaks():
            yield b"x" * 300_000
            raise OSError("the tape is torn")
        for _ in range(5):  # a connection may have four uploads
            with self.assertRaisesRegex(OSError, "torn"):
                self.titan.put_artifact("torn", breaks(), keep=True)
        with self.assertRaises(titan.NotFoundError):
            self.titan.get_artifact("torn")
        put = self.titan.put_artifact("torn", [b"", b"a" * 600_000, b"b"], keep=True)
        self.assertEqual(put.info.size, 600_001)
        self.titan.remove_artifact("torn")

    def test_two_questions_are_answered_in_either_order(self):
        run = self.start("""
from concurrent.futures import ThreadPoolExecutor
with ThreadPoolExecutor() as pool:
    found = list(pool.map(lambda key: job.ask(key, f"{key}?").comment, ["one", "two"]))
job.output(found)
""")
        self.approve(f"{run}/a:two", comment="2")
        self.approve(f"{run}/a:one", comment="1")
        self.assertEqual(self.result(run), ["1", "2"])

    def test_a_budget_stops_and_more_of_it_goes_on(self):
        run = self.start("""
reserve = {"usd_micros": 600_000}
def paid(call): call.usage(usd_micros=600_000)
for n in range(3): job.step("paid", n, paid, reserve=reserve)
job.output("done")
""", name="budget", agent={"budget": {"usd": 1, "deadline": "1h"}})
        self.assertEqual(self.titan.wait(run, TIMEOUT_S).status, "PAUSED")
        found = {each.id: each for each in self.titan.agents()}[run]
        self.assertEqual((found.status, found.used.usd_micros, found.limits.usd_micros),
                         ("PAUSED", 600_000, 1_000_000))
        now = self.titan.raise_budget(run, usd="+0.5", deadline="+1h", by="me")
        self.assertEqual(now.limits.usd_micros, 1_500_000)
        self.assertGreater(now.limits.deadline_at, found.limits.deadline_at + 3_500_000)
        until(lambda: len(self.titan.steps(run)) == 2)
        self.titan.raise_budget(run, usd=5)
        self.assertEqual(self.result(run), "done")
        self.assertEqual(self.titan.cancel_agent(run).jobs, 0)

    def test_a_job_hears_that_it_is_to_end(self):
        run = self.start("""
cancelled = job.cancelled
job.log("ready")
assert cancelled.wait(60)
job.log("tidy")
""")
        until(lambda: list(self.titan.logs(run, "a"))
              if self.titan.status(run, "a").jobs[0].attempt else None)
        self.titan.cancel(run)
        self.assertEqual(self.titan.wait(run, TIMEOUT_S).status, "CANCELLED")
        self.assertEqual(b"".join(each.data for each in self.titan.logs(run, "a")),
                         b"ready\ntidy\n")

    def test_what_the_client_asks_about_the_cluster(self):
        self.assertEqual(self.titan.info(hash=True).workers, 1)
        self.assertEqual(len(self.titan.info(hash=True).state_hash), 64)
        worker = self.titan.workers()[0].name
        self.assertEqual(self.titan.drain(worker).name, worker)
        run = self.titan.submit(pipeline("held").job("a", run="exit 3", retries=1)).run
        reason = until(lambda: self.titan.reasons(run, [0]))[0]
        self.assertEqual((reason.index, reason.kind in ("worker", "slots")), (0, True))
        self.titan.drain(worker, undo=True)
        self.assertEqual(self.titan.wait(run, TIMEOUT_S).status, "FAILED")
        letter = [each for each in self.titan.dead_letters() if each.run == run][0]
        self.assertEqual((letter.job, letter.attempts, letter.failure.exit_code), ("a", 2, 3))
        self.assertEqual(self.titan.pools(), {"pools": [], "launches": []})
        for call in (self.titan.launch, self.titan.retire, self.titan.restart):
            with self.assertRaises(titan.TitanError) as found:
                call("nobody")
            self.assertEqual(found.exception.code, "NOT_FOUND")

    def test_a_service_is_restarted_and_scaled(self):
        web = pipeline("py-web").job(
            "py-web", type="service", run="exec python3 -m http.server $TITAN_PORT",
            healthcheck={"http": "/", "interval": "100ms"})
        run = self.titan.submit(web).run
        self.titan.wait(run, TIMEOUT_S)
        self.assertEqual(self.titan.restart("py-web").replicas, 1)
        self.assertEqual(self.titan.scale("py-web", 2).added, ["py-web.2"])
        with self.assertRaises(titan.TitanError):
            self.titan.rollback("py-web")
        self.titan.stop("py-web")
        self.titan.wait(run, TIMEOUT_S, to_end=True)


class Ended(BaseException):
    """In place of the end of the process."""


def end():
    raise Ended


class WaitsTest(unittest.TestCase):
    def test_nothing_ends_while_something_is_under_way(self):
        asked, order = [], []
        waits = titan_job.Waits(lambda wishes: asked.append(wishes) or [0], end)
        waiter = threading.Thread(target=lambda: (waits.until("a"), order.append("met")))
        with waits.busy():
            waiter.start()
            waiter.join(5 * titan_job.QUIET_S)
            self.assertEqual((asked, order), ([], []))
            order.append("done")
        waiter.join()
        self.assertEqual((asked, order), ([["a"]], ["done", "met"]))

    def test_all_waits_are_asked_together_and_those_that_are_met_go_on(self):
        asked = []
        def pause(wishes):
            asked.append(sorted(wishes))
            return [wishes.index("b")] if "b" in wishes else [0, 1]
        waits, met = titan_job.Waits(pause, end), []
        threads = [threading.Thread(target=lambda name=name: (waits.until(name), met.append(name)))
                   for name in "abc"]
        with waits.busy():
            for each in threads:
                each.start()
            until(lambda: len(waits._waiting) == 3)
        for each in threads:
            each.join()
        self.assertEqual((asked, sorted(met)), ([["a", "b", "c"], ["a", "c"]], ["a", "b", "c"]))

    def test_a_wish_that_is_refused_is_an_error_and_one_that_is_not_met_the_end(self):
        def refuse(wishes):
            raise titan.LimitError("too many")
        with self.assertRaisesRegex(titan.LimitError, "too many"):
            titan_job.Waits(refuse, end).until("a")
        with self.assertRaises(Ended):
            titan_job.Waits(lambda wishes: [], end).until("a")


class Outside(unittest.TestCase):
    def test_a_program_that_is_no_job_is_told_so(self):
        job = titan_job.Job()
        with self.assertRaisesRegex(titan.UnsupportedError, "is not that of a job"):
            job.step("a", 1, lambda call: 1)
        with self.assertRaisesRegex(titan.TitanError, "TITAN_RUN: this program is no job"):
            job.run
