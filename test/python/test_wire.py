"""Frames, messages and the store's answers: byte for byte, and every damage refused."""
import io
import re
import unittest
import zlib

import titan
from support import as_python, golden, without_none
from titan import BadFrameError, BadRequestError, Frame, Frames, TooLargeError, encode_frame, wire
from titan_job import own

GOLDEN = golden()
RAW = titan.PLAIN["r"]


class FrameTest(unittest.TestCase):
    def frames(self):
        for each in GOLDEN["frames"]:
            body = as_python(each["body"])
            frame = Frame(each["opcode"], each["flags"], each["requestId"], body)
            yield frame, bytes.fromhex(each["hex"])

    def test_are_written_byte_for_byte(self):
        for frame, data in self.frames():
            self.assertEqual(encode_frame(*frame), data)

    def test_are_read_in_any_pieces(self):
        data = b"".join(data for _, data in self.frames())
        expected = [frame for frame, _ in self.frames()]
        self.assertEqual(list(Frames().feed(data)), expected)
        for size in (1, 7, 15, 16, 17, 100):
            frames, found = Frames(), []
            for at in range(0, len(data), size):
                found += frames.feed(data[at:at + size])
            self.assertEqual(found, expected)

    def test_no_truncated_prefix_is_one(self):
        for frame, data in self.frames():
            for end in range(len(data)):
                self.assertEqual(list(Frames().feed(data[:end])), [])

    def test_every_flipped_bit_is_refused(self):
        for frame, data in self.frames():
            for bit in range(8 * len(data)):
                wrong = bytearray(data)
                wrong[bit // 8] ^= 1 << bit % 8
                try:
                    found = list(Frames().feed(bytes(wrong)))
                except BadFrameError:
                    continue
                # A length that has grown: the rest of it is awaited, and the sum will not fit.
                self.assertEqual(found, [])
                self.assertIn(bit // 8, range(8, 12))
                self.assertGreater(wrong[8:12], data[8:12])

    def test_the_reserved_byte_is_zero(self):
        head = bytearray(encode_frame(1, 0, 1))[:12]
        head[3] = 1
        with self.assertRaisesRegex(BadFrameError, "reserved byte 1"):
            list(Frames().feed(bytes(head) + zlib.crc32(head).to_bytes(4, "big")))

    def test_what_came_before_a_bad_frame_counts(self):
        good = encode_frame(1, 0, 1, b"x")
        frames = Frames().feed(good + b"HTTP/1.1")
        self.assertEqual(next(frames).body, b"x")
        with self.assertRaisesRegex(BadFrameError, "^Cannot read frame: version 72, expected 2$"):
            next(frames)

    def test_the_largest_body_is_the_largest(self):
        largest = encode_frame(1, 0, 1, bytes(titan.MAX_BODY_BYTES))
        self.assertEqual(len(next(Frames().feed(largest)).body), titan.MAX_BODY_BYTES)
        with self.assertRaisesRegex(TooLargeError, "length 8388609 exceeds 8388608"):
            encode_frame(1, 0, 1, bytes(titan.MAX_BODY_BYTES + 1))
        head = bytearray(encode_frame(1, 0, 1)[:16])
        head[8:12] = (titan.MAX_BODY_BYTES + 1).to_bytes(4, "big")
        with self.assertRaisesRegex(BadFrameError, "length 8388609"):
            list(Frames().feed(bytes(head)))


class MessageTest(unittest.TestCase):
    def messages(self):
        for each in GOLDEN["messages"]:
            value = without_none(as_python(each["value"]))
            is_rows = re.search("(Page|List|Reasons)$", each["name"]) and len(value) == 1
            value = {"rows" if is_rows and key != "chunks" else key: item
                     for key, item in value.items()}
            yield own[each["name"]], value, bytes.fromhex(each["hex"])

    def test_are_written_byte_for_byte(self):
        for message, value, data in self.messages():
            if message.name == "Hello":  # TypeScript writes a worker's fields, too
                self.assertLess(len(message.encode(value)), len(data))
            elif message.name != "Submit" or "spec" in value:
                self.assertEqual(message.encode(value), data, message.name)

    def test_are_read_and_read_again_from_what_was_written(self):
        for message, value, data in self.messages():
            found = message.decode(data)
            if message.name != "Hello":
                self.assertEqual(without_none(found), value)
            self.assertEqual(message.decode(message.encode(found)), found)

    def test_no_truncated_prefix_is_one(self):
        for message, _, data in self.messages():
            for end in range(len(data)):
                with self.assertRaises(BadRequestError, msg=f"{message.name} {end}"):
                    message.decode(data[:end])

    def test_bytes_behind_one_are_refused(self):
        for message, _, data in self.messages():
            with self.assertRaisesRegex(BadRequestError, "1 bytes left over"):
                message.decode(data + b"\0")

    def test_a_flipped_bit_is_refused_or_another_value_and_nothing_else(self):
        for message, _, data in self.messages():
            # Every bit of small messages, and of larger ones another bit of each byte.
            for bit in range(0, 8 * len(data), 1 if len(data) < 60 else 11):
                wrong = bytearray(data)
                wrong[bit // 8] ^= 1 << bit % 8
                try:
                    found = message.decode(bytes(wrong))
                except BadRequestError:
                    continue
                self.assertEqual(message.decode(message.encode(found)), found)

    def test_fields_of_a_newer_peer_are_skipped(self):
        newer = titan.read_schema("New(protocol u, version t, 39 a u, 40 b t, 41 c f, 42 d r)").New
        data = newer.encode({"protocol": 2, "version": "x", "a": 1, "b": "y", "c": 0.5, "d": b"z"})
        self.assertEqual(wire.Welcome.decode(data), {"protocol": 2, "version": "x"})
        known = titan.read_schema("Old(40 b t)").Old
        self.assertEqual(known.decode(data), {"b": "y"})

    def test_wrong_bytes_name_the_field(self):
        cases = {
            "0802": "Cannot decode Affected.jobs: .*", "": ".*index", "00": ".*missing",
            "0a0100": ".*wire type", "080108020000": ".*follows", "08800000": ".*",
            "08ffffffffffffffff0100": ".*2\\^53", "08808080808080808000": ".*2\\^53",
        }
        for data, words in cases.items():
            with self.assertRaisesRegex(BadRequestError, words):
                wire.Affected.decode(bytes.fromhex(data))
        with self.assertRaisesRegex(BadRequestError, "Cannot decode BlobHas.present: .*range"):
            wire.BlobHas.decode(bytes.fromhex("080200"))
        with self.assertRaisesRegex(BadRequestError, "Cannot decode BlobRef.hash: .*utf-8"):
            wire.BlobRef.decode(bytes.fromhex("0a01ff00"))

    def test_wrong_values_name_the_field(self):
        cases = [({"jobs": -1}, "Affected.jobs"), ({"jobs": "x"}, "Affected.jobs"),
                 ({"jobs": 1.5}, "Affected.jobs"), ({}, "Affected.jobs: .*must be there")]
        for value, words in cases:
            with self.assertRaisesRegex(BadRequestError, f"Cannot encode {words}"):
                wire.Affected.encode(value)
        for text in ("\ud800", 7):
            with self.assertRaisesRegex(BadRequestError, "Cannot encode BlobRef.hash"):
                wire.BlobRef.encode({"hash": text})
        with self.assertRaisesRegex(BadRequestError, "Cannot encode Hello.role: found 'boss'"):
            wire.Hello.encode({"protocol": 2, "role": "boss"})


class CodeTest(unittest.TestCase):
    def test_codes_have_the_order_of_their_bytes(self):
        self.assertEqual([each.code for each in titan.CODES], [
            "CLOSED", "DEADLINE", "CANCELLED", "OVERLOADED", "TOO_LARGE", "BAD_FRAME",
            "BAD_REQUEST", "UNAUTHORIZED", "NOT_FOUND", "CONFLICT", "INVALID", "UNSCHEDULABLE",
            "UNSUPPORTED", "INTERNAL", "BUDGET", "LIMIT"])
        self.assertEqual([each.code for each in titan.CODES if each.retryable],
                         ["CLOSED", "DEADLINE", "OVERLOADED"])


class ReplyTest(unittest.TestCase):
    def read(self, data):
        return titan.read_reply(io.BytesIO(data))

    def test_values_of_the_store(self):
        cases = {
            b"+OK\r\n": "OK", b":-3\r\n": -3, b"$2\r\n\xc3\xa4\r\n": "ä", b"$-1\r\n": None,
            b"_\r\n": None, b"*2\r\n:1\r\n$0\r\n\r\n": [1, ""], b"~1\r\n+a\r\n": ["a"],
            b"%1\r\n+a\r\n:1\r\n": {"a": 1}, b"#t\r\n": True, b"#f\r\n": False,
            b",0.5\r\n": 0.5, b"(12345678901234567890\r\n": 12345678901234567890,
            b"=6\r\ntxt:ab\r\n": "ab", b"$1\r\n\xff\r\n": "\udcff", b"$4\r\na\r\nb\r\n": "a\r\nb",
        }
        for data, value in cases.items():
            self.assertEqual(self.read(data), value, data)
            for end in range(len(data)):
                with self.assertRaises(titan.TitanError, msg=data[:end]):
                    self.read(data[:end])

    def test_errors_are_values_until_they_are_the_whole_answer(self):
        found = self.read(b"*2\r\n-WRONGTYPE no\r\n!6\r\nERR no\r\n")
        self.assertEqual([each.code for each in found], ["WRONGTYPE", "ERR"])
        with self.assertRaisesRegex(titan.StoreError, "^ERR no$"):
            titan.unless_error(found[1])
