"""The version stands in Cargo.toml; what cannot be made from it names the same one. Release notes are the changelog's."""

import re
import subprocess
import unittest
from pathlib import Path

REPO = Path(__file__).resolve().parents[1]


def said(*command):
    return subprocess.run([REPO / "scripts" / command[0], *command[1:]], capture_output=True, text=True, check=False)


VERSION = said("version").stdout.strip()


class Version(unittest.TestCase):
    def test_cargo_knows_it(self):
        lock = (REPO / "Cargo.lock").read_text()
        self.assertIn(f'name = "databricks-kong"\nversion = "{VERSION}"\n', lock)

    def test_the_rock_has_it_in_its_name_and_within(self):
        [rock] = (REPO / "kong").glob("*.rockspec")
        self.assertEqual(rock.name, f"databricks-kong-{VERSION}-1.rockspec")
        self.assertIn(f'version = "{VERSION}-1"\n', rock.read_text())

    def test_lua_has_it(self):
        self.assertIn(f'version = "{VERSION}"', (REPO / "kong/plugins/databricks-kong/interface.lua").read_text())

    def test_manifests_and_documents_name_images_of_it(self):
        found = 0
        for path in [*(REPO / "packaging").iterdir(), *(REPO / "docs").glob("*.md")]:
            for tag in re.findall(r"registry\.example\.com/databricks[-_]kong:([\w.]+)", path.read_text()):
                self.assertEqual(tag, VERSION, path)
                found += 1
        self.assertGreaterEqual(found, 4)


class Notes(unittest.TestCase):
    def test_what_is_not_released_yet_stands_for_a_version_without_a_section(self):
        notes = said("release-notes")
        self.assertEqual(notes.returncode, 0)
        self.assertTrue(notes.stdout.startswith("### "), notes.stdout[:80])
        self.assertNotIn("\n## ", notes.stdout)

    def test_a_version_that_is_asked_for_has_to_be_there(self):
        notes = said("release-notes", "9.9.9")
        self.assertEqual((notes.returncode, notes.stdout), (1, ""))
        self.assertIn("CHANGELOG.md has no section for 9.9.9", notes.stderr)


if __name__ == "__main__":
    unittest.main()
