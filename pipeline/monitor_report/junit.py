"""Findings as JUnit XML, so that CI can gate on them: the form of Jenkins' xUnit plugin, `junit-10.xsd`."""

from __future__ import annotations

import re
from xml.etree import ElementTree

from components.drift.findings import WHOLE_SPAN, Finding, MonitorReport, MonitorRun
from pipeline.monitor_report import words

#: What XML 1.0 cannot hold, section 2.2.
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit_xml(run: MonitorRun) -> str:
    """One suite per zone, one test case per finding.

    An alert is a failure; what could not be compared is skipped, and so is a zone that was not
    monitored: none of these passes.
    """
    suites = ElementTree.Element("testsuites", name=_text(f"isthmus monitoring of {run.deployment}"))
    for report in run.reports:
        _suite(suites, run, report)
    for zone, why in run.missing.items():
        suite = _new_suite(suites, run, zone)
        _case(suite, zone, "monitoring", skipped=why)
        _count(suite)
    _count(suites, nested=True)
    ElementTree.indent(suites)
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(suites, encoding="unicode") + "\n"
    )


def _suite(suites: ElementTree.Element, run: MonitorRun, report: MonitorReport) -> None:
    suite = _new_suite(suites, run, report.zone)
    if report.status != "EVALUATED":
        _case(suite, report.zone, "monitoring", skipped=report.reason or "not evaluated")
    for finding in sorted(report.findings, key=words.urgency):
        _finding(suite, finding)
    _count(suite)


def _new_suite(suites: ElementTree.Element, run: MonitorRun, zone: str) -> ElementTree.Element:
    suite = ElementTree.SubElement(suites, "testsuite", name=_text(zone))
    # The schema wants a local time without zone or fraction; ours is UTC.
    moment = re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", run.finished)
    if moment:
        suite.set("timestamp", moment[0])
    return suite


def _finding(suite: ElementTree.Element, finding: Finding) -> None:
    # Dots would be read as packages.
    group = ".".join(
        part.replace(".", "_")
        for part in (finding.locale, finding.comparison, finding.baseline or finding.against)
    )
    name = finding.feature if finding.split == WHOLE_SPAN else f"{finding.feature} [{finding.split}]"
    if finding.verdict == "UNDEFINED":
        _case(suite, group, name, skipped=words.reason_of(finding))
        return
    case = _case(suite, group, name)
    if finding.verdict != "ALERT":
        return
    decided = words.decided_by(finding)
    message = words.cause_name(finding) + (f": {decided}" if decided else "")
    failure = ElementTree.SubElement(case, "failure", message=_text(message), type=_text(finding.severity))
    lines = [finding.cause.words] if finding.cause is not None else []
    lines.append(f"{words.compared(finding)}; {words.since(finding)}.")
    lines += [words.value_against(item) for item in finding.measurements if item.verdict == "ALERT"]
    failure.text = _text("\n".join(lines))


def _case(suite: ElementTree.Element, group: str, name: str, skipped: str = "") -> ElementTree.Element:
    # The schema wants a time; how long one comparison took is not recorded.
    case = ElementTree.SubElement(suite, "testcase", classname=_text(group), name=_text(name), time="0")
    if skipped:
        ElementTree.SubElement(case, "skipped", message=_text(skipped))
    return case


def _count(element: ElementTree.Element, nested: bool = False) -> None:
    cases = list(element.iter("testcase"))
    element.set("tests", str(len(cases)))
    element.set("failures", str(sum(case.find("failure") is not None for case in cases)))
    element.set("errors", "0")
    if not nested:  # `testsuites` has no such attribute
        element.set("skipped", str(sum(case.find("skipped") is not None for case in cases)))


def _text(text: str) -> str:
    return _NOT_XML.sub("\N{REPLACEMENT CHARACTER}", text)
