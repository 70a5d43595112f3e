"""Counts the tests of all suites. Results are lines `suite TAB outcome TAB name TAB reason` in one file, outcome
passed, failed or skipped.

  results.py junit SUITE FILE.xml        prints the lines of a JUnit report (pytest's or meson's)
  results.py suites BUILD                prints the names of meson's test suites, one a line
  results.py report RESULTS README.md    prints what failed and was skipped, and at last the sum;
                                         exit code 1 when anything failed or a skip is not in README's list
"""

import json
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree


def one_line(text):
    return " ".join((text or "").split())[:300]


def last_line(case):
    """What a test that says no more than "failed" wrote last."""
    said = (case.findtext("system-err") or "") + "\n" + (case.findtext("system-out") or "")
    return next((line for line in reversed(said.split("\n")) if line.strip()), "")


def junit(suite, path):
    for case in ElementTree.parse(path).getroot().iter("testcase"):
        name = "::".join(filter(None, (case.get("classname"), case.get("name"))))
        outcome, reason = "passed", ""
        for child in case:
            if child.tag in ("failure", "error"):
                outcome, reason = "failed", child.get("message") or child.text or last_line(case)
            elif child.tag == "skipped" and outcome == "passed":
                outcome, reason = "skipped", child.get("message") or child.text
        print(suite, outcome, one_line(name), one_line(reason), sep="\t")


def suites(build):
    tests = json.loads(subprocess.run(["meson", "introspect", "--tests", build], check=True,
                                      capture_output=True).stdout)
    for name in sorted({suite.split(":")[-1] for test in tests for suite in test["suite"]}):
        print(name)


def allowed_skips(readme):
    """The names in the table under the heading "Skipped tests"."""
    with open(readme, encoding="utf-8") as file:
        section = re.search(r"^## Skipped tests$(.*?)(?=^## |\Z)", file.read(), re.M | re.S)
    if not section:
        sys.exit(f'{readme} has no section "Skipped tests"')
    return set(re.findall(r"^\| `([^`]+)` \|", section[1], re.M))


def report(path, readme):
    allowed = allowed_skips(readme)
    count = {"passed": 0, "failed": 0, "skipped": 0}
    by_suite, bad = {}, 0
    with open(path, encoding="utf-8") as file:
        for line in file:
            suite, outcome, name, reason = line.rstrip("\n").split("\t")
            count[outcome] += 1
            by_suite.setdefault(suite, dict.fromkeys(count, 0))[outcome] += 1
            if outcome == "failed":
                print(f"FAILED  {suite}: {name}: {reason}")
            if outcome == "skipped":
                known = name in allowed
                bad += not known
                print(f"SKIPPED {suite}: {name}: {reason}{'' if known else '  (not in the list of README.md)'}")
    print()
    for suite, counts in by_suite.items():
        print(f"{suite:<10}" + ", ".join(f"{n} {outcome}" for outcome, n in counts.items() if n))
    if bad:
        print(f"{bad} skipped without being in the list of {readme}")
    skipped = f", {count['skipped']} skipped" if count["skipped"] else ""
    print(f"{count['passed']} passed, {count['failed']} failed{skipped}")
    return 1 if count["failed"] or bad or not count["passed"] else 0


def main():
    command, *arguments = sys.argv[1:]
    return {"junit": junit, "suites": suites, "report": report}[command](*arguments)


if __name__ == "__main__":
    sys.exit(main())
