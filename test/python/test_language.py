"""The files as text: nothing newer than Python 3.9, nothing from outside the standard library."""
import ast
import re
import sys
import unittest

import titan
import titan_job
import titan_wire

MODULES = (titan_wire, titan, titan_job)
TEXTS = []
for module in MODULES:
    with open(module.__file__, encoding="utf-8") as source:
        TEXTS.append(source.read())
TEXT = "".join(TEXTS)
TREES = [ast.parse(text, feature_version=(3, 9)) for text in TEXTS]
NODES = [node for tree in TREES for node in ast.walk(tree)]


def annotations():
    for node in NODES:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            arguments = (each for each in ast.walk(node.args) if isinstance(each, ast.arg))
            yield from (each.annotation for each in arguments)
            yield node.returns
        elif isinstance(node, ast.AnnAssign):
            yield node.annotation


class Language(unittest.TestCase):
    def test_syntax_is_that_of_python_3_9(self):
        newer = {"Match", "TryStar", "TypeAlias"}
        found = [node for node in NODES if type(node).__name__ in newer]
        self.assertEqual(found, [])
        with self.assertRaises(SyntaxError, msg="the check sees newer syntax"):
            ast.parse("match x:\n case 1: pass", feature_version=(3, 9))

    def test_types_are_joined_by_union_and_not_by_a_bar(self):
        bars = [ast.unparse(each) for annotation in annotations() if annotation is not None
                for each in ast.walk(annotation)
                if isinstance(each, ast.BinOp) and isinstance(each.op, ast.BitOr)]
        self.assertEqual(bars, [])

    def test_every_name_has_its_types(self):
        bare = [node.name for node in NODES if isinstance(node, ast.FunctionDef)
                and node.returns is None]
        self.assertEqual(bare, [])

    def test_imports_are_of_the_standard_library_and_of_the_files_below(self):
        for place, tree in enumerate(TREES):
            nodes = [*ast.walk(tree)]
            names = {alias.name for node in nodes if isinstance(node, ast.Import)
                     for alias in node.names}
            names |= {node.module for node in nodes if isinstance(node, ast.ImportFrom)}
            names -= {each.__name__ for each in MODULES[:place]}
            tops = {name.split(".")[0] for name in names}
            self.assertEqual(tops - getattr(sys, "stdlib_module_names", tops), set())  # since 3.10

    def test_the_methods_of_newer_versions_are_not_used(self):
        newer = r"\.bit_count\(|zip\([^)]*strict=|itertools\.pairwise|except\*|TypeAlias"
        self.assertIsNone(re.search(newer, TEXT))

    def test_the_exported_names_exist_and_are_documented(self):
        for module in (titan, titan_job):
            for name in module.__all__:
                self.assertTrue(getattr(module, name).__doc__, name)

    def test_every_import_is_used(self):
        for text, tree in zip(TEXTS, TREES):
            for node in ast.walk(tree):
                if isinstance(node, (ast.Import, ast.ImportFrom)):
                    for name in (alias.asname or alias.name for alias in node.names):
                        uses = re.findall(rf"\b{re.escape(name)}\b", text)
                        self.assertTrue(name == "*" or len(uses) > 1, name)

    def test_job_is_that_of_the_other_file(self):
        self.assertIs(titan.job, titan_job.job)
        with self.assertRaisesRegex(AttributeError, "module titan has no jobs"):
            titan.jobs
