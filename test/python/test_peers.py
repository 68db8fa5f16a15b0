"""What a client does with a peer that is no master, that is full, or that goes away."""
import hashlib
import os
import socket
import time
import unittest
from unittest import mock

import titan
from support import WELCOME, Peer, refuse, reply, requests
from titan import REPLY, MORE, CREDIT, CANCEL, Client, ConnectError, Frame, wire

SUBMITTED = wire.Submitted.encode({"run": "r", "existing": False, "warnings": []})


def client(peer, **options):
    return Client(peer.master, **{"timeout": 2.0, "patience": 2.0, **options})


def greet(frames, connection):
    reply(connection, next(frames), WELCOME)
    return frames


def serve(answer):
    """A master that answers HELLO, and everything else with `answer(connection, frame, dial)`."""
    def behave(connection, dial):
        for frame in greet(requests(connection), connection):
            if answer(connection, frame, dial) is False:
                return
    return Peer(behave)


class AddressTest(unittest.TestCase):
    def test_every_form_is_read(self):
        cases = {"h:1": ("h", 1), "h": ("h", 9090), ":70": ("127.0.0.1", 70),
                 "70": ("127.0.0.1", 70), "[::1]:5": ("::1", 5), "[::1]": ("::1", 9090)}
        for text, expected in cases.items():
            self.assertEqual(titan.address_of(text), expected, text)
        for text in ("h:0", "h:65536", "::1", "http://h", "a b"):
            with self.assertRaisesRegex(ValueError, "expected HOST:PORT"):
                titan.address_of(text)

    def test_the_environment_names_the_master(self):
        with mock.patch.dict(os.environ, {"TITAN_MASTER": "127.0.0.1:1"}):
            with self.assertRaisesRegex(ConnectError, "127.0.0.1:1: nobody listens there"):
                Client()


class ConnectTest(unittest.TestCase):
    def refused(self, behave, words, **options):
        with Peer(behave) as peer, self.assertRaisesRegex(ConnectError, words) as found:
            client(peer, **options)
        self.assertEqual(found.exception.code, "CONNECT")
        self.assertTrue(found.exception.retryable)

    def test_a_port_where_nobody_listens(self):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
        with self.assertRaisesRegex(ConnectError, f"master at 127.0.0.1:{port}: nobody listens"):
            Client(f"127.0.0.1:{port}")

    def test_a_peer_that_is_no_master(self):
        def web(connection, _):
            connection.recv(1000)
            connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        self.refused(web, "is no Titan master .*version 72")
        self.refused(lambda connection, _: connection.recv(1000), "connections, and closes them")

        def silent(connection, _):
            while connection.recv(1000):
                pass
        self.refused(silent, "does not answer", timeout=0.1)

        def nonsense(connection, _):
            reply(connection, next(requests(connection)), b"\x08")
        self.refused(nonsense, "is no Titan master .*Welcome")

    def test_a_full_master_is_asked_again(self):
        def full(connection, dial):
            frames = requests(connection)
            if dial < 3:
                return refuse(connection, next(frames), titan.OverloadedError)
            for frame in greet(frames, connection):
                reply(connection, frame, SUBMITTED)
        with Peer(full) as peer, client(peer) as found:
            self.assertEqual((peer.dials, found.submit({"name": "n"}).run), (3, "r"))

        def goodbye(connection, _):
            refuse(connection, Frame(0, 0, 0, b""), titan.OverloadedError, "at its limit")
        self.refused(goodbye, "it is full .at its limit", timeout=1.0)


