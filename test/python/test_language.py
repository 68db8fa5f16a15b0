"""The file as text: nothing newer than Python 3.9, nothing from outside the standard library."""
import ast
import re
import sys
import unittest

import titan

with open(titan.__file__, encoding="utf-8") as source:
    TEXT = source.read()
TREE = ast.parse(TEXT, feature_version=(3, 9))


def annotations(tree):
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            arguments = (each for each in ast.walk(node.args) if isinstance(each, ast.arg))
            yield from (each.annotation for each in arguments)
            yield node.returns
        elif isinstance(node, ast.AnnAssign):
            yield node.annotation


class Language(unittest.TestCase):
    def test_syntax_is_that_of_python_3_9(self):
        newer = {"Match", "TryStar", "TypeAlias"}
        found = [node for node in ast.walk(TREE) if type(node).__name__ in newer]
        self.assertEqual(found, [])
        with self.assertRaises(SyntaxError, msg="the check sees newer syntax"):
            ast.parse("match x:\n case 1: pass", feature_version=(3, 9))

    def test_types_are_joined_by_union_and_not_by_a_bar(self):
        bars = [ast.unparse(each) for annotation in annotations(TREE) if annotation is not None
                for each in ast.walk(annotation)
                if isinstance(each, ast.BinOp) and isinstance(each.op, ast.BitOr)]
        self.assertEqual(bars, [])

    def test_every_public_name_has_its_types(self):
        bare = [node.name for node in ast.walk(TREE) if isinstance(node, ast.FunctionDef)
                and node.returns is None]
        self.assertEqual(bare, [])

    def test_imports_are_of_the_standard_library(self):
        names = {alias.name for node in ast.walk(TREE) if isinstance(node, ast.Import)
                 for alias in node.names}
        names |= {node.module for node in ast.walk(TREE) if isinstance(node, ast.ImportFrom)}
        known = getattr(sys, "stdlib_module_names", names)  # since 3.10
        self.assertEqual([name for name in names if name.split(".")[0] not in known], [])

    def test_the_methods_of_newer_versions_are_not_used(self):
        newer = r"\.bit_count\(|zip\([^)]*strict=|itertools\.pairwise|except\*|TypeAlias"
        self.assertIsNone(re.search(newer, TEXT))

    def test_the_exported_names_exist_and_are_documented(self):
        for name in titan.__all__:
            self.assertTrue(getattr(titan, name).__doc__, name)