class AskTest(unittest.TestCase):
    def test_an_overloaded_answer_is_asked_again_whatever_it_was(self):
        seen = []

        def answer(connection, frame, _):
            seen.append(frame.body)
            if len(seen) < 3:
                return refuse(connection, frame, titan.OverloadedError)
            return reply(connection, frame, wire.Affected.encode({"jobs": 4}))
        with serve(answer) as peer, client(peer) as found:
            self.assertEqual(found.retry("r"), 4)
        self.assertEqual(len(seen), 3)
        with serve(lambda connection, frame, _: refuse(
                connection, frame, titan.OverloadedError, "too much")) as peer:
            with client(peer, patience=0.2) as found, self.assertRaisesRegex(
                    titan.OverloadedError, "too much"):
                found.cancel("r")

    def test_a_submission_is_repeated_with_its_key_when_the_connection_breaks(self):
        seen = []

        def answer(connection, frame, dial):
            seen.append(wire.Submit.decode(frame.body).key)
            return reply(connection, frame, SUBMITTED) if dial == 2 else False
        with serve(answer) as peer, client(peer) as found:
            self.assertEqual(found.submit({"name": "n"}).run, "r")
        self.assertEqual(len(seen), 2)
        self.assertEqual(len(set(seen)), 1)
        self.assertRegex(seen[0], "^py-[0-9a-f]{24}$")

    def test_many_submissions_survive_a_break_in_their_middle(self):
        seen = []

        def answer(connection, frame, dial):
            seen.append(frame.body)
            run = wire.Submitted.encode({"run": wire.Submit.decode(frame.body).key})
            return reply(connection, frame, run) if len(seen) != 5 else False
        with serve(answer) as peer, client(peer) as found:
            with mock.patch("titan.secrets.token_hex", side_effect=map(str, range(20))):
                rows = list(found.submit_many(({"name": "n"} for _ in range(20)), window=8))
        self.assertEqual([row.run for row in rows], [f"py-{number}" for number in range(20)])
        self.assertEqual(len(set(seen)), 20)

    def test_what_does_harm_twice_is_not_repeated(self):
        seen = []

        def answer(_, frame, __):
            seen.append(frame.opcode)
            return False
        with serve(answer) as peer, client(peer) as found:
            for work in (lambda: found.retry("r"), lambda: found.kv("INCR", "n")):
                with self.assertRaisesRegex(titan.ClosedError, "the other side closed it"):
                    work()
        self.assertEqual(seen, [titan.ask.RETRY.opcode, titan.ask.KV.opcode])

    def test_an_empty_answer_is_no_answer(self):
        with serve(lambda connection, frame, _: reply(connection, frame)) as peer:
            with client(peer) as found, self.assertRaisesRegex(titan.BadRequestError, "Affected"):
                found.cancel("r")

    def test_a_deadline_ends_the_wait_and_tells_the_peer(self):
        seen = []
        with serve(lambda _, frame, __: seen.append(frame.flags)) as peer:
            with client(peer, deadline=0.1) as found:
                with self.assertRaisesRegex(titan.DeadlineError, "has not answered in time"):
                    found.status("r")
                while CANCEL not in seen:
                    time.sleep(0.01)
        self.assertEqual(seen, [MORE, CREDIT, CANCEL])

    def test_every_code_is_its_class(self):
        code = iter(titan.CODES)
        with serve(lambda connection, frame, _: refuse(
                connection, frame, next(code), "why")) as peer:
            with client(peer, patience=0) as found:
                for each in titan.CODES:
                    with self.assertRaisesRegex(each, "^why$"):
                        found.cancel("r")

    def test_damaged_answers_end_the_connection_and_are_no_answers(self):
        good = titan.encode_frame(0, REPLY, 2, wire.Affected.encode({"jobs": 1}))
        for at in range(0, 8 * len(good), 5):
            wrong = bytearray(good)
            wrong[at // 8] ^= 1 << at % 8

            def answer(connection, frame, dial, wrong=bytes(wrong)):
                connection.sendall(wrong)
                return False
            with serve(answer) as peer, client(peer, patience=0) as found:
                with self.assertRaises((titan.BadFrameError, titan.ClosedError), msg=at):
                    found.retry("r")

    def test_a_peer_may_not_ask_nor_use_unknown_flags(self):
        for flags in (0, MORE, CANCEL, CREDIT, 64):
            def answer(connection, frame, _, flags=flags):
                reply(connection, frame, b"", flags)
            with serve(answer) as peer, client(peer) as found:
                with self.assertRaisesRegex(titan.BadFrameError, "unexpected flags"):
                    found.retry("r")

    def test_a_stream_is_granted_as_it_is_read_and_cancelled_when_it_is_left(self):
        seen, page = [], wire.OutputPage.encode({"chunks": [
            {"stream": "stdout", "at": 1, "data": bytes(60_000)}]})

        def answer(connection, frame, _):
            seen.append((frame.flags, frame.body if frame.flags == CREDIT else b""))
            if frame.flags == MORE:
                for _ in range(4):
                    reply(connection, frame, page, REPLY | MORE)
        with serve(answer) as peer, client(peer) as found:
            pieces = found.logs("r", "j", attempt=1)
            for _ in range(4):
                self.assertEqual(len(next(pieces).data), 60_000)
            end = time.monotonic() + 20
            while len(seen) < 3 and time.monotonic() < end:
                time.sleep(0.01)
            time.sleep(0.05)
            self.assertEqual(seen[:2], [(MORE, b""), (CREDIT, (256 * 1024).to_bytes(4, "big"))])
            self.assertEqual(len(seen), 3, "half a window at a time")
            self.assertEqual(int.from_bytes(seen[2][1], "big"), 3 * (16 + len(page)))
            pieces.close()
            while len(seen) < 4 and time.monotonic() < end:
                time.sleep(0.01)
            self.assertEqual(seen[3][0], CANCEL)

    def test_a_log_goes_on_where_it_broke(self):
        def page(*texts):
            return wire.OutputPage.encode({"chunks": [
                {"stream": "stdout", "at": 1, "data": text} for text in texts]})

        def answer(connection, frame, dial):
            if frame.flags != MORE:
                return None
            reply(connection, frame, page(b"one", b"two"), REPLY | MORE)
            if dial == 1:
                return False
            reply(connection, frame, page(b"twothree"[3:], b"four"), REPLY | MORE)
            return reply(connection, frame)
        with serve(answer) as peer, client(peer) as found:
            pieces = [piece.data for piece in found.logs("r", "j", attempt=1)]
        self.assertEqual(pieces, [b"one", b"two", b"three", b"four"])

    def test_a_watch_begins_anew_with_all_jobs_once(self):
        run = {"id": "r", "name": "n", "status": "RUNNING", "submitted_at": 1}
        job = {"index": 0, "id": "a", "status": "RUNNING", "attempt": 1}
        change = {"index": 1, "status": "COMPLETED", "at": 2}

        def answer(connection, frame, dial):
            if frame.flags != MORE:
                return None
            for page in ({"reset": True, "jobs": [job]},
                         {"run": run, "jobs": [{**job, "index": 1, "id": "b"}]},
                         {"changes": [change]}):
                reply(connection, frame, wire.WatchPage.encode(page), REPLY | MORE)
            if dial == 1:
                return False
            ended = wire.WatchPage.encode({"run": {**run, "status": "COMPLETED"}})
            reply(connection, frame, ended, REPLY | MORE)
            return reply(connection, frame)
        with serve(answer) as peer, client(peer) as found:
            events = list(found.watch("r"))
        self.assertEqual([event.type for event in events], ["snapshot", "job"] * 2 + ["run"])
        self.assertEqual([len(event.jobs) for event in events[::2][:2]], [2, 2])
        self.assertEqual(events[1].job, "b")

    def test_a_long_status_comes_in_pages(self):
        def answer(connection, frame, dial):
            if frame.flags != MORE:
                return None
            run = {"id": "r", "name": "n", "status": "RUNNING", "submitted_at": 1}
            job = {"index": 0, "id": "a", "status": "RUNNING", "attempt": 1}
            for page in ({"run": run, "jobs": [job]}, {"jobs": [{**job, "id": "b"}]}):
                reply(connection, frame, wire.StatusPage.encode(page), REPLY | MORE)
                if dial == 1:
                    return False  # what has come does not count twice
            return reply(connection, frame)
        with serve(answer) as peer, client(peer) as found:
            status = found.status("r")
        self.assertEqual((status.run.id, [job.id for job in status.jobs]), ("r", ["a", "b"]))

    def test_ids_start_again_and_skip_those_in_use(self):
        one = wire.Affected.encode({"jobs": 1})
        peer = serve(lambda connection, frame, _: reply(connection, frame, one))
        with peer, client(peer) as found:
            session = found._session
            session.last_id = 2 ** 32 - 2
            session.calls[1] = None
            self.assertEqual([found.cancel("r"), session.last_id], [1, 2 ** 32 - 1])
            self.assertEqual([found.cancel("r"), session.last_id], [1, 2])
            del session.calls[1]

    def test_a_closed_client_says_so(self):
        with serve(lambda *_: None) as peer:
            found = client(peer)
            found.close()
            with self.assertRaisesRegex(titan.CancelledError, "this client was closed"):
                found.runs()


class JobTest(unittest.TestCase):
    def test_outside_a_job_nothing_is_known(self):
        with self.assertRaisesRegex(titan.TitanError, "TITAN_JOB: this program is no job"):
            titan.job.id
        self.assertEqual(titan.job.inputs, {})

    def test_a_result_is_json_and_not_too_large(self):
        with self.assertRaisesRegex(titan.TooLargeError, "put an artifact"):
            titan.job.output("x" * 70_000)
        for value in (float("nan"), {1, 2}):
            with self.assertRaises((ValueError, TypeError)):
                titan.job.output(value)


class ArtifactTest(unittest.TestCase):
    DATA = bytes(range(256)) * 4

    def served(self, answer):
        """What a client reads of an artifact that `answer(connection, frame, dial)` sends."""
        with serve(answer) as peer, client(peer) as titan_:
            found = titan_.get_artifact("a")
            self.assertEqual(found.info.name, "a")
            return b"".join(found.bytes)

    def items(self, *parts):
        info = {"name": "a", "sha256": hashlib.sha256(self.DATA).hexdigest(),
                "size": len(self.DATA), "at": 1}
        yield wire.ArtifactItem.encode({"info": info, "data": b""})
        for part in parts:
            yield wire.ArtifactItem.encode({"data": part})

    def test_bytes_that_are_not_what_was_put_are_an_error(self):
        for parts in ((self.DATA[:-1],), (self.DATA[:-1], b"x"), (self.DATA, b"x")):
            def answer(connection, frame, dial):
                for item in self.items(*parts):
                    reply(connection, frame, item, REPLY | MORE)
                reply(connection, frame)
            with self.assertRaisesRegex(titan.InternalError, "Cannot use artifact a: "):
                self.served(answer)

    def test_a_break_in_the_middle_goes_on_behind_what_was_read(self):
        def answer(connection, frame, dial):
            whole = dial > 1
            for item in self.items(*([self.DATA[:700], self.DATA[700:]] if whole
                                     else [self.DATA[:300]])):
                reply(connection, frame, item, REPLY | MORE)
            if not whole:
                return False
            reply(connection, frame)
        self.assertEqual(self.served(answer), self.DATA)
